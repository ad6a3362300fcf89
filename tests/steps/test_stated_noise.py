"""The noise of a Grant is for the sensitivities that its plan states."""

from __future__ import annotations

from typing import Any

import pytest

from privatekube import errors
from privatekube.client import plan_file
from privatekube.privacy import events, solving
from privatekube.privacy.plan import Plan
from privatekube.steps import documents, stated_noise
from tests.steps.builders import grant, plan


def test_the_noise_of_a_plan_is_for_the_sensitivity_that_it_states() -> None:
    stated_noise.require_stated_sensitivities(grant())
    stated_noise.require_stated_sensitivities(grant(plan=plan(sensitivity=2), max_contribution=2))


@pytest.mark.parametrize(
    ("change", "bound", "message"),
    [
        ({"sensitivity": {"value": 1, "per": "record"}}, 2, "sensitivity of dp_preprocess: the run states 1, and 2"),
        ({"sensitivity": {"value": 2, "per": "unit"}}, 1, "sensitivity of dp_preprocess: the run states 1, and 2"),
        ({"sensitivity": None}, 1, "sensitivity of dp_preprocess: the run states 1, and None"),
        ({"event": events.to_json(events.discrete_laplace(5.0, 1))}, 1, "event of dp_preprocess: the run states"),
    ],
)
def test_a_grant_whose_noise_is_for_another_sensitivity_is_not_paid_for(
    change: dict[str, object], bound: int, message: str
) -> None:
    first, *others = plan()["steps"]
    changed = grant(plan={**plan(), "steps": [{**first, **change}, *others]}, max_contribution=bound)
    with pytest.raises(errors.BudgetExceeded, match=message):
        stated_noise.require_stated_sensitivities(changed)


SEARCH = """
steps:
  - name: search
    mechanism: select_from_many
    mean_trials: 3
    trial:
      - {mechanism: dp_sgd, sampling_rate: 0.1, steps: 5}
      - {mechanism: gaussian, sensitivity: 2, per: unit}
      - {mechanism: discrete_laplace, sensitivity: 2}
"""
"""A trial sums clipped contributions of units, then counts records: at most five of a unit."""


@pytest.fixture(scope="module")
def searched() -> documents.GrantedPlan:
    planned = plan_file.parse(SEARCH)
    assert isinstance(planned, Plan)
    return documents.GrantedPlan.of(solving.solve(planned, epsilon=2.0, delta=1e-6, max_contribution=5))


def of_search(searched: documents.GrantedPlan, change: dict[str, Any], bound: int = 5) -> documents.Grant:
    step = searched.step("search").model_dump(mode="json")
    return grant(plan={"steps": [{**step, **change}]}, max_contribution=bound)


def test_each_mechanism_of_a_trial_states_its_own_kind_of_sensitivity(searched: documents.GrantedPlan) -> None:
    step = searched.step("search")
    stated = [None if one is None else (one.value, one.per) for one in step.trial_sensitivities]
    assert stated == [None, (2, "unit"), (2, "record")]
    assert [part.get("sensitivity") for part in step.parameters["trial"]] == [None, 2, 10]
    stated_noise.require_stated_sensitivities(of_search(searched, {}))


def swapped(stated: list[Any]) -> list[Any]:
    return [stated[0], {"value": 2, "per": "record"}, {"value": 10, "per": "unit"}]


@pytest.mark.parametrize(
    ("change", "bound", "message"),
    [
        (lambda _: {}, 4, "sensitivity of a trial of search: the run states 10, and 8"),
        (lambda step: {"trial_sensitivities": swapped(step["trial_sensitivities"])}, 5, "the run states 2, and 10"),
        (lambda _: {"trial_sensitivities": [None] * 3}, 5, "sensitivity of a trial of search: .* and None"),
        (lambda _: {"trial_sensitivities": []}, 5, "sensitivities of a trial of search: the run states 0, and 3"),
        (lambda step: {"parameters": {**step["parameters"], "mean_trials": 4.0}}, 5, "event of search"),
        (lambda step: {"event": step["event"]["event"]}, 5, "event of search"),
    ],
)
def test_a_search_whose_noise_is_for_another_sensitivity_is_not_paid_for(
    searched: documents.GrantedPlan, change: Any, bound: int, message: str
) -> None:
    changed = of_search(searched, change(searched.step("search").model_dump(mode="json")), bound)
    with pytest.raises(errors.BudgetExceeded, match=message):
        stated_noise.require_stated_sensitivities(changed)
