"""What a run spent is within what each block grants, in the accounting of the block."""

from __future__ import annotations

import json

import pytest

from privatekube import errors
from privatekube.privacy import accounting, events
from privatekube.resources.wire import common
from privatekube.steps import documents, spent_budget
from tests.steps.builders import DIGEST, grant

ORDERS = (2.0, 8.0, 64.0)
GAUSSIAN = events.gaussian(8.0)


def spend(step: str, event: events.DpEvent) -> documents.Spend:
    return documents.Spend(
        step=step, claim="ns/run-r1", part="all", event=events.to_json(event), inputs=(DIGEST,), outputs=(DIGEST,)
    )


def demanding(event: events.DpEvent) -> documents.Grant:
    """A Grant without steps of one block, for what a mechanism costs in Renyi accounting."""
    budget = common.budget_to_wire(accounting.renyi_cost(event, ORDERS))
    return grant(plan={"steps": []}, blocks=[{"id": "ns/a", "uri": "file:///a", "digest": None, "budget": budget}])


def test_the_curves_of_steps_without_a_plan_add_up_to_the_demanded_curve() -> None:
    spends = [spend(name, GAUSSIAN) for name in ("a", "b")]
    assert spent_budget.require_granted(demanding(events.composition(GAUSSIAN, GAUSSIAN)), spends) == 1.0
    with pytest.raises(errors.BudgetExceeded, match="spends: cost more than the run demanded"):
        spent_budget.require_granted(demanding(GAUSSIAN), spends)


def test_a_step_that_needs_a_delta_is_refused_where_none_was_demanded() -> None:
    budget = {"epsDel": {"epsilon": 1.0, "delta": 0.0}}
    block = {"id": "ns/a", "uri": "file:///a", "digest": None, "budget": budget}
    pure = grant(plan={"steps": []}, delta=0.0, blocks=[block])
    assert spent_budget.require_granted(pure, [spend("a", events.laplace(1.0))]) == 1.0
    with pytest.raises(errors.PrivateKubeError, match="is only for pure mechanisms"):
        spent_budget.require_granted(pure, [spend("a", events.gaussian(100.0))])


def test_a_grant_without_steps_states_so_and_its_steps_run_on_all_units() -> None:
    granted = demanding(GAUSSIAN)
    assert json.loads(documents.encode(granted))["plan"] == {"steps": [], "disjoint": []}
    assert granted.plan.part("anything") == "all"
    with pytest.raises(errors.InvalidInput, match="not in the plan, which has none: the run demanded a budget"):
        granted.plan.step("anything")
