"""From events to budgets, against closed forms, brute force and published figures."""

from __future__ import annotations

import math

import pytest
from dp_accounting.rdp import rdp_privacy_accountant
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from privatekube import errors
from privatekube.privacy import accounting, arithmetic, events
from tests.examples import examples


def test_one_large_shift_costs_no_less_than_two_small_ones() -> None:
    one = accounting.renyi_cost(events.discrete_laplace(3.0, 2))
    two = accounting.renyi_cost(events.composition(*[events.discrete_laplace(3.0, 1)] * 2))
    assert all(a >= b - 1e-12 for a, b in zip(one.values, two.values, strict=True))


def test_gaussian_curve_is_the_closed_form() -> None:
    curve = accounting.renyi_cost(events.poisson_gaussian(1.0, 2.0, 3))
    assert curve.values == pytest.approx([3 * alpha / 8 for alpha in curve.orders])


def test_a_curve_never_falls_with_the_order() -> None:
    curve = accounting.renyi_cost(events.poisson_gaussian(0.1, 1.2, 50))
    assert list(curve.values) == sorted(curve.values)


def test_sampling_at_a_lower_rate_costs_less_at_every_finite_order() -> None:
    rare = accounting.renyi_cost(events.poisson_gaussian(0.01, 1.2, 50))
    often = accounting.renyi_cost(events.poisson_gaussian(0.2, 1.2, 50))
    assert all(a < b for a, b in zip(rare.values[:-1], often.values[:-1], strict=True))


def test_pure_mechanisms_cost_their_sum_and_no_more() -> None:
    event = events.composition(events.discrete_laplace(10.0, 1), events.discrete_laplace(5.0, 2))
    assert accounting.epsilon(event, 1e-12) <= 0.1 + 0.4 + 1e-12


def test_disjoint_parts_cost_the_larger_and_the_whole_comes_on_top() -> None:
    statistics, training = events.discrete_laplace(20.0, 1), events.poisson_gaussian(0.1, 2.0, 20)
    evaluation = events.discrete_laplace(3.0, 1)
    run = accounting.Composition((statistics,), ((training,), (evaluation,)))
    chain = events.composition(statistics, training)
    assert run.epsilon(1e-9) == pytest.approx(accounting.epsilon(chain, 1e-9), rel=1e-9)
    expected = accounting.renyi_cost(statistics) + accounting.renyi_cost(training).maximum(
        accounting.renyi_cost(evaluation)
    )
    assert arithmetic.is_close(run.renyi(), expected)


def test_an_order_of_parts_does_not_matter() -> None:
    a, b = events.discrete_laplace(3.0, 1), events.poisson_gaussian(0.1, 2.0, 20)
    there = accounting.Composition((), ((a,), (b,)))
    back = accounting.Composition((), ((b,), (a,)))
    assert there.epsilon(1e-9) == back.epsilon(1e-9)


@pytest.mark.parametrize("delta", [0.0, 1.0, -1e-9])
def test_delta_must_lie_inside_the_unit_interval(delta: float) -> None:
    with pytest.raises(errors.InvalidInput, match="delta"):
        accounting.epsilon(events.discrete_laplace(1.0, 1), delta)


def test_a_delta_below_what_pld_resolves_is_answered_by_renyi() -> None:
    training = events.poisson_gaussian(0.2, 2.6, 75)
    values = [accounting.epsilon(training, delta) for delta in (1e-9, 1e-12, 1e-14, 1e-15, 1e-100)]
    assert values == sorted(values)
    assert values[2] == accounting.epsilon_without_pld(training, 1e-14)
    assert math.isfinite(values[-1])


@given(
    st.sampled_from((1e-6, 1e-3, 0.05, 0.5, 1.0)),
    st.floats(0.4, 50),
    st.integers(1, 2000),
    st.sampled_from((1e-15, 1e-14, 1e-12, 1e-9, 1e-5, 0.5)),
)
@settings(max_examples=examples(20))
def test_epsilon_is_finite_and_no_larger_than_any_other_bound(
    rate: float, noise: float, steps: int, delta: float
) -> None:
    event = events.composition(events.discrete_laplace(20.0, 1), events.poisson_gaussian(rate, noise, steps))
    orders = (1.5, 2.0, 3.0, 8.0, 20.0, 64.0, 300.0)
    curve = accounting.renyi_cost(event, orders)
    renyi, _ = rdp_privacy_accountant.compute_epsilon(curve.orders, curve.values, delta)
    assert accounting.epsilon(event, delta) <= renyi * (1 + 1e-6) + 1e-9


@pytest.mark.slow
@pytest.mark.parametrize("steps", [100, 10_000])
def test_epsilon_is_above_the_exact_one_by_a_thousandth_at_most(steps: int) -> None:
    """At a sampling rate next to 1, the closed form of the Gaussian is the exact value."""
    mu = 0.2
    event = events.poisson_gaussian(1 - 1e-12, math.sqrt(steps) / mu, steps)
    for delta in (1e-3, 1e-6, 1e-9):
        epsilon = accounting.epsilon(event, delta)
        assert gaussian_delta(mu, epsilon) <= delta < gaussian_delta(mu, epsilon * 0.999)


@pytest.mark.parametrize("steps", [100, 10_000, 100_000])
def test_rounding_in_the_sums_of_a_pld_never_makes_epsilon_too_small(steps: int) -> None:
    mu = 0.2
    event = events.poisson_gaussian(1 - 1e-12, math.sqrt(steps) / mu, steps)
    for delta in (1e-11, 1e-13, 1e-15):
        assert gaussian_delta(mu, accounting.epsilon(event, delta)) <= delta


def gaussian_delta(mu: float, epsilon: float) -> float:
    """Return the delta of a Gaussian mechanism of sensitivity over noise mu; Balle and Wang (2018), Theorem 8."""
    upper, lower = stats.norm.logcdf(mu / 2 - epsilon / mu), epsilon + stats.norm.logcdf(-mu / 2 - epsilon / mu)
    return float(-math.exp(upper) * math.expm1(lower - upper))
