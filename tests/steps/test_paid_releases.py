"""What a claim pays for must be what its run was approved for, as the control plane knows it."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from privatekube import errors
from privatekube.privacy import events
from privatekube.privacy.budget import EpsilonDelta, PrivacyBudget
from privatekube.resources.block import Dimension, PrivateDataBlock
from privatekube.resources.claim import ClaimStatus, PrivacyBudgetClaim
from privatekube.resources.requests import RegisterRequest
from privatekube.resources.wire import common
from privatekube.steps import documents, paid_releases
from tests import builders
from tests.steps.builders import STEPS, grant

HELD = EpsilonDelta(1.0, 1e-9)


def digest(number: int) -> str:
    return f"sha256:{number:064x}"


def claim_of(held: PrivacyBudget = HELD, *names: str) -> PrivacyBudgetClaim:
    acquired = dict.fromkeys([f"ns/{name}" for name in names or ("a",)], held)
    return replace(builders.claim("run-r1"), status=ClaimStatus(acquired=acquired))


def granted(**changes: Any) -> documents.Grant:
    blocks = [{"id": "ns/a", "uri": "file:///a", "digest": None, "budget": common.budget_to_wire(HELD)}]
    return grant(**{"blocks": blocks} | changes)


def block_of(unit: str = "event", bound: int = 1) -> PrivateDataBlock:
    made = builders.block("a")
    made = replace(made, spec=replace(made.spec, data_source="file:///a"))
    dimensions = (Dimension("unit", string_value=unit), Dimension("maxContribution", numeric_value=str(bound)))
    return replace(made, spec=replace(made.spec, dimensions=dimensions))


def test_the_grant_of_a_claim_is_accepted_and_also_after_it_was_consumed() -> None:
    claim = claim_of()
    paid_releases.require_grant_of_claim(granted(), claim, [block_of()])
    consumed = replace(claim, status=ClaimStatus(committed=claim.status.acquired))
    paid_releases.require_grant_of_claim(granted(), consumed, [block_of()])


@pytest.mark.parametrize(
    ("stated", "held", "message"),
    [
        ({"delta": 1e-5}, HELD, "delta of ns/a: the run states 1e-05, and 1e-09 was approved"),
        ({}, EpsilonDelta(1.0, 9e-9), "budget of ns/a"),
        ({"epsilon": 1.5}, HELD, "epsilon of ns/a"),
        ({}, EpsilonDelta(0.5, 1e-9), "budget of ns/a"),
    ],
)
def test_another_budget_or_delta_than_the_claim_holds_is_refused(
    stated: dict[str, Any], held: EpsilonDelta, message: str
) -> None:
    with pytest.raises(errors.BudgetExceeded, match=message):
        paid_releases.require_grant_of_claim(granted(**stated), claim_of(held), [block_of()])


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ({"uri": "file:///b"}, "data of ns/a: the run states file:///b, and file:///a was approved"),
        ({"digest": digest(7)}, f"digest of ns/a: the run states {digest(7)}, and None was approved"),
    ],
)
def test_the_data_of_a_run_is_that_of_the_blocks_that_pay_for_it(fault: dict[str, str], message: str) -> None:
    blocks = [block.model_copy(update=fault) for block in granted().blocks]
    with pytest.raises(errors.BudgetExceeded, match=message):
        paid_releases.require_grant_of_claim(granted(blocks=blocks), claim_of(), [block_of()])


@pytest.mark.parametrize("names", [("a", "b"), ("b",)])
def test_other_blocks_than_the_claim_holds_are_refused(names: tuple[str, ...]) -> None:
    with pytest.raises(errors.BudgetExceeded, match="blocks: the run states"):
        paid_releases.require_grant_of_claim(granted(), claim_of(HELD, *names), [block_of()])


@pytest.mark.parametrize(
    ("stated", "message"),
    [
        ({"unit": "event"}, "unit: the run states event, and user-day was approved"),
        ({"unit": "user-day", "max_contribution": 1}, "max_contribution: the run states 1, and 2 was approved"),
    ],
)
def test_the_unit_and_its_bound_are_those_that_the_block_states(stated: dict[str, Any], message: str) -> None:
    with pytest.raises(errors.BudgetExceeded, match=message):
        paid_releases.require_grant_of_claim(granted(**stated), claim_of(), [block_of("user-day", 2)])


def planned(given: documents.Grant) -> dict[str, RegisterRequest]:
    """Return the registrations of a run as planned: each step reads the Grant and what the one before it released."""
    releases = {paid_releases.APPROVAL: RegisterRequest(paid_releases.APPROVAL, (digest(0),))}
    inputs: tuple[str, ...] = (digest(0),)
    for number, planned_step in enumerate(given.plan.steps, start=1):
        step = planned_step.name
        releases[step] = RegisterRequest(step, (digest(number),), inputs, json.dumps(planned_step.event))
        inputs = (digest(0), digest(number))
    return releases


def test_a_run_as_planned_is_accepted() -> None:
    paid_releases.require_planned_releases(granted(), planned(granted()))


@pytest.mark.parametrize("step", ["allocate", *STEPS])
def test_a_missing_or_a_further_step_is_refused(step: str) -> None:
    releases = planned(granted())
    further = releases | {"other": replace(releases[step], step="other")}
    del releases[step]
    for wrong in (releases, further, {}):
        with pytest.raises(errors.BudgetExceeded, match="registered steps"):
            paid_releases.require_planned_releases(granted(), wrong)


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize(
    "event",
    [
        None,
        {"type": "composed", "events": []},
        events.to_json(events.discrete_laplace(20.0, 2)),
        events.to_json(events.discrete_laplace(100.0, 1)),
        events.to_json(events.poisson_gaussian(0.1, 100.0, 20)),
        events.to_json(events.poisson_gaussian(0.1, 1.2, 19)),
        events.to_json(events.poisson_gaussian(0.2, 1.2, 20)),
        events.to_json(events.composition(events.poisson_gaussian(0.1, 1.2, 20))),
    ],
)
def test_an_event_that_is_not_exactly_the_planned_one_is_refused(step: str, event: documents.Json | None) -> None:
    releases = planned(granted())
    releases[step] = replace(releases[step], event=None if event is None else json.dumps(event))
    with pytest.raises(errors.BudgetExceeded, match=f"event of {step}"):
        paid_releases.require_planned_releases(granted(), releases)


@pytest.mark.parametrize(
    ("step", "inputs"),
    [
        ("dp_preprocess", ()),
        ("dp_preprocess", (7,)),
        ("dp_preprocess", (0, 7)),
        ("dp_train", (0, 2)),
        ("dp_train", (0, 7)),
        ("dp_train", (7, 1)),
        ("dp_evaluate", (0, 3)),
        ("dp_evaluate", (0, 2, 7)),
    ],
)
def test_an_invented_digest_in_the_chain_is_refused(step: str, inputs: tuple[int, ...]) -> None:
    releases = planned(granted())
    releases[step] = replace(releases[step], inputs=tuple(map(digest, inputs)))
    with pytest.raises(errors.BudgetExceeded, match=f"inputs of {step}"):
        paid_releases.require_planned_releases(granted(), releases)


@pytest.mark.parametrize("step", STEPS)
def test_a_step_that_released_two_files_is_refused(step: str) -> None:
    releases = planned(granted())
    releases[step] = replace(releases[step], outputs=(*releases[step].outputs, digest(7)))
    with pytest.raises(errors.BudgetExceeded, match=f"number of outputs of {step}"):
        paid_releases.require_planned_releases(granted(), releases)


@pytest.mark.parametrize("change", [{"inputs": (digest(7),)}, {"outputs": (digest(7),)}, {"event": {}}])
def test_a_spend_that_states_something_else_than_was_registered_is_refused(change: dict[str, Any]) -> None:
    given = granted()
    release = planned(given)["dp_preprocess"]
    spend = documents.Spend(
        step="dp_preprocess",
        claim=given.claim,
        part="all",
        event=json.loads(release.event or ""),
        inputs=release.inputs,
        outputs=release.outputs,
    )
    releases = {"dp_preprocess": paid_releases.registration(spend)}
    paid_releases.require_registered([spend], releases)
    with pytest.raises(errors.BudgetExceeded, match="is not what the step registered"):
        paid_releases.require_registered([spend.model_copy(update=change)], releases)


@pytest.mark.parametrize("run_id", ["../elsewhere", "..", "a/b", ""])
def test_a_run_whose_folder_would_be_outside_of_its_prefix_is_refused(run_id: str) -> None:
    with pytest.raises(errors.InvalidInput, match=r"^Grant: run_id: .* must match pattern"):
        documents.Grant(**{**granted().model_dump(mode="json"), "run_id": run_id})
