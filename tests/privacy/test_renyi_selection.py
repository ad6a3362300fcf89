"""The cost of the best of many trials, against dp_accounting and exact distributions."""

from __future__ import annotations

import math

import pytest
from dp_accounting.rdp import rdp_privacy_accountant

from privatekube.privacy import accounting, events

ORDERS = (1.5, 2, 4, 8, 16, 32, 64)
REFERENCE_ORDERS = sorted({*ORDERS, 1.25, 1.75, 2.5, 3, 5, 6, 10, 12, 20, 24, 48, 96, 128, 256})


@pytest.mark.parametrize("shape", [0.0, 0.5, 1.0, 3.0])
@pytest.mark.parametrize("mean", [1.5, 20.0, 1000.0])
def test_the_curve_is_that_of_dp_accounting(shape: float, mean: float) -> None:
    event = events.select_from_many(events.repeated(events.gaussian(8.0), 3), mean_trials=mean, shape=shape)
    accountant = rdp_privacy_accountant.RdpAccountant(REFERENCE_ORDERS)
    accountant.compose(event)
    expected = dict(zip(accountant._orders, accountant._rdp, strict=True))
    curve = accounting.renyi_cost(event, ORDERS)
    assert curve.values == pytest.approx([expected[order] for order in ORDERS], rel=1e-6)
    assert accounting.epsilon(event, 1e-9) <= accountant.get_epsilon(1e-9) * (1 + 1e-9)


def test_the_best_of_trials_costs_no_less_than_one_and_the_cost_never_falls_with_the_order() -> None:
    trial = events.poisson_gaussian(0.1, 2.0, 50)
    one = accounting.renyi_cost(trial)
    curve = accounting.renyi_cost(events.select_from_many(trial, mean_trials=10, shape=1))
    assert all(many > single for many, single in zip(curve.values, one.values, strict=True))
    assert list(curve.values) == sorted(curve.values)


def test_the_bound_holds_for_the_exact_distribution_of_the_best_of_a_geometric_number_of_coins() -> None:
    epsilon, mean, order = 0.7, 6.0, 8.0
    high = math.exp(epsilon) / (1 + math.exp(epsilon))  # randomized response: the better of two outputs, or the worse
    curve = accounting.renyi_cost(events.select_from_many(events.pure(epsilon), mean_trials=mean, shape=1), (order,))

    def worse(chance_of_worse: float) -> float:
        """Return the probability that all trials are the worse output; their number is geometric from 1."""
        stop = 1 / mean
        return stop * chance_of_worse / (1 - (1 - stop) * chance_of_worse)

    for p, q in ((worse(high), worse(1 - high)), (worse(1 - high), worse(high))):
        moment = p**order * q ** (1 - order) + (1 - p) ** order * (1 - q) ** (1 - order)
        assert math.log(moment) / (order - 1) <= curve.values[0]


def test_a_search_is_accounted_for_at_any_delta_without_a_privacy_loss_distribution() -> None:
    search = events.select_from_many(events.gaussian(20.0), mean_trials=10, shape=0)
    whole = events.composition(search, events.discrete_laplace(20.0, 1))
    assert accounting.epsilon(whole, 1e-6) == accounting.epsilon_without_pld(whole, 1e-6) < math.inf
