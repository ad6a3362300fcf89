"""What users write is bounded in the code as in the definitions of the kinds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from privatekube import errors
from privatekube.privacy import budget
from privatekube.privacy.budget import EpsilonDelta
from privatekube.resources import bounds
from privatekube.resources.block import BlockSpec, Dimension
from privatekube.resources.claim import ClaimSpec, SettleAfter
from privatekube.resources.requests import BlockCondition, BudgetDemand, ConsumeRequest, RegisterRequest, Request
from privatekube.resources.wire import claims, common
from tests import builders

BASE = Path(__file__).resolve().parent.parent.parent / "manifests" / "base"
Json = dict[str, Any]


def spec_of(plural: str) -> Json:
    """Return the schema of a kind's spec."""
    (version,) = yaml.safe_load((BASE / f"{plural}.yaml").read_text())["spec"]["versions"]
    spec: Json = version["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]
    return spec


def largest_amounts(amount: Json) -> set[float | None]:
    """Return the bounds on the components of a budget in a schema; None where there is none."""
    components = amount["properties"]["epsDel"]["properties"]
    order = amount["properties"]["renyi"]["items"]["properties"]["epsilon"]
    return {part.get("maximum") for part in (components["epsilon"], components["delta"], order)}


def test_the_definition_of_claims_has_the_same_bounds() -> None:
    spec = spec_of("privacybudgetclaims")
    request = spec["requests"]["items"]["properties"]
    allocate, consume = request["allocateRequest"]["properties"], request["consumeRequest"]["properties"]
    register, condition = request["registerRequest"]["properties"], allocate["conditions"]["items"]["properties"]
    demand = allocate["expectedBudget"]["properties"]
    assert spec["requests"]["maxItems"] == bounds.REQUESTS
    assert spec["ownedBy"]["maxItems"] == bounds.OWNERS
    assert allocate["conditions"]["maxItems"] == bounds.CONDITIONS
    assert demand["budgetMap"]["maxProperties"] == demand["blockGroups"]["maxProperties"] == bounds.MAP_ENTRIES
    assert demand["blockGroups"]["additionalProperties"]["maxItems"] == bounds.NAMED_BLOCKS
    assert f"size(block) <= {bounds.BLOCK_ID}" in demand["budgetMap"]["x-kubernetes-validations"][0]["rule"]
    assert demand["constant"]["properties"]["renyi"]["maxItems"] == bounds.ORDERS
    paid, given_back = consume["consume"], request["releaseRequest"]["properties"]["release"]
    for amounts in (demand["constant"], demand["budgetMap"]["additionalProperties"]):
        assert largest_amounts(amounts) == {budget.LARGEST_AMOUNT}
    for amounts in (paid["additionalProperties"], given_back["additionalProperties"]):
        assert largest_amounts(amounts) == {budget.LARGEST_AMOUNT}
    assert consume["mechanisms"]["maxItems"] == bounds.MECHANISMS
    assert register["outputs"]["maxItems"] == register["inputs"]["maxItems"] == bounds.FILES
    assert allocate["timeout"]["maximum"] == bounds.LONGEST_MS
    assert spec["settleAfter"]["properties"]["time"]["maximum"] == bounds.LATEST_MS
    assert spec["settleAfter"]["properties"]["seconds"]["maximum"] * 1000 == bounds.LONGEST_MS
    texts = [request["identifier"], allocate["dataset"], condition["attribute"], demand["function"], register["step"]]
    texts += [consume["policy"], request["releaseRequest"]["properties"]["policy"], consume["mechanisms"]["items"]]
    assert {text["maxLength"] for text in texts} == {bounds.NAME}
    assert condition["operation"]["maxLength"] == bounds.OPERATION
    assert condition["numericValue"]["maxLength"] == bounds.NUMBER
    assert {condition["stringValue"]["maxLength"], register["event"]["maxLength"]} == {bounds.TEXT}


def test_the_definition_of_blocks_has_the_same_bounds() -> None:
    spec = spec_of("privatedatablocks")
    dimension, flow = spec["dimensions"]["items"]["properties"], spec["flowReleasingOption"]["properties"]
    assert spec["initialBudget"]["properties"]["renyi"]["maxItems"] == bounds.ORDERS
    assert largest_amounts(spec["initialBudget"]) == {1, budget.LARGEST_AMOUNT}  # a delta is at most 1
    assert spec["dimensions"]["maxItems"] == bounds.DIMENSIONS
    assert {spec["dataset"]["maxLength"], dimension["attribute"]["maxLength"]} == {bounds.NAME}
    assert {spec["dataSource"]["maxLength"], dimension["stringValue"]["maxLength"]} == {bounds.TEXT}
    assert dimension["numericValue"]["maxLength"] == bounds.NUMBER
    assert {flow[name]["maximum"] for name in ("startTime", "endTime", "duration")} == {bounds.LATEST_MS}


DIGEST = f"sha256:{'1' * 64}"
TOO_LARGE: dict[str, Callable[[], object]] = {
    "dataset": lambda: replace(builders.allocate(), dataset="d" * 254),
    "conditions": lambda: replace(builders.allocate(), conditions=(BlockCondition("a", "is", "1"),) * 33),
    "condition.attribute": lambda: BlockCondition("a" * 254, "is"),
    "condition.operation": lambda: BlockCondition("a", "i" * 33),
    "numericValue of a": lambda: BlockCondition("a", "<", "1" * 65),
    "stringValue of a": lambda: BlockCondition("a", "is", string_value="1" * 2049),
    "budgetMap": lambda: BudgetDemand(by_block={f"ns/b{number}": EpsilonDelta(1.0) for number in range(10_001)}),
    "function": lambda: BudgetDemand(function="f" * 254),
    "mechanisms": lambda: ConsumeRequest({}, mechanisms=("m",) * 65),
    "policy": lambda: ConsumeRequest({}, "p" * 254),
    "identifier": lambda: Request("i" * 254, builders.allocate()),
    "registerRequest.step": lambda: RegisterRequest("s" * 254, (DIGEST,)),
    "registerRequest.event": lambda: RegisterRequest("s", (DIGEST,), event="e" * 2049),
    "registerRequest.outputs": lambda: RegisterRequest("s", (DIGEST,) * 17),
    "ownedBy": lambda: ClaimSpec(owned_by=({},) * 65),
    "spec.requests": lambda: ClaimSpec((Request("1", builders.allocate()),) * 256).with_request(
        Request("1", builders.allocate())
    ),
    "settleAfter.seconds": lambda: SettleAfter(10 * 366 * 86_400 + 1, 0),
    "settleAfter.time": lambda: SettleAfter(1, 2**53),
    "dataSource": lambda: BlockSpec(EpsilonDelta(1.0), "d", "s" * 2049),
    "dimensions": lambda: BlockSpec(EpsilonDelta(1.0), "d", "s", (Dimension("a", "1"),) * 65),
    "dimension.attribute": lambda: Dimension("a" * 254, "1"),
}


@pytest.mark.parametrize("name", TOO_LARGE)
def test_what_is_too_large_is_refused_by_name(name: str) -> None:
    with pytest.raises(errors.InvalidInput, match=rf"^{name}: .* must be "):
        TOO_LARGE[name]()


def test_a_curve_with_too_many_orders_is_refused() -> None:
    rows = [{"alpha": 2 + number, "epsilon": 0.1} for number in range(65)]
    with pytest.raises(errors.InvalidBudget, match="65 orders must be at most 64"):
        common.budget_from_wire({"renyi": rows})


def test_a_request_that_is_too_large_fails_by_itself() -> None:
    wire = claims.to_wire(builders.claim("c", builders.allocate(), builders.allocate()))
    wire["spec"]["requests"][0]["identifier"] = "i" * 300
    wire["spec"]["requests"][0]["allocateRequest"]["conditions"] = [{"attribute": "a", "operation": "is"}] * 33
    bad, good = claims.from_store(wire).spec.requests
    assert "conditions: '33 conditions' must be 0 to 32" in str(bad.action)
    assert good.action == builders.allocate()
    with pytest.raises(errors.InvalidInput):
        claims.from_wire(wire)
