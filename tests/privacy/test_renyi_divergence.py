"""Renyi divergences against independent integration and summation."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from scipy import integrate

from privatekube.privacy import renyi_divergence

Array = np.ndarray[tuple[int, ...], np.dtype[np.float64]]
RATES = (1e-6, 1e-3, 0.1, 0.5, 0.999)
FRACTIONAL = (1.01, 1.5, 1.75, 2.5, 3.3, 9.3)


def integrated(rate: float, noise: float, order: float) -> float:
    """Integrate the divergence of the sampled Gaussian by Gauss and Legendre, with the mean ratio taken out of it."""

    def integrand(x: Array) -> Array:
        gain = rate * np.expm1(x / noise - 1 / (2 * noise**2))
        near = np.abs(order * gain) < 1e-3
        g = np.where(near, gain, 0.0)
        series = order * (order - 1) / 2 * g**2 * (1 + (order - 2) / 3 * g * (1 + (order - 3) / 4 * g))
        excess = np.where(near, series, np.expm1(order * np.log1p(gain)) - order * gain)
        return np.asarray(np.exp(-x * x / 2) / math.sqrt(2 * math.pi) * excess)

    points = np.linspace(-12, order / noise + 12, 200)
    parts = [integrate.fixed_quad(integrand, a, b, n=40)[0] for a, b in itertools.pairwise(points)]
    return math.log1p(math.fsum(parts)) / (order - 1)


def summed(rate: float, shift: int, order: float) -> float:
    """Sum the divergence of two discrete Laplace distributions over the integers."""
    scale = math.tanh(rate / 2)
    terms = (
        scale * math.exp(-rate * (order * abs(x) + (1 - order) * abs(x - shift))) for x in range(-800, 800 + shift)
    )
    return math.log(math.fsum(terms)) / (order - 1)


@pytest.mark.parametrize("order", [*FRACTIONAL, 2.0, 5.0, 8.0])
@pytest.mark.parametrize("noise", [0.7, 1.0, 4.0, 30.0])
def test_a_sampled_gaussian_curve_is_the_exact_divergence_and_never_below_it(noise: float, order: float) -> None:
    for rate in RATES:
        exact = integrated(rate, noise, order)
        value = renyi_divergence.sampled_gaussian(rate, noise, order)
        assert value == pytest.approx(exact, rel=1e-6)
        assert value >= exact


@pytest.mark.parametrize("order", [2.0, 3.0, 64.0])
def test_sum_and_integral_agree_at_integer_orders(order: float) -> None:
    for rate, noise in [(1e-6, 0.5), (0.01, 1.0), (0.3, 5.0), (0.3, 1e4)]:
        near = order * (1 + 1e-6)
        assert renyi_divergence.sampled_gaussian(rate, noise, order) == pytest.approx(
            renyi_divergence.sampled_gaussian(rate, noise, near), rel=1e-4
        )


def laplace_by_parts(noise: float, order: float) -> float:
    """Integrate the divergence of two Laplace distributions one apart: its density ratio is constant but in between."""
    a, b = 1 / noise, order
    outside = (math.exp((b - 1) * a) + math.exp(-b * a)) / 2
    between, _ = integrate.quad(lambda x: math.exp(a * ((1 - 2 * b) * x + b - 1)) * a / 2, 0, 1, epsabs=0, epsrel=1e-13)
    return math.log(outside + between) / (order - 1)


@pytest.mark.parametrize("order", [1.01, 1.5, 2.0, 8.0, 64.0])
@pytest.mark.parametrize("noise", [0.3, 1.0, 4.0, 30.0])
def test_a_laplace_curve_is_the_exact_divergence_and_never_below_it(noise: float, order: float) -> None:
    exact = laplace_by_parts(noise, order)
    assert renyi_divergence.laplace(noise, order) == pytest.approx(exact, rel=1e-8)


@pytest.mark.parametrize("order", [1.01, 2.0, 64.0])
def test_a_laplace_curve_of_large_noise_is_nearly_order_times_half_the_squared_epsilon(order: float) -> None:
    for noise in (1e4, 1e6, 1e9):
        assert renyi_divergence.laplace(noise, order) == pytest.approx(order / (2 * noise**2), rel=1e-2)


def test_a_laplace_curve_has_no_step_where_its_formula_changes() -> None:
    noises = [noise for middle in (6400.0, 2.1) for noise in (middle * 0.999, middle, middle * 1.001)]
    values = [renyi_divergence.laplace(noise, 64.0) for noise in noises]
    for near in (values[:3], values[3:]):
        assert near[0] / near[1] == pytest.approx(near[1] / near[2], rel=1e-5)


@pytest.mark.parametrize("order", [1.5, 2.0, 64.0, 1e6])
def test_sampling_never_costs_more_than_no_sampling(order: float) -> None:
    for noise in (1e-3, 0.1, 1.0, 1e3):
        sampled = renyi_divergence.sampled_gaussian(0.1, noise, order)
        assert 0 < sampled <= renyi_divergence.gaussian(noise, order)


@pytest.mark.parametrize("rate", [0.1, 0.7, 2.0])
@pytest.mark.parametrize("shift", [1, 2, 5])
@pytest.mark.parametrize("order", [1.5, 2.0, 8.0, 64.0])
def test_a_discrete_laplace_curve_is_the_exact_divergence(rate: float, shift: int, order: float) -> None:
    assert renyi_divergence.discrete_laplace(rate, shift, order) == pytest.approx(summed(rate, shift, order), rel=2e-9)


@pytest.mark.parametrize("rate", [1e-3, 1e-7, 1e-12])
def test_noise_that_hides_nearly_everything_costs_half_the_order_times_its_squared_epsilon(rate: float) -> None:
    value = renyi_divergence.discrete_laplace(rate, 1, 4.0)
    assert value == pytest.approx(2 * rate**2, rel=2e-3)


@pytest.mark.parametrize("rate", [20.0, 300.0, 1e4])
def test_noise_that_is_next_to_none_costs_its_pure_epsilon(rate: float) -> None:
    for order in (1.5, 2.0, 8.0, 64.0):
        value = renyi_divergence.discrete_laplace(rate, 2, order)
        assert 2 * rate * (1 - 0.07) < value <= 2 * rate
