"""The parts of a block add up exactly, however many claims of whatever size it has served."""

from __future__ import annotations

import math
import random
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from privatekube import errors
from privatekube.privacy.budget import EpsilonDelta, PrivacyBudget, RenyiCurve
from privatekube.resources import transitions
from privatekube.resources.block import PrivateDataBlock, ReturnPolicy
from privatekube.resources.request_id import RequestId
from tests import builders

EPSILON_DELTA = EpsilonDelta(10.0, 1e-7)
RENYI = RenyiCurve((1.5, 4, 64, 1e6), (0.001, 0.7, 3.0, 9.9))
SMALLEST = -11
"""The smallest amounts are ten to this power of the budget."""


def opened(whole: PrivacyBudget, policy: ReturnPolicy = ReturnPolicy.TO_AVAILABLE) -> PrivateDataBlock:
    """Return a block whose budget is all available."""
    block = builders.block(budget=whole)
    block = replace(block, spec=replace(block.spec, budget_return_policy=policy))
    return transitions.require_balance(transitions.unlock(transitions.initialize_status(block), whole))


def like(whole: PrivacyBudget, values: list[float]) -> PrivacyBudget:
    return RenyiCurve(whole.orders, tuple(values)) if isinstance(whole, RenyiCurve) else EpsilonDelta(*values)


def amount(whole: PrivacyBudget, random: random.Random) -> PrivacyBudget:
    """Return an amount that is in each component another small part of the budget."""
    return like(whole, [value * 10 ** random.uniform(SMALLEST, -4) for value in whole.values])


def parts_of(block: PrivateDataBlock) -> list[PrivacyBudget]:
    status = transitions.status_of(block)
    held = (*status.acquired.values(), *status.committed.values(), *transitions.amounts_in_locks(block))
    return [status.pending, status.available, *held]


def require_exact(block: PrivateDataBlock) -> None:
    """Check that the parts add up to half a unit in the last place of the available part."""
    parts, available = parts_of(block), transitions.status_of(block).available
    columns = zip(*(part.values for part in parts), strict=True)
    for column, left, whole in zip(columns, available.values, block.spec.initial_budget.values, strict=True):
        assert abs(math.fsum([*column, -whole])) <= math.ulp(left) / 2


def serve(block: PrivateDataBlock, number: int, random: random.Random) -> PrivateDataBlock:
    """Return the block after one more claim, which consumes or releases what it got in two pieces."""
    asked = amount(block.spec.initial_budget, random)
    piece, claim = asked * random.choice([0.1, 0.5, 1 / 3, 1.0]), f"ns/c{number}"
    begin = random.choice([transitions.begin_commit, transitions.begin_release])
    steps = [(transitions.begin_acquire, asked), (begin, piece), (begin, asked)]
    for index, (step, moved) in enumerate(steps):
        if index == 0:
            block = transitions.require_balance(step(block, RequestId(claim, index), moved))
        elif (held := transitions.status_of(block).acquired.get(claim)) is not None:
            block = transitions.require_balance(step(block, RequestId(claim, index), held.minimum(moved)))
        block = transitions.require_balance(transitions.complete(block, RequestId(claim, index)))
    return block


@pytest.mark.slow
@given(st.sampled_from([EPSILON_DELTA, RENYI]), st.sampled_from(ReturnPolicy), st.integers(0, 2**32))
def test_the_parts_add_up_after_any_claims(whole: PrivacyBudget, policy: ReturnPolicy, seed: int) -> None:
    chance = random.Random(seed)
    block = opened(whole, policy)
    for number in range(8):
        block = serve(block, number, chance)
        require_exact(block)
        block = transitions.require_balance(transitions.unlock(block, whole))


@pytest.mark.slow
def test_the_parts_add_up_after_ten_thousand_claims() -> None:
    chance = random.Random(21)
    block = opened(EPSILON_DELTA)
    for number in range(10_000):
        block = serve(block, number, chance)
    require_exact(block)


def test_nothing_is_lost_of_claims_that_are_small_beside_another_component() -> None:
    """A delta of 9e-12 is much of 1e-7, and nothing beside an epsilon of 10."""
    block = opened(EPSILON_DELTA)
    for number in range(200):
        claim, dust = f"ns/c{number}", EpsilonDelta(0.0, 9e-12)
        block = transitions.begin_acquire(block, RequestId(claim, 0), dust)
        block = transitions.complete(transitions.require_balance(block), RequestId(claim, 0))
        block = transitions.begin_commit(block, RequestId(claim, 1), dust * 0.5)
        block = transitions.complete(transitions.require_balance(block), RequestId(claim, 1))
        assert transitions.status_of(block).acquired[claim].values[1] == 4.5e-12
    require_exact(block)
    assert transitions.status_of(block).available.values[1] == pytest.approx(1e-7 - 200 * 9e-12, rel=1e-12)


def test_what_is_folded_is_never_less_than_what_was_committed() -> None:
    block, spent, chance = opened(EPSILON_DELTA), [], random.Random(1)
    for number in range(3 * transitions.MAX_COMMITTED_ENTRIES):
        request, asked = RequestId(f"ns/c{number}", 0), amount(EPSILON_DELTA, chance)
        block = transitions.complete(transitions.begin_acquire(block, request, asked), request)
        block = transitions.complete(transitions.begin_commit(block, request, asked), request)
        spent.append(asked)
    committed = transitions.status_of(block).committed
    assert transitions.FOLDED in committed
    for component in range(2):
        parts = [part.values[component] for part in committed.values()]
        assert math.fsum([*parts, *(-part.values[component] for part in spent)]) >= 0


def test_a_block_that_lacks_an_amount_in_one_component_is_not_written() -> None:
    block = opened(EPSILON_DELTA)
    request = RequestId("ns/c", 0)
    block = transitions.complete(transitions.begin_acquire(block, request, EpsilonDelta(1.0, 1e-18)), request)
    lost = replace(block, status=replace(transitions.status_of(block), acquired={"ns/c": EpsilonDelta(1.0, 0.0)}))
    with pytest.raises(errors.BudgetExceeded, match="its parts miss epsilon 0, delta 1e-18"):
        transitions.require_balance(lost)


@pytest.mark.parametrize("begin", [transitions.begin_acquire, transitions.begin_commit, transitions.begin_release])
def test_an_amount_without_an_order_of_the_block_moves_nothing(begin: object) -> None:
    assert callable(begin)
    block, request = opened(RENYI), RequestId("ns/c", 0)
    block = transitions.complete(transitions.begin_acquire(block, request, RENYI * 0.1), request)
    with pytest.raises(errors.InvalidBudget, match=r"lacks the orders 1\.5, 64, 1e\+06 of the block"):
        begin(block, RequestId("ns/c", 1), RenyiCurve((4,), (0.01,)))


def test_unlocking_by_an_amount_without_an_order_of_the_block_is_refused() -> None:
    with pytest.raises(errors.InvalidBudget, match="lacks the orders"):
        transitions.unlock(opened(RENYI), RenyiCurve((4,), (0.01,)))


def test_a_block_that_lost_orders_in_an_earlier_version_keeps_the_others() -> None:
    """Then a grant that named one order left only that one in the available part."""
    status = transitions.status_of(opened(RENYI))
    left = RenyiCurve((4,), (0.6,))
    block = builders.block(budget=RENYI)
    lost = replace(block, status=replace(status, available=left, acquired={"ns/c": RenyiCurve((4,), (0.1,))}))
    again = transitions.require_balance(transitions.unlock(lost, RENYI * 0.5))
    request = RequestId("ns/d", 0)
    again = transitions.complete(transitions.begin_acquire(again, request, RENYI * 0.1), request)
    assert transitions.status_of(transitions.require_balance(again)).available.orders == (4,)
