"""Planned noise meets its target, uses nearly all of it, and is found over a wide range of targets."""

from __future__ import annotations

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from privatekube import errors
from privatekube.privacy import accounting, calibration, events
from tests.examples import examples

log10_rates = st.floats(-6, 0)
log10_deltas = st.floats(-15, -0.31)
log10_steps = st.floats(0, 5)
log10_epsilons = st.floats(-2, 2)


def training(rate: float, noise: float, steps: int) -> events.DpEvent:
    return events.composition(events.discrete_laplace(1e4, 1), events.poisson_gaussian(rate, noise, steps))


def require_planned(*, rate: float, steps: int, epsilon: float, delta: float) -> None:
    """Plan, account for the plan again, and check that it meets the target and comes near it."""
    noise = calibration.noise_multiplier(
        lambda multiplier: training(rate, multiplier, steps), target_epsilon=epsilon, delta=delta
    )
    used = accounting.epsilon(training(rate, noise, steps), delta)
    assert used <= epsilon
    if used < epsilon * (1 - calibration.RELATIVE_TOLERANCE) and noise > calibration.LEAST_NOISE:
        less_noise = noise * (1 - calibration.RELATIVE_TOLERANCE)
        assert accounting.epsilon(training(rate, less_noise, steps), delta) > epsilon


@pytest.mark.slow
@pytest.mark.parametrize(("target", "noise"), [(0.8, 1.555), (1.0, 1.366), (2.0, 1.041), (5.0, 0.750)])
def test_calibration_agrees_with_the_published_pld_figures(target: float, noise: float) -> None:
    found = calibration.noise_multiplier(
        lambda sigma: events.poisson_gaussian(64 / 6000, sigma, 281), target_epsilon=target, delta=1e-9
    )
    assert found == pytest.approx(noise, abs=0.002)
    assert accounting.epsilon(events.poisson_gaussian(64 / 6000, found, 281), 1e-9) <= target


@pytest.mark.slow
@given(log10_rates, log10_steps, log10_epsilons, log10_deltas)
@example(-6.0, 5.0, 0.0, -9.0)
@example(0.0, 5.0, 2.0, -15.0)
@example(-1.0, 0.0, 0.0, -1.0)  # where delta is near the rate, epsilon falls steeply with the noise
@settings(max_examples=examples(15))
def test_any_target_is_planned_and_nearly_used(rate: float, steps: float, epsilon: float, delta: float) -> None:
    require_planned(rate=10**rate, steps=round(10**steps), epsilon=10**epsilon, delta=10**delta)


@pytest.mark.slow
@pytest.mark.parametrize(("rate", "epsilon"), [(0.2, 1.0), (1e-6, 1.0), (0.2, 100.0)])
def test_a_million_steps_are_planned(rate: float, epsilon: float) -> None:
    require_planned(rate=rate, steps=1_000_000, epsilon=epsilon, delta=1e-9)


@pytest.mark.parametrize(("epsilon", "delta"), [(0.01, 1e-9), (1.0, 1e-15), (1e-3, 1e-9)])
def test_targets_that_need_much_noise_are_planned(epsilon: float, delta: float) -> None:
    require_planned(rate=0.2, steps=75, epsilon=epsilon, delta=delta)


@pytest.mark.slow
def test_noise_that_protects_nothing_is_not_planned_although_delta_would_allow_it() -> None:
    """A unit that is never in a sample, with probability delta at most, may be published as it is."""
    noise = calibration.noise_multiplier(
        lambda multiplier: events.poisson_gaussian(1e-6, multiplier, 1), target_epsilon=1.0, delta=0.5
    )
    assert noise == calibration.LEAST_NOISE


def test_a_target_that_no_noise_meets_is_refused() -> None:
    with pytest.raises(errors.InvalidInput, match="too small for this plan"):
        calibration.noise_multiplier(
            lambda noise: events.composition(events.discrete_laplace(1.0, 1), events.poisson_gaussian(0.1, noise, 10)),
            target_epsilon=0.5,
            delta=1e-9,
        )
