"""A block that grants whatever fits at one order keeps its (epsilon, delta), however claims adapt to answers."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from privatekube import errors
from privatekube.privacy import renyi_conversion, renyi_filter
from privatekube.privacy.budget import EpsilonDelta, RenyiCurve

ORDERS = (1.25, 1.5, 2.0, 4.0, 16.0)
DEPTH = 7
lifetimes = st.builds(EpsilonDelta, st.floats(0.1, 200), st.floats(1e-12, 0.1))


@given(lifetimes)
def test_the_deltas_of_all_orders_sum_to_the_delta_of_the_block(lifetime: EpsilonDelta) -> None:
    pairs = [pair for pair in renyi_filter.capacity(lifetime).as_pairs() if pair[1] > 0]
    total = math.fsum(renyi_conversion.delta(rho, order=order, epsilon=lifetime.epsilon) for order, rho in pairs)
    assert total == pytest.approx(lifetime.delta, rel=1e-4)


@given(lifetimes)
def test_the_guarantee_of_a_capacity_is_what_it_was_made_from(lifetime: EpsilonDelta) -> None:
    guaranteed = renyi_filter.guarantee(renyi_filter.capacity(lifetime), delta=lifetime.delta)
    assert guaranteed.epsilon == pytest.approx(lifetime.epsilon, rel=1e-6)


@functools.cache
def response_cost(epsilon: float) -> RenyiCurve:
    """Return the exact curve of randomized response."""
    truth = 1 / (1 + math.exp(-epsilon))
    moments = [truth**a * (1 - truth) ** (1 - a) + (1 - truth) ** a * truth ** (1 - a) for a in ORDERS]
    return RenyiCurve(ORDERS, tuple(math.log(m) / (a - 1) for m, a in zip(moments, ORDERS, strict=True)))


def delta_of_tree(strategy: Sequence[float], capacity: RenyiCurve, epsilon: float) -> float:
    """Return the exact delta of randomized responses whose epsilons depend on all answers, granted by `admits`."""

    def visit(node: int, left: RenyiCurve, loss: float, chance: float) -> float:
        asked = strategy[node] if node < len(strategy) else 0.0
        cost = response_cost(asked)
        if asked == 0 or not left.admits(cost, capacity=capacity):
            return chance * max(0.0, 1 - math.exp(epsilon - loss))
        truth, rest = 1 / (1 + math.exp(-asked)), left - cost
        true = visit(2 * node + 1, rest, loss + asked, chance * truth)
        return true + visit(2 * node + 2, rest, loss - asked, chance * (1 - truth))

    return visit(0, capacity, 0.0, 1.0)


@given(
    st.lists(st.floats(0.01, 1.5), min_size=2**DEPTH - 1, max_size=2**DEPTH - 1),
    st.floats(0.5, 3),
    st.sampled_from((1e-3, 0.01, 0.1)),
)
def test_no_adaptive_sequence_of_claims_exceeds_the_guarantee(
    strategy: list[float], epsilon: float, delta: float
) -> None:
    capacity = renyi_filter.capacity(EpsilonDelta(epsilon, delta), ORDERS)
    assert delta_of_tree(strategy, capacity, epsilon) <= delta * (1 + 1e-9)


def test_a_capacity_by_one_order_at_a_time_promises_more_than_is_proven() -> None:
    declared = renyi_conversion.to_renyi(EpsilonDelta(100, 1e-7))
    assert renyi_filter.guarantee(declared, delta=1e-7).epsilon == pytest.approx(100.34, abs=0.01)


def test_orders_that_are_too_low_have_no_capacity_and_orders_are_sorted() -> None:
    curve = renyi_filter.capacity(EpsilonDelta(10, 1e-7), (64, 1.5, 8))
    assert curve.orders == (1.5, 8, 64)
    assert curve.values[0] == 0
    assert 0 < curve.values[1] < curve.values[2] < 10


@pytest.mark.parametrize("lifetime", [EpsilonDelta(1, 0), EpsilonDelta(1, 1), EpsilonDelta(1e-9, 1e-7)])
def test_a_lifetime_that_no_order_can_keep_is_refused(lifetime: EpsilonDelta) -> None:
    with pytest.raises(errors.InvalidBudget):
        renyi_filter.capacity(lifetime)


def test_a_block_without_capacity_guarantees_nothing_to_report() -> None:
    with pytest.raises(errors.InvalidInput, match="no capacity"):
        renyi_filter.guarantee(RenyiCurve((2, 4), (0.0, 0.0)), delta=1e-7)
    with pytest.raises(errors.InvalidInput, match="delta"):
        renyi_filter.guarantee(RenyiCurve((2, 4), (1.0, 1.0)), delta=0.0)
