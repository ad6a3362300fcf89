"""The wire form: round trips, PrivateKube's field names, and faults with their paths."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given

from privatekube import errors
from privatekube.privacy.budget import EpsilonDelta, PrivacyBudget, RenyiCurve
from privatekube.resources.block import BlockStatus, Lock, LockState, PrivateDataBlock
from privatekube.resources.claim import PrivacyBudgetClaim
from privatekube.resources.request_id import RequestId
from privatekube.resources.requests import AllocateRequest, MalformedRequest
from privatekube.resources.wire import blocks, claims, common
from tests import builders
from tests.resources import strategies


@given(strategies.budgets)
def test_a_budget_survives_a_round_trip(whole: PrivacyBudget) -> None:
    assert common.budget_from_wire(json.loads(json.dumps(common.budget_to_wire(whole)))) == whole


def test_equal_curves_are_one_object_and_a_negative_zero_stays_what_a_digest_is_of() -> None:
    def read(epsilon: float) -> RenyiCurve:
        curve = common.budget_from_wire({"renyi": [{"alpha": 2, "epsilon": epsilon}, {"alpha": 4.5, "epsilon": 1}]})
        assert isinstance(curve, RenyiCurve)
        return curve

    assert read(0.5) is read(0.5)
    assert read(0.5) == RenyiCurve((2.0, 4.5), (0.5, 1.0))
    assert [math.copysign(1.0, read(zero).epsilons[0]) for zero in (0.0, -0.0, 0.0)] == [1.0, -1.0, 1.0]


@given(strategies.blocks())
@pytest.mark.slow
def test_a_block_survives_a_round_trip(block: PrivateDataBlock) -> None:
    wire = blocks.to_wire(block)
    assert blocks.from_wire(json.loads(json.dumps(wire))) == block
    assert blocks.to_wire(blocks.from_wire(wire)) == wire


@given(strategies.claims)
@pytest.mark.slow
def test_a_claim_survives_a_round_trip(claim: PrivacyBudgetClaim) -> None:
    wire = claims.to_wire(claim)
    assert claims.from_wire(json.loads(json.dumps(wire))) == claim
    assert claims.from_store(wire) == claim
    assert claims.to_wire(claims.from_wire(wire)) == wire


def test_the_field_names_are_those_of_privatekube() -> None:
    wire = claims.to_wire(builders.claim("c", builders.allocate(0.5, 1e-9, blocks=2, timeout_ms=2000)))
    assert wire == {
        "apiVersion": "columbia.github.com/v1",
        "kind": "PrivacyBudgetClaim",
        "metadata": {"name": "c", "namespace": "ns", "generation": 1},
        "spec": {
            "requests": [
                {
                    "identifier": "0",
                    "allocateRequest": {
                        "dataset": "d",
                        "minNumberOfBlocks": 2,
                        "maxNumberOfBlocks": 2,
                        "expectedBudget": {"constant": {"epsDel": {"epsilon": 0.5, "delta": 1e-9}}},
                        "timeout": 2000,
                    },
                }
            ]
        },
        "status": {},
    }


def test_other_metadata_is_preserved_but_not_what_an_api_server_keeps_of_its_fields() -> None:
    wire = claim_of({"releaseRequest": {"release": {}}})
    wire["metadata"] |= {"finalizers": ["example.com/keep"], "managedFields": [{"manager": "kubectl"}]}
    assert claims.from_wire(wire).meta.other == {"finalizers": ["example.com/keep"]}


@pytest.mark.parametrize("document", [None, {}])
def test_an_empty_budget_is_read_as_none(document: Any) -> None:
    assert common.budget_from_wire(document) is None
    assert common.budget_to_wire(None) == {}


def claim_of(request: Any) -> dict[str, Any]:
    return {"metadata": {"name": "c", "namespace": "ns"}, "spec": {"requests": [{"identifier": "0", **request}]}}


def test_zeros_and_empty_objects_have_the_meaning_of_privatekube() -> None:
    wire = claim_of(
        {
            "allocateRequest": {
                "dataset": "d",
                "maxNumberOfBlocks": 0,
                "minNumberOfBlocks": 0,
                "timeout": 0,
                "minBudget": {},
                "expectedBudget": {"constant": {"epsDel": {"epsilon": 1}}},
            }
        }
    )
    (request,) = claims.from_wire(wire).spec.requests
    assert isinstance(request.action, AllocateRequest)
    assert request.action.max_blocks is None
    assert request.action.min_blocks is None
    assert request.action.timeout_ms is None
    assert request.action.min_budget is None
    assert request.action.expected_budget.constant == EpsilonDelta(1.0, 0.0)


EXPECTED = "spec.requests[0].allocateRequest.expectedBudget.constant"


@pytest.mark.parametrize(
    ("constant", "path"),
    [
        ({"epsDel": {"epsilon": "1e-9"}}, f"{EXPECTED}.epsDel.epsilon: '1e-9' must be a number"),
        ({"epsDel": {"epsilon": True}}, f"{EXPECTED}.epsDel.epsilon: True must be a number"),
        ({"epsDel": {"epsilon": math.nan}}, f"{EXPECTED}: epsilon: nan must be a finite number"),
        ({"epsDel": {"epsilon": 1, "delta": math.inf}}, f"{EXPECTED}: delta: inf must be a finite number"),
        ({"epsDel": {}, "renyi": []}, f"{EXPECTED}: has ['epsDel', 'renyi']; give either"),
        ({"laplace": 1}, f"{EXPECTED}: has ['laplace']; give either"),
        ({"renyi": [{"alpha": 1, "epsilon": 1}]}, f"{EXPECTED}: alpha: 1.0 must be a finite number above 1"),
        ({"renyi": [{"alpha": 2}, {"alpha": 2}]}, f"{EXPECTED}: alpha: 2.0 is given twice"),
        ({"renyi": [{"alpha": 2, "epsilon": 10**400}]}, f"{EXPECTED}.renyi[0].epsilon: 1000"),
        ({"renyi": [{"alpha": 2, "epsilon": True}]}, f"{EXPECTED}.renyi[0].epsilon: True must be a number"),
        ({"renyi": [{"alpha": 2, "epsilon": math.nan}]}, f"{EXPECTED}: epsilons: (nan,) must be finite"),
        ({"renyi": [[2, 1]]}, f"{EXPECTED}.renyi[0]: [2, 1] is not an object"),
        ({"renyi": {"alpha": 2}}, f"{EXPECTED}.renyi: {{'alpha': 2}} must be a list"),
        ([1], f"{EXPECTED}: [1] is not an object"),
    ],
)
def test_a_malformed_budget_is_refused_with_its_path(constant: Any, path: str) -> None:
    wire = claim_of({"allocateRequest": {"dataset": "d", "expectedBudget": {"constant": constant}}})
    with pytest.raises(errors.InvalidInput) as refused:
        claims.from_wire(wire)
    assert str(refused.value).startswith(path)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"metadata": {}}, "metadata.name: None must be a string"),
        ({"metadata": {"name": "no/slash"}}, "metadata.name: 'no/slash' must be letters"),
        ({"metadata": {"name": "c", "annotations": [1]}}, r"metadata.annotations: [1] is not an object"),
        ({"spec": {"requests": [{}]}}, "spec.requests[0]: has no request; give exactly one of"),
        ({"spec": {"requests": {}}}, "spec.requests: {} must be a list"),
        ({"spec": {"priority": 1.5}}, "spec.priority: 1.5 must be an integer"),
        ({"status": {"responses": [{"state": "weird"}]}}, "status.responses[0].state: 'weird' is not one of pending"),
    ],
)
def test_a_malformed_claim_is_refused_with_its_path(changes: Any, fault: str) -> None:
    with pytest.raises(errors.InvalidInput) as refused:
        claims.from_wire({"metadata": {"name": "c"}, **changes})
    assert str(refused.value).startswith(fault)


@pytest.mark.parametrize(
    ("spec", "fault"),
    [
        ({"initialBudget": {}}, "spec.initialBudget: missing"),
        ({"initialBudget": {"epsDel": {"epsilon": -1}}}, "spec.initialBudget: -1.0 is negative"),
        ({"dataset": 7}, "spec.dataset: 7 must be a string"),
        ({"releaseMode": "never"}, "spec.releaseMode: 'never' is not one of base, flow"),
        ({"dimensions": [{"attribute": "n"}]}, "spec.dimensions[0]: dimension n: needs exactly one of"),
        (
            {"dimensions": [{"attribute": "n", "numericValue": "1e5"}]},
            "spec.dimensions[0]: numericValue of n: '1e5' is not a decimal number",
        ),
        ({"flowReleasingOption": {"duration": -1}}, "spec.flowReleasingOption.duration: -1 must be 0 or more"),
    ],
)
def test_a_malformed_block_is_refused_with_its_path(spec: Any, fault: str) -> None:
    sound = {"dataset": "d", "initialBudget": {"epsDel": {"epsilon": 1}}}
    with pytest.raises(errors.InvalidInput) as refused:
        blocks.from_wire({"metadata": {"name": "b"}, "spec": {**sound, **spec}})
    assert str(refused.value).startswith(fault)


def test_a_stored_request_that_cannot_be_read_is_kept_with_its_fault() -> None:
    wire = claim_of({"allocateRequest": {"dataset": "d", "timeout": -5, "expectedBudget": {}}})
    claim = claims.from_store(wire)
    (request,) = claim.spec.requests
    assert isinstance(request.action, MalformedRequest)
    assert request.action.fault.startswith("spec.requests[0].allocateRequest.timeout: -5 must be 0 or more")
    assert claims.to_wire(claim)["spec"]["requests"] == wire["spec"]["requests"]


def test_a_single_condition_is_checked() -> None:
    assert claims.condition_from_wire({"attribute": "a", "operation": "is", "stringValue": "x"}).attribute == "a"
    with pytest.raises(errors.InvalidInput, match="condition: \\['colour'\\] is unknown"):
        claims.condition_from_wire({"attribute": "a", "operation": "is", "colour": "x"})


def test_the_orders_of_a_curve_are_sorted() -> None:
    wire = {"renyi": [{"alpha": 4, "epsilon": 0.5}, {"alpha": 2, "epsilon": 0.25}]}
    assert common.budget_from_wire(wire) == RenyiCurve((2.0, 4.0), (0.25, 0.5))


@pytest.mark.parametrize("key", ["", "c/0", "ns/c", "ns/c/", "ns/c/-1", "ns/c/01", "ns/c/x", "a/b/c/0"])
def test_a_lock_under_a_key_that_is_not_a_request_id_is_refused_with_its_path(key: str) -> None:
    wire = blocks.to_wire(builders.block())
    wire["status"] = {"lockedBudgetMap": {key: {"state": "dpf_reserved"}}}
    with pytest.raises(errors.InvalidInput) as refused:
        blocks.from_wire(wire)
    assert str(refused.value).startswith(f"status.lockedBudgetMap[{key}]: request id: '{key}' must be namespace/claim/")


@pytest.mark.parametrize("rest", [{}, {"pendingBudget": {}}, {"conditions": []}])
def test_a_status_that_does_not_say_where_the_budget_is_was_lost(rest: dict[str, Any]) -> None:
    """Read as a status with nothing left and nothing committed, it would never be restored from the ledger."""
    wire = blocks.to_wire(builders.block())
    wire["status"] = {"controllerEpoch": 3, "left": "epsilon 1", "waitingClaims": 0, **rest}
    assert blocks.from_wire(wire).status is None


def test_locks_are_written_in_the_order_of_their_keys() -> None:
    lock = Lock(LockState.DPF_RESERVED)
    status = BlockStatus(
        EpsilonDelta(1.0), EpsilonDelta(0.0), locks={RequestId("ns/c", index): lock for index in (2, 10)}
    )
    wire = blocks.to_wire(replace(builders.block(), status=status))
    assert list(wire["status"]["lockedBudgetMap"]) == ["ns/c/10", "ns/c/2"]
