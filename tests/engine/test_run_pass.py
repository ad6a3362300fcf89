"""A pass as a function: a world and a policy in, an ordered list of changes out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from privatekube.engine import changes, outcome
from privatekube.engine.changes import Answer, BlockChange, Change, LedgerEntry
from privatekube.engine.run_pass import run_pass
from privatekube.engine.world import World
from privatekube.privacy.budget import EpsilonDelta
from privatekube.resources import transitions
from privatekube.resources.block import PrivateDataBlock
from privatekube.resources.claim import ClaimSpec, PrivacyBudgetClaim
from privatekube.resources.requests import AllocateRequest, ConsumeRequest, ReleaseRequest, Request
from privatekube.scheduling.policy import Policy
from tests import builders

HALF = EpsilonDelta(0.5)
CONSUME = ConsumeRequest({"ns/a": HALF, "ns/b": HALF})
UNLOCKS = ["all", "n=2", "t=1s,10s"]


def block(name: str) -> PrivateDataBlock:
    made = builders.block(name, digest=f"sha256:{name}")
    return replace(made, meta=replace(made.meta, uid=f"uid-{name}", creation_time_ms=1))


def claim(name: str, *actions: AllocateRequest | ConsumeRequest | ReleaseRequest) -> PrivacyBudgetClaim:
    made = builders.claim(name)
    requests = tuple(Request(str(index), action) for index, action in enumerate(actions))
    return replace(made, meta=replace(made.meta, uid=f"uid-{name}"), spec=ClaimSpec(requests))


def world(*claims: PrivacyBudgetClaim) -> World:
    """Return a world of two new blocks, with these claims."""
    return World(20_000, {item.id: item for item in map(block, "ab")}, {item.id: item for item in claims})


def policy(unlock: str = "all") -> Policy:
    return Policy.parse({"unlock": unlock})


def written(decided: Sequence[Change], kind: type[Change]) -> list[int]:
    """Return the numbers of the segments with a change of this type."""
    segments = list(changes.segments(decided))
    return [number for number, segment in enumerate(segments) if any(isinstance(change, kind) for change in segment)]


@pytest.mark.parametrize("unlock", UNLOCKS)
def test_the_same_world_gives_the_same_changes_and_stays_as_it_is(unlock: str) -> None:
    def fresh() -> World:
        return world(claim("c", builders.allocate(0.5), CONSUME), claim("d", builders.allocate(0.75)))

    given = fresh()
    assert run_pass(given, policy(unlock)) == run_pass(given, policy(unlock))
    assert given == fresh()


@pytest.mark.parametrize("unlock", UNLOCKS)
def test_after_its_changes_a_pass_has_nothing_left_to_decide(unlock: str) -> None:
    given = world(claim("c", builders.allocate(0.5), CONSUME), claim("d", builders.allocate(0.75)))
    later = outcome.after(given, run_pass(given, policy(unlock)))
    assert all(item.status is not None for item in later.blocks.values())
    assert run_pass(later, policy(unlock)) == ()


def test_locks_are_before_the_answer_and_the_ledger_between_the_answer_and_the_completion() -> None:
    admitted = outcome.after(world(), run_pass(world(), policy()))
    granted = outcome.with_claims(admitted, {"ns/c": claim("c", builders.allocate(0.5))})
    granted = outcome.after(granted, run_pass(granted, policy()))
    asking = replace(
        granted.closed_claims.get("ns/c") or granted.open_claims["ns/c"],
        spec=claim("c", builders.allocate(0.5), CONSUME).spec,
    )
    decided = run_pass(outcome.with_claims(granted, {"ns/c": asking}), policy())
    assert written(decided, BlockChange) == [0, 3]
    assert written(decided, Answer) == [1]
    assert written(decided, LedgerEntry) == [2]
    locked, *_, completed = changes.segments(decided)
    for change in (*locked, *completed):
        assert isinstance(change, BlockChange)
        assert bool(transitions.status_of(change.block).locks) is not change.may_wait


def test_changes_without_a_barrier_in_between_are_of_one_type_and_of_different_objects() -> None:
    given = world(*(claim(name, builders.allocate(0.25), CONSUME, CONSUME) for name in "cdef"))
    for segment in changes.segments(run_pass(given, policy())):
        assert len({type(change) for change in segment}) == 1
        assert len({changes.key(change) for change in segment}) == len(segment)


def test_answers_with_nothing_to_lock_in_between_are_one_change() -> None:
    given = world(claim("c", builders.allocate(0.5, blocks=9), ReleaseRequest({}), ReleaseRequest({})))
    (answer,) = (change for change in run_pass(given, policy()) if isinstance(change, Answer))
    assert len(answer.claim.status.responses) == 3


def test_a_claim_may_hold_budget_of_two_datasets() -> None:
    visits = replace(block("b"), spec=replace(block("b").spec, dataset="visits"))
    asking = claim("c", builders.allocate(0.25), builders.allocate(0.5, dataset="visits"))
    given = World(20_000, {item.id: item for item in (block("a"), visits)}, {asking.id: asking})
    later = outcome.after(given, run_pass(given, policy()))
    (held,) = (*later.open_claims.values(), *later.closed_claims.values())
    assert held.status.acquired == {"ns/a": EpsilonDelta(0.25), "ns/b": HALF}
