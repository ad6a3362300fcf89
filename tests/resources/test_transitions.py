"""The transitions of a block, and the balance that all of them keep."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from privatekube import errors
from privatekube.privacy.budget import EpsilonDelta, RenyiCurve
from privatekube.resources import transitions
from privatekube.resources.block import LockState, PrivateDataBlock, ReturnPolicy
from privatekube.resources.request_id import RequestId
from tests import builders

WHOLE = EpsilonDelta(1.0, 1e-6)
TENTH = EpsilonDelta(0.1, 1e-7)


@pytest.fixture
def opened() -> PrivateDataBlock:
    """Return a block with all of its budget unlocked."""
    return transitions.unlock(transitions.initialize_status(builders.block(budget=WHOLE)), WHOLE)


def test_only_a_new_block_gets_an_initial_status_with_all_budget_pending(opened: PrivateDataBlock) -> None:
    new = transitions.initialize_status(builders.block(budget=WHOLE))
    assert transitions.status_of(new).pending == WHOLE
    assert transitions.status_of(new).available == EpsilonDelta(0, 0)
    spent = transitions.complete(transitions.begin_acquire(opened, RequestId("ns/c", 0), WHOLE), RequestId("ns/c", 0))
    assert transitions.initialize_status(spent) == spent


def test_a_block_of_known_data_lacks_what_was_committed_before() -> None:
    status = transitions.status_of(transitions.initialize_status(builders.block(budget=WHOLE), {"ns/c": TENTH}))
    assert status.committed == {"ns/c": TENTH}
    assert status.pending == WHOLE - TENTH


def test_no_demand_fits_an_overdrawn_order_of_a_block_of_known_data() -> None:
    """Otherwise a demand of zero at this order would fit, and exceed the budget at every other order."""
    block = builders.block(budget=RenyiCurve((2, 4), (1.0, 1.0)))
    again = transitions.initialize_status(block, {"ns/c": RenyiCurve((2, 4), (3.0, 0.5))})
    status = transitions.status_of(transitions.require_balance(again))
    assert status.available == RenyiCurve((2, 4), (-2.0, 0.0))
    assert status.pending == RenyiCurve((2, 4), (0.0, 0.5))
    with pytest.raises(errors.BudgetUnavailable):
        transitions.begin_acquire(again, RequestId("ns/d", 0), RenyiCurve((2, 4), (0.0, 5.0)))


def test_unlocking_never_exceeds_the_pending_budget() -> None:
    half = transitions.unlock(transitions.initialize_status(builders.block(budget=WHOLE)), WHOLE * 0.75)
    assert transitions.status_of(transitions.unlock(half, WHOLE * 0.75)).available == WHOLE


def test_a_grant_that_does_not_fit_is_refused_and_an_exact_fit_is_not(opened: PrivateDataBlock) -> None:
    with pytest.raises(errors.BudgetUnavailable, match=r"block ns/b: asked epsilon 1\.1"):
        transitions.begin_acquire(opened, RequestId("ns/c", 0), EpsilonDelta(1.1, 0.0))
    block = opened
    for index in range(10):
        block = transitions.begin_acquire(block, RequestId("ns/c", index), TENTH)
    with pytest.raises(errors.BudgetUnavailable):
        transitions.begin_acquire(block, RequestId("ns/c", 10), EpsilonDelta(1e-9, 0.0))


def test_a_lock_holds_its_amount_until_it_is_completed_or_undone(opened: PrivateDataBlock) -> None:
    locked = transitions.begin_acquire(opened, RequestId("ns/c", 0), TENTH, owner="uid")
    assert transitions.amounts_in_locks(transitions.require_balance(locked)) == [TENTH]
    assert transitions.status_of(transitions.complete(locked, RequestId("ns/c", 0))).acquired == {"ns/c": TENTH}
    assert transitions.undo(locked, RequestId("ns/c", 0)) == opened
    granted = transitions.complete(locked, RequestId("ns/c", 0))
    committing = transitions.begin_commit(granted, RequestId("ns/c", 1), TENTH)
    assert transitions.status_of(committing).acquired == {}
    assert transitions.undo(committing, RequestId("ns/c", 1)) == granted
    assert transitions.status_of(transitions.complete(committing, RequestId("ns/c", 1))).committed == {"ns/c": TENTH}


@pytest.mark.parametrize("policy", ReturnPolicy)
def test_released_budget_follows_the_return_policy_of_the_block(opened: PrivateDataBlock, policy: ReturnPolicy) -> None:
    block = replace(opened, spec=replace(opened.spec, budget_return_policy=policy))
    granted = transitions.complete(transitions.begin_acquire(block, RequestId("ns/c", 0), TENTH), RequestId("ns/c", 0))
    status = transitions.status_of(
        transitions.complete(transitions.begin_release(granted, RequestId("ns/c", 1), TENTH), RequestId("ns/c", 1))
    )
    available = status.available if policy is ReturnPolicy.TO_AVAILABLE else status.available + TENTH
    assert available == transitions.status_of(opened).available
    assert not status.acquired


@pytest.mark.parametrize("policy", ReturnPolicy)
@pytest.mark.parametrize("is_undone", [False, True])
def test_a_demand_far_above_an_order_comes_back_without_an_error_that_sticks(
    policy: ReturnPolicy, is_undone: bool
) -> None:
    """A Gaussian costs millions at the order that stands for infinity: a float so large loses digits of the rest."""
    whole, demand = RenyiCurve((2, 1e6), (1.0, 9.7)), RenyiCurve((2, 1e6), (0.1, 1e8 / 7))
    block = builders.block(budget=whole)
    spec = replace(block.spec, budget_return_policy=policy)
    block = transitions.unlock(transitions.initialize_status(replace(block, spec=spec)), whole)
    first, second = RequestId("ns/c", 0), RequestId("ns/c", 1)
    held = transitions.require_balance(transitions.begin_acquire(block, first, demand))
    if is_undone:
        back = transitions.undo(held, first)
    else:
        returning = transitions.begin_release(transitions.complete(held, first), second, demand)
        back = transitions.complete(transitions.require_balance(returning), second)
    back = transitions.require_balance(back)
    again = transitions.require_balance(transitions.unlock(back, whole * 1e9))
    assert transitions.status_of(again).available == whole


def test_an_amount_that_is_zero_up_to_rounding_is_removed(opened: PrivateDataBlock) -> None:
    block = transitions.complete(
        transitions.begin_acquire(opened, RequestId("ns/c", 0), EpsilonDelta(0.3)), RequestId("ns/c", 0)
    )
    for index in range(1, 4):
        request = RequestId("ns/c", index)
        block = transitions.complete(transitions.begin_commit(block, request, EpsilonDelta(0.1)), request)
    assert transitions.status_of(block).acquired == {}
    assert transitions.status_of(transitions.require_balance(block)).committed["ns/c"].values[0] == pytest.approx(0.3)


def test_a_deleted_block_is_charged_what_is_committed_acquired_and_locked(opened: PrivateDataBlock) -> None:
    block = transitions.complete(
        transitions.begin_acquire(opened, RequestId("ns/c", 0), EpsilonDelta(0.5)), RequestId("ns/c", 0)
    )
    block = transitions.complete(
        transitions.begin_commit(block, RequestId("ns/c", 1), EpsilonDelta(0.25)), RequestId("ns/c", 1)
    )
    block = transitions.begin_release(block, RequestId("ns/c", 2), EpsilonDelta(0.125))
    block = transitions.begin_acquire(block, RequestId("ns/d", 0), EpsilonDelta(0.0625))
    assert transitions.charges(block) == {"ns/c": EpsilonDelta(0.5), "ns/d": EpsilonDelta(0.0625)}
    assert transitions.charges(builders.block()) == {}


def test_a_block_whose_parts_do_not_add_up_is_refused(opened: PrivateDataBlock) -> None:
    status = transitions.status_of(opened)
    for change in ({"pending": TENTH}, {"acquired": {"ns/c": TENTH}}, {"available": WHOLE - TENTH}):
        with pytest.raises(errors.BudgetExceeded, match="its parts miss"):
            transitions.require_balance(replace(opened, status=replace(status, **change)))


STEPS = ("unlock", "acquire", "commit", "abort", "complete", "undo")


@given(st.lists(st.tuples(st.sampled_from(STEPS), st.floats(0, 1), st.integers(0, 2)), max_size=30), st.booleans())
def test_any_sequence_of_transitions_keeps_the_balance(steps: list[tuple[str, float, int]], renyi: bool) -> None:
    whole = builders.curve(0.5, 1.0, 2.0) if renyi else WHOLE
    block = transitions.initialize_status(builders.block(budget=whole))
    for number, (step, part, claim_number) in enumerate(steps):
        block = transitions.require_balance(_next(block, step, part, f"ns/c{claim_number}", number))
        for lock in transitions.status_of(block).locks.values():
            assert lock.state in LockState


def _next(block: PrivateDataBlock, step: str, part: float, claim: str, number: int) -> PrivateDataBlock:
    status, request = transitions.status_of(block), RequestId(claim, number)
    amount = block.spec.initial_budget * part
    locked = next((other for other in status.locks if other.claim == claim), None)
    if step == "unlock":
        return transitions.unlock(block, amount)
    if step == "acquire" and status.available.admits(amount, capacity=block.spec.initial_budget):
        return transitions.begin_acquire(block, request, amount)
    if step in ("commit", "abort") and claim in status.acquired:
        moving = transitions.begin_commit if step == "commit" else transitions.begin_release
        return moving(block, request, status.acquired[claim] * part)
    if step in ("complete", "undo") and locked is not None:
        return (transitions.complete if step == "complete" else transitions.undo)(block, locked)
    return block
