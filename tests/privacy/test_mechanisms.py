"""Noise of the right scale is accepted, noise of a wrong one rejected; the event says what ran."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest

from privatekube import errors
from privatekube.privacy import accounting, events, mechanisms

KEYS = list(range(4000))


def sample(scale: float) -> np.ndarray:
    return np.array(list(mechanisms.noisy_histogram({}, KEYS, scale=scale, sensitivity=1).value.values()))


def matches(noise: np.ndarray, scale: float) -> bool:
    """Whether `noise` looks like discrete Laplace noise of this scale: mean |x| within 6 standard errors."""
    p = math.exp(-1 / scale)
    mean = 2 * p / (1 - p * p)
    spread = math.sqrt(2 * p / (1 - p) ** 2 - mean**2) / math.sqrt(len(noise))
    return bool(abs(np.abs(noise).mean() - mean) < 6 * spread)


@pytest.mark.parametrize("scale", [1.0, 7.5, 40.0])
def test_the_right_scale_is_accepted_and_a_wrong_one_rejected(scale: float) -> None:
    noise = sample(scale)
    assert matches(noise, scale)
    assert not matches(noise, scale * 1.3)
    assert not matches(noise, scale / 1.3)
    assert not matches(sample(scale / 2), scale)


def test_noise_is_centred_whole_and_different_each_time() -> None:
    first, second = sample(10.0), sample(10.0)
    assert abs(first.mean()) < 6 * 10 * math.sqrt(2) / math.sqrt(len(first))
    assert first.dtype.kind == "i"
    assert (first != second).any()


def test_every_public_key_is_released_and_zeros_are_noised_too() -> None:
    released = mechanisms.noisy_histogram({"a": 1000}, ["a", "b", "c"], scale=5.0, sensitivity=1)
    assert list(released.value) == ["a", "b", "c"]
    assert abs(released.value["a"] - 1000) < 200
    zeros = [mechanisms.noisy_histogram({}, ["b"], scale=5.0, sensitivity=1).value["b"] for _ in range(60)]
    assert any(zeros)


def test_the_event_costs_sensitivity_over_scale() -> None:
    released = mechanisms.noisy_count(3, scale=20.0, sensitivity=2)
    assert released.event == events.discrete_laplace(20.0, 2)
    assert accounting.epsilon(released.event, 1e-12) == pytest.approx(0.1)


@pytest.mark.parametrize(("scale", "sensitivity"), [(0.0, 1), (-1.0, 1), (math.nan, 1), (1.0, 0)])
def test_noise_cannot_be_switched_off(scale: float, sensitivity: int) -> None:
    with pytest.raises(errors.InvalidInput):
        mechanisms.noisy_count(1, scale=scale, sensitivity=sensitivity)


def test_a_key_outside_the_public_set_is_refused_without_naming_it() -> None:
    with pytest.raises(errors.InvalidInput) as refusal:
        mechanisms.noisy_histogram({"secret": 1}, ["a"], scale=1.0, sensitivity=1)
    assert "secret" not in str(refusal.value)


@pytest.mark.parametrize("draw", [mechanisms.noisy_laplace, mechanisms.noisy_gaussian])
def test_real_values_get_the_noise_that_is_charged(draw: Callable[..., mechanisms.Released[list[float]]]) -> None:
    n, scale = 2000, 3.0
    released = draw([7.0] * n, scale=scale, sensitivity=2.0)
    is_gaussian = draw is mechanisms.noisy_gaussian
    assert released.event == (events.gaussian(1.5) if is_gaussian else events.laplace(1.5))
    noise = np.array(released.value) - 7.0
    deviation, kurtosis = (scale, 3.0) if is_gaussian else (math.sqrt(2) * scale, 6.0)
    found = float(np.sqrt(np.mean(noise**2))) / deviation
    standard_error = math.sqrt((kurtosis - 1) / 4 / n)
    assert abs(found - 1) < 7 * standard_error  # the squares of Laplace noise have a heavy tail: 5 would be 2e-6
    assert abs(found - 1.3) > 5 * standard_error
    assert abs(float(noise.mean())) < 6 * deviation / math.sqrt(n)


@pytest.mark.parametrize("draw", [mechanisms.noisy_laplace, mechanisms.noisy_gaussian])
@pytest.mark.parametrize(
    ("values", "scale", "sensitivity", "message"),
    [
        ([1.0], 0.0, 1.0, "noise_multiplier: 0.0 must be positive"),
        ([1.0], 1.0, 0.0, "sensitivity: 0.0 must be positive"),
        ([1.0], math.inf, 1.0, "noise_multiplier: inf must be positive"),
        ([math.inf], 1.0, 1.0, "values: one is not a finite number"),
        ([math.nan], 1.0, 1.0, "values: one is not a finite number"),
    ],
)
def test_noise_on_real_values_cannot_be_switched_off(
    draw: Callable[..., object], values: list[float], scale: float, sensitivity: float, message: str
) -> None:
    with pytest.raises(errors.InvalidInput, match=message):
        draw(values, scale=scale, sensitivity=sensitivity)


def test_a_choice_is_as_random_as_the_scale_that_is_charged_says() -> None:
    n, scale = 4000, 3.0
    released = [mechanisms.noisy_choice({"good": 3.0, "bad": 0.0}, scale=scale, sensitivity=1) for _ in range(n)]
    assert {events.is_close(each.event, events.pure(2 / scale)) for each in released} == {True}
    share = sum(each.value == "bad" for each in released) / n
    allowed = 5 * math.sqrt(0.25 / n)
    assert abs(share - math.exp(-1) / 2) < allowed
    assert abs(share - math.exp(-1 / 2) / 2) > allowed  # twice the scale


@pytest.mark.parametrize(
    ("scores", "scale", "sensitivity"),
    [({}, 1.0, 1.0), ({"a": math.inf}, 1.0, 1.0), ({"a": 1.0}, 0.0, 1.0), ({"a": 1.0}, 1.0, 0.0)],
)
def test_a_choice_needs_options_with_finite_scores_and_noise(
    scores: dict[str, float], scale: float, sensitivity: float
) -> None:
    with pytest.raises(errors.InvalidInput):
        mechanisms.noisy_choice(scores, scale=scale, sensitivity=sensitivity)
