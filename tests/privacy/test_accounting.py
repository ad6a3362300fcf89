"""From events to budgets, against closed forms, brute force and published figures."""

from __future__ import annotations

import math

import pytest

from privatekube import errors
from privatekube.privacy import accounting, budget, events


def brute_force_laplace(rate: float, shift: int, order: float) -> float:
    """Renyi divergence by summing over the integers."""
    scale = math.tanh(rate / 2)
    terms = (
        scale * math.exp(-rate * (order * abs(x) + (1 - order) * abs(x - shift))) for x in range(-800, 800 + shift)
    )
    return math.log(math.fsum(terms)) / (order - 1)


@pytest.mark.parametrize("rate", [20.0, 40.0, 300.0, 1e4])
def test_noise_that_is_next_to_none_costs_its_pure_epsilon_at_every_order(rate: float) -> None:
    curve = accounting.renyi_cost(events.discrete_laplace(1 / rate, 2), (1.5, 2.0, 8.0, 64.0))
    assert curve.values == pytest.approx([2 * rate] * 4, rel=1e-3)
    assert max(curve.values) <= 2 * rate * (1 + 1e-12)


@pytest.mark.parametrize("rate", [0.1, 0.7, 2.0])
@pytest.mark.parametrize("shift", [1, 2, 5])
@pytest.mark.parametrize("order", [1.5, 2.0, 8.0, 64.0])
def test_discrete_laplace_curve_is_the_exact_divergence(rate: float, shift: int, order: float) -> None:
    curve = accounting.renyi_cost(events.discrete_laplace(1 / rate, shift), (order,))
    assert curve.values[0] == pytest.approx(brute_force_laplace(rate, shift, order), rel=1e-9)


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


@pytest.mark.slow
@pytest.mark.parametrize(("target", "noise"), [(0.8, 1.555), (1.0, 1.366), (2.0, 1.041), (5.0, 0.750)])
def test_calibration_agrees_with_the_published_pld_figures(target: float, noise: float) -> None:
    found = accounting.calibrate_noise_multiplier(
        lambda sigma: events.poisson_gaussian(64 / 6000, sigma, 281), target_epsilon=target, delta=1e-9
    )
    assert found == pytest.approx(noise, abs=0.002)
    assert accounting.epsilon(events.poisson_gaussian(64 / 6000, found, 281), 1e-9) <= target


def test_calibrated_noise_is_not_more_than_needed() -> None:
    def training(noise: float) -> events.DpEvent:
        return events.poisson_gaussian(0.1, noise, 20)

    found = accounting.calibrate_noise_multiplier(training, target_epsilon=1.0, delta=1e-9)
    assert accounting.epsilon(training(found * 0.99), 1e-9) > 1.0


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
    assert budget.is_close(run.renyi(), expected)


def test_an_order_of_parts_does_not_matter() -> None:
    a, b = events.discrete_laplace(3.0, 1), events.poisson_gaussian(0.1, 2.0, 20)
    there = accounting.Composition((), ((a,), (b,)))
    back = accounting.Composition((), ((b,), (a,)))
    assert there.epsilon(1e-9) == back.epsilon(1e-9)


@pytest.mark.parametrize("delta", [0.0, 1.0, -1e-9])
def test_delta_must_lie_inside_the_unit_interval(delta: float) -> None:
    with pytest.raises(errors.InvalidInput, match="delta"):
        accounting.epsilon(events.discrete_laplace(1.0, 1), delta)


def test_a_target_that_no_noise_meets_is_refused() -> None:
    with pytest.raises(errors.InvalidInput, match="too small for this plan"):
        accounting.calibrate_noise_multiplier(
            lambda noise: events.composition(events.discrete_laplace(1.0, 1), events.poisson_gaussian(0.1, noise, 10)),
            target_epsilon=0.5,
            delta=1e-9,
        )
