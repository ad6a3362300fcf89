"""Mechanisms that are chosen one after the other never cost a block more than it granted for them."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from privatekube import errors
from privatekube.privacy import accounting, adaptive, arithmetic, events
from privatekube.privacy.adaptive import Allowance
from privatekube.privacy.budget import STANDARD_ORDERS, EpsilonDelta, RenyiCurve

EPSILONS = st.floats(1e-3, 5.0)
SENSITIVITIES = st.integers(1, 5)


@given(st.lists(st.tuples(EPSILONS, SENSITIVITIES), min_size=1, max_size=5))
def test_pure_mechanisms_within_the_limit_cost_at_most_the_price_at_every_order(parts: list[tuple[float, int]]) -> None:
    ran = [events.discrete_laplace(sensitivity / epsilon, sensitivity) for epsilon, sensitivity in parts]
    demand = EpsilonDelta(math.fsum(epsilon for epsilon, _ in parts), 1e-9)
    allowance = Allowance.on(demand, orders=STANDARD_ORDERS)
    allowance.require_room("all", [adaptive.cost(event, delta=0.0) for event in ran])
    paid = accounting.renyi_cost(events.composition(*ran), STANDARD_ORDERS)
    assert isinstance(allowance.price, RenyiCurve)
    for cost, granted in zip(paid.values, allowance.price.values, strict=True):
        assert cost <= granted * (1 + 1e-9)


@pytest.mark.parametrize("epsilon", [0.01, 1.0, 5.0])
@pytest.mark.parametrize("order", [1.5, 2.0, 8.0, 64.0])
def test_what_a_renyi_block_grants_is_the_curve_of_randomised_response(epsilon: float, order: float) -> None:
    truth = 1 / (1 + math.exp(-epsilon))
    lie = 1 - truth
    total = truth**order * lie ** (1 - order) + lie**order * truth ** (1 - order)
    price = Allowance.on(EpsilonDelta(epsilon), orders=(order,)).price
    assert price.values[0] == pytest.approx(math.log(total) / (order - 1), rel=1e-6)


def test_with_epsilon_and_delta_both_are_summed_up() -> None:
    allowance = Allowance.on(EpsilonDelta(1.0, 1e-9), orders=None)
    assert allowance.price == EpsilonDelta(1.0, 1e-9)
    costs = [EpsilonDelta(0.1, 1e-10)] * 10
    allowance.require_room("tenth", costs)
    with pytest.raises(errors.BudgetExceeded, match=r"more: would take the run to epsilon 1, delta 1\.1e-09"):
        allowance.require_room("more", [*costs, EpsilonDelta(0.0, 1e-10)])
    with pytest.raises(errors.BudgetExceeded, match=r"more: would take the run to epsilon 1\.1, delta 1e-09"):
        allowance.require_room("more", [*costs, EpsilonDelta(0.1)])


def test_a_mechanism_costs_the_epsilon_that_it_has_at_its_delta() -> None:
    noisy_steps = events.poisson_gaussian(0.1, 2.0, 10)
    assert adaptive.cost(noisy_steps, delta=1e-6).epsilon == accounting.epsilon(noisy_steps, 1e-6)
    two = events.composition(events.discrete_laplace(4.0, 2), events.discrete_laplace(2.0, 1))
    assert adaptive.cost(two, delta=0.0) == EpsilonDelta(1.0)
    assert arithmetic.total([adaptive.cost(two, delta=0.0)], start=EpsilonDelta(0.0)) == EpsilonDelta(1.0)
    with pytest.raises(errors.InvalidInput, match="delta: 0 is only for pure mechanisms"):
        adaptive.cost(noisy_steps, delta=0.0)
    with pytest.raises(errors.InvalidInput, match=r"delta: -1 must lie in \(0, 1\)"):
        adaptive.cost(noisy_steps, delta=-1)
