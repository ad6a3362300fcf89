"""Claims on many blocks: blocks with the same amounts share an entry, and all of it is read again."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest

from privatekube import errors
from privatekube.engine import status_room
from privatekube.privacy.budget import STANDARD_ORDERS, EpsilonDelta, PrivacyBudget, RenyiCurve
from privatekube.resources import bounds
from privatekube.resources.claim import ClaimSpec, ClaimStatus, OverdueSettlement, PrivacyBudgetClaim
from privatekube.resources.meta import ObjectMeta
from privatekube.resources.requests import AllocateRequest, BudgetDemand, ConsumeRequest, ReleaseRequest, Request
from privatekube.resources.responses import (
    AllocateResponse,
    Allocation,
    ConsumeResponse,
    ReleaseResponse,
    Response,
    ResponseState,
    Settlement,
)
from privatekube.resources.wire import block_groups, claims

DEMAND: PrivacyBudget = RenyiCurve(STANDARD_ORDERS, tuple(0.1234567 * order for order in STANDARD_ORDERS))
LIMIT_OF_ETCD = 1_572_864


def ids(number: int) -> list[str]:
    return [f"team/reviews-day-{day:05}-bucket-7" for day in range(number)]


def claim(blocks: list[str], demand: PrivacyBudget = DEMAND) -> PrivacyBudgetClaim:
    """Return a claim that released half of what it was granted on its first block, and paid for the rest."""
    first, half = blocks[0], demand * 0.5
    amounts: Mapping[str, PrivacyBudget] = {block_id: half if block_id == first else demand for block_id in blocks}
    requests = (
        Request("0", AllocateRequest("d", BudgetDemand(constant=demand))),
        Request("1", ReleaseRequest({first: half})),
        Request("2", ConsumeRequest.all_or_nothing(amounts)),
    )
    responses = (
        Response(
            "0", ResponseState.SUCCESS, detail=AllocateResponse({key: Allocation(demand) for key in blocks}, 1, 2)
        ),
        Response("1", ResponseState.SUCCESS, detail=ReleaseResponse({first: Settlement(half)})),
        Response("2", ResponseState.SUCCESS, detail=ConsumeResponse({k: Settlement(v) for k, v in amounts.items()})),
    )
    settlement = OverdueSettlement(5, is_consumed=True, budgets={blocks[-1]: half})
    status = ClaimStatus({}, {}, amounts, responses, settlement=settlement)
    return PrivacyBudgetClaim(ObjectMeta("c", "team"), ClaimSpec(requests), status)


@pytest.mark.parametrize("number", [400, 1000, 10_000])
def test_a_claim_on_many_renyi_blocks_survives_a_round_trip_and_fits_an_object_of_etcd(number: int) -> None:
    wide = claim(ids(number))
    text = json.dumps(claims.to_wire(wide), separators=(",", ":"))
    assert len(text) < LIMIT_OF_ETCD
    assert claims.from_store(json.loads(text)) == wide
    assert claims.to_wire(claims.from_wire(json.loads(text))) == json.loads(text)


def test_a_claim_that_fits_is_written_as_privatekube_writes_it() -> None:
    """That is what every claim of an earlier version is: its requests must never be written in another form."""
    wire = claims.to_wire(claim(ids(400)))
    assert block_groups.FIELD not in json.dumps(wire)
    assert wire["status"]["committedBudgets"].keys() == set(ids(400))


def test_blocks_with_the_same_amounts_share_an_entry_and_others_do_not() -> None:
    status = claims.to_wire(claim(ids(1000)))["status"]
    assert {len(group) for group in status[block_groups.FIELD].values()} == {1, 998}
    assert len(status["committedBudgets"]) == 3
    assert len(status["responses"][1]["releaseResponse"]) == len(status["settlement"]["budgets"]) == 1


def document() -> dict[str, Any]:
    wire: dict[str, Any] = json.loads(json.dumps(claims.to_wire(claim(ids(1000)))))
    return wire


def test_a_status_that_lost_its_groups_cannot_be_read_so_nobody_takes_its_budget_as_free() -> None:
    """An API server with the definitions of an earlier version drops the field."""
    wire = document()
    del wire["status"][block_groups.FIELD]
    with pytest.raises(errors.InvalidInput, match="blockGroups is missing; restore a backup"):
        claims.from_store(wire)


def test_a_block_in_two_groups_and_a_key_of_no_group_are_refused() -> None:
    wire = document()
    wire["status"][block_groups.FIELD]["#0"].append(ids(1000)[5])
    with pytest.raises(errors.InvalidInput, match="a block is named twice"):
        claims.from_store(wire)
    wire = document()
    wire["status"]["committedBudgets"]["#9"] = {"epsDel": {"epsilon": 1.0, "delta": 0.0}}
    with pytest.raises(errors.InvalidInput, match="'#9' is not one of blockGroups"):
        claims.from_store(wire)


def test_a_request_names_at_most_so_many_blocks_in_groups() -> None:
    request = {"consume": {"#0": {"epsDel": {"epsilon": 1.0, "delta": 0.0}}}, "blockGroups": {"#0": ids(10_001)}}
    wire = {"metadata": {"name": "c"}, "spec": {"requests": [{"identifier": "0", "consumeRequest": request}]}}
    with pytest.raises(errors.InvalidInput, match=f"must be 0 to {bounds.NAMED_BLOCKS}"):
        claims.from_wire(wire)


@pytest.mark.parametrize("number", [1, 300, 509, 600, 1000, 10_000])
@pytest.mark.parametrize("demand", [DEMAND, EpsilonDelta(0.1, 1e-9)])
def test_what_is_admitted_is_no_smaller_than_what_is_written(number: int, demand: PrivacyBudget) -> None:
    asked = PrivacyBudgetClaim(ObjectMeta("c", "team"), ClaimSpec())
    demands = dict.fromkeys(ids(number), demand)
    status_room.require_claim_fits(asked, demands, needed=number)
    written = len(json.dumps(claims.to_wire(claim(ids(number), demand))))
    assert written < status_room.MOST_CLAIM_BYTES + 20_000  # what its release and settlement add


def test_a_claim_with_another_demand_on_each_of_many_blocks_is_refused() -> None:
    asked = PrivacyBudgetClaim(ObjectMeta("c", "team"), ClaimSpec())
    demands = {block_id: DEMAND * (1 + number) for number, block_id in enumerate(ids(1000))}
    with pytest.raises(errors.InvalidInput, match="demand on 1000 blocks: the claim would take 2,"):
        status_room.require_claim_fits(asked, demands, needed=1000)
