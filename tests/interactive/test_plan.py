"""A run with a plan: each step runs what was planned, once, at the noise that was solved before the claim."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from privatekube import errors
from privatekube.interactive import connect
from privatekube.interactive.client import RunClient
from privatekube.interactive.run import Run
from privatekube.privacy import events, renyi_filter, solving
from privatekube.privacy.budget import EpsilonDelta, PrivacyBudget, RenyiCurve
from privatekube.privacy.plan import Plan, PlannedStep
from privatekube.privacy.planned_mechanisms import DpSgd
from privatekube.privacy.planned_queries import DiscreteLaplace, Gaussian, Laplace
from privatekube.privacy.sensitivity import Per
from privatekube.privacy.unit import PrivacyUnit
from privatekube.resources import transitions
from tests.interactive import builders

BOUND = 2
PLAN = """
steps:
  - {name: statistics, mechanism: discrete_laplace, sensitivity: 1, per: record, share: 0.1}
  - {name: total, mechanism: laplace, sensitivity: 5, per: record, share: 0.1}
  - {name: average, mechanism: laplace, sensitivity: 4, per: record, share: 0.1}
  - {name: scores, mechanism: gaussian, sensitivity: 1, per: unit, share: 0.1}
  - {name: train, mechanism: dp_sgd, sampling_rate: 0.1, epochs: 1, part: train}
  - {name: evaluate, mechanism: discrete_laplace, sensitivity: 1, per: record, part: test}
disjoint: [train, test]
"""
STARS = range(1, 6)


@pytest.fixture(params=["epsilon-delta", "renyi"])
def client(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[RunClient]:
    """Yield a client of a store with one block of user-days, in either accounting."""
    is_renyi = request.param == "renyi"
    budget: PrivacyBudget = renyi_filter.capacity(builders.BUDGET) if is_renyi else builders.BUDGET
    with connect.connect(f"sqlite:///{tmp_path}/state.db") as client:
        unit = PrivacyUnit.USER_DAY
        client.create_blocks([builders.block(tmp_path, budget=budget, unit=unit, max_contribution=BOUND)])
        yield client


@pytest.fixture
def plan_file(tmp_path: Path) -> Path:
    path = tmp_path / "plan.yaml"
    path.write_text(PLAN)
    return path


def claimed(client: RunClient, plan: Plan | Path) -> Run:
    return client.claim("d", epsilon=2.0, delta=1e-7, namespace="ns", plan=plan)


def committed(client: RunClient) -> list[PrivacyBudget]:
    (block,) = client.list_blocks()
    return list(transitions.status_of(block).committed.values())


def test_a_whole_plan_runs_and_is_paid_as_one_composition(client: RunClient, plan_file: Path) -> None:
    with claimed(client, plan_file) as run:
        stars = builders.opened(run).reviews.stars
        run.count("statistics", stars, keys=STARS)
        run.sum("total", stars, lower=1, upper=5)
        run.mean("average", stars, lower=1, upper=5)
        run.gaussian("scores", [0.5, 0.25], sensitivity=1)
        assert run.plan is not None
        run.spend("train", run.plan.step("train").event, [b"noisy weights"])
        run.count("evaluate", stars, keys=STARS)
    receipt = run.receipt
    assert receipt is not None
    assert {spend.step: spend.part for spend in receipt.spends} == {
        **dict.fromkeys(("statistics", "total", "average", "scores"), "all"),
        "train": "train",
        "evaluate": "test",
    }
    assert [spend.event for spend in receipt.spends] == [events.to_json(step.event) for step in run.plan.steps]
    assert 1.9 < receipt.epsilon <= 2.0
    (paid,) = committed(client)
    cost = run.plan.composition.renyi(paid.orders) if isinstance(paid, RenyiCurve) else EpsilonDelta(2.0, 1e-7)
    assert paid == cost


def test_a_receipt_states_the_cost_of_the_whole_plan_if_a_part_of_it_ran(client: RunClient, plan_file: Path) -> None:
    with claimed(client, plan_file) as run:
        run.count("evaluate", builders.opened(run).reviews.stars, keys=STARS)
    assert run.receipt is not None
    (spend,) = run.receipt.spends
    assert spend.step == "evaluate"
    assert 1.9 < run.receipt.epsilon <= 2.0  # which steps run may depend on the results of those before
    assert len(committed(client)) == 1  # the whole claim is committed


WRONG: list[tuple[Callable[[Run], object], str]] = [
    (lambda run: run.count("other", [1], keys=STARS), "step: 'other' is not in the plan, which has statistics, total"),
    (lambda run: run.spend("other", events.gaussian(9.0), [b""]), "step: 'other' is not in the plan"),
    (lambda run: run.count("total", [1], keys=STARS), "runs laplace in the plan, not discrete_laplace"),
    (lambda run: run.gaussian("total", [1.0], sensitivity=1), "runs laplace in the plan, not gaussian"),
    (lambda run: run.count("statistics", [1], keys=STARS, epsilon=0.5), "epsilon: 0.5 is stated by the plan"),
    (lambda run: run.gaussian("scores", [1.0], sensitivity=1, delta=1e-9), "delta: 1e-09 is stated by the plan"),
    (
        lambda run: run.sum("total", [1.0], lower=0, upper=6),
        "sensitivity: 12.0 of a unit is not the 10 that",
    ),
    (lambda run: run.mean("average", [1.0], lower=0, upper=5), "sensitivity: 10.0 of a unit is not the 8 that"),
    (lambda run: run.gaussian("scores", [1.0], sensitivity=2), "sensitivity: 2.0 of a unit is not the 1 that"),
    (lambda run: run.gaussian("scores", [1.0], sensitivity=-1), "sensitivity: -1 must be a finite number above 0"),
    (lambda run: run.gaussian("scores", [math.nan], sensitivity=1), "values: one is not a finite number"),
    (lambda run: run.gaussian("scores", ["a"], sensitivity=1), "values: are not all numbers"),  # type: ignore[list-item]
    (lambda run: run.sum("total", [1.0], lower=5, upper=1), "lower: 5 must be below upper, which is 1"),
    (lambda run: run.sum("total", [1.0], lower=1, upper=math.inf), "upper: inf must be a finite number"),
    (lambda run: run.sum("total", ["a"], lower=1, upper=5), "column: holds other values than numbers"),  # type: ignore[list-item]
    (lambda run: run.sum("total", [[1.0]], lower=1, upper=5), "column: '2 dimensions' must be 1"),  # type: ignore[list-item]
    (lambda run: run.spend("train", events.gaussian(50.0), [b""]), "event: "),
    (lambda run: run.spend("statistics", events.discrete_laplace(1.0, 1), [b""]), "event: "),
]


def test_what_is_not_planned_is_refused_in_one_line_and_not_registered(client: RunClient, plan_file: Path) -> None:
    with claimed(client, plan_file) as run:
        run.open()
        for act, message in WRONG:
            with pytest.raises(errors.InvalidInput) as refusal:
                act(run)
            assert message in str(refusal.value)
            assert "\n" not in str(refusal.value)
        assert list(client.get_claim(run.claim).releases) == ["allocate"]


def test_a_part_of_the_planned_steps_may_be_spent(client: RunClient) -> None:
    plan = Plan((PlannedStep("train", DpSgd(sampling_rate=0.1, steps=20)),))
    with claimed(client, plan) as run:
        run.open()
        assert run.plan is not None
        noise = run.plan.step("train").parameters["noise_multiplier"]
        with pytest.raises(errors.InvalidInput, match="was run 21 times, and 20 were planned"):
            run.spend("train", events.poisson_gaussian(0.1, noise, 21), [b"weights"])
        run.spend("train", events.poisson_gaussian(0.1, noise, 10), [b"weights"])
    assert run.receipt is not None
    assert 1.9 < run.receipt.epsilon <= 2.0  # when a training ends may depend on its first steps


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("steps: [{name: a, mechanism: magic}]", "plan.yaml: step a: mechanism: 'magic' is unknown"),
        ("demand: {epsDel: {epsilon: 1, delta: 1e-9}}", "demands a budget and has no steps"),
        ("{}", "plan.yaml: steps, demand: give one of them"),
    ],
)
def test_a_file_that_is_not_a_plan_is_refused_before_a_claim(
    client: RunClient, tmp_path: Path, text: str, message: str
) -> None:
    path = tmp_path / "plan.yaml"
    path.write_text(text)
    for place in (path, str(path)):
        with pytest.raises(errors.InvalidInput) as refusal:
            client.claim("d", epsilon=1.0, delta=1e-9, namespace="ns", plan=place)
        assert message in str(refusal.value)
    assert client.list_claims() == []


@pytest.mark.parametrize("plan", [5, ["steps"], {"steps": []}, b"plan.yaml"])
def test_a_plan_of_another_type_is_refused(client: RunClient, plan: Any) -> None:
    with pytest.raises(errors.InvalidInput, match="is not a plan; pass a Plan, or the path of a YAML file"):
        client.claim("d", epsilon=1.0, delta=1e-9, namespace="ns", plan=plan)


def test_a_plan_that_no_noise_meets_leaves_no_claim_behind(client: RunClient) -> None:
    plan = Plan((PlannedStep("train", DpSgd(sampling_rate=1.0, steps=10**6)),))
    run = client.claim("d", epsilon=1e-9, delta=1e-30, namespace="ns", plan=plan)
    with pytest.raises(errors.InvalidInput, match="too small for this plan at any noise"), run:
        pytest.fail("was granted")
    assert client.list_claims() == []


def test_the_noise_is_that_of_the_plan(client: RunClient) -> None:
    n, plan = (
        2000,
        Plan(
            (
                PlannedStep("counts", DiscreteLaplace(sensitivity=1, per=Per.RECORD), share=0.2),
                PlannedStep("laplace", Laplace(sensitivity=3.0, per=Per.UNIT), share=0.2),
                PlannedStep("gaussian", Gaussian(sensitivity=3.0, per=Per.UNIT)),
            )
        ),
    )
    with claimed(client, plan) as run:
        run.open()
        noise = {
            "counts": np.array(list(run.count("counts", [], keys=range(n)).values())),
            "laplace": np.array(run.laplace("laplace", [0.0] * n, sensitivity=3)),
            "gaussian": np.array(run.gaussian("gaussian", [0.0] * n, sensitivity=3)),
        }
    solved = solving.solve(plan, epsilon=2.0, delta=1e-7, max_contribution=BOUND)
    assert run.plan == solved
    for name, drawn in noise.items():
        scale = solved.step(name).parameters["scale"]
        deviation = scale if name == "gaussian" else math.sqrt(2) * scale
        found = float(np.sqrt(np.mean(drawn**2)))
        kurtosis = 3.0 if name == "gaussian" else 6.0
        standard_error = math.sqrt((kurtosis - 1) / 4 / n)
        assert found / deviation == pytest.approx(1.0, abs=7 * standard_error), name  # heavy tails: 5 would be 2e-6
        assert abs(found / deviation - 1.3) > 5 * standard_error, name  # another scale is noticed
