"""Noise of the right scale is accepted, noise of a wrong one rejected; the event says what ran."""

from __future__ import annotations

import math

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
