from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import stats

from privatekube import errors
from privatekube.training import randomness

COUNT = 200_000
SIGNIFICANCE = 1e-9


def is_standard_gaussian(samples: np.ndarray) -> bool:
    return float(stats.kstest(samples, "norm").pvalue) > SIGNIFICANCE


def test_gaussians_are_standard_and_a_scale_that_is_off_by_three_percent_is_rejected() -> None:
    samples = randomness.SecureGenerator().gaussians(COUNT)
    assert is_standard_gaussian(samples)
    assert not is_standard_gaussian(1.04 * randomness.SecureGenerator().gaussians(4 * COUNT))
    assert not is_standard_gaussian(0.96 * randomness.SecureGenerator().gaussians(4 * COUNT))


def test_gaussians_have_the_tails_of_a_gaussian() -> None:
    samples = np.abs(randomness.SecureGenerator().gaussians(4 * COUNT))
    for bound in (2.0, 3.0, 4.0):
        expected = 2 * stats.norm.sf(bound)
        assert stats.binomtest(int((samples > bound).sum()), len(samples), expected).pvalue > SIGNIFICANCE


@pytest.mark.parametrize("count", [1, 2, 3, (1 << 16) - 1, 1 << 16, (1 << 16) + 1])
def test_every_gaussian_is_drawn_and_none_left_as_the_memory_was(count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A coordinate that gets no noise would be published as it is."""
    monkeypatch.setattr(np, "empty", lambda size: np.full(size, np.nan))
    assert np.isfinite(randomness.SecureGenerator().gaussians(count)).all()


def test_neighbouring_gaussians_are_uncorrelated() -> None:
    samples = randomness.SecureGenerator().gaussians(COUNT)
    for lag in (1, 2, 1 << 15, 1 << 16):
        correlation = float(np.corrcoef(samples[:-lag], samples[lag:])[0, 1])
        assert abs(correlation) < 7 / np.sqrt(COUNT - lag)


def test_a_mask_has_the_asked_rate_and_another_rate_is_rejected() -> None:
    chosen = int(randomness.SecureGenerator().mask(COUNT, 0.1).sum())
    assert stats.binomtest(chosen, COUNT, 0.1).pvalue > SIGNIFICANCE
    assert stats.binomtest(chosen, COUNT, 0.11).pvalue < SIGNIFICANCE


def test_a_rate_of_one_chooses_everything_and_nothing_chooses_from_nothing() -> None:
    generator = randomness.SecureGenerator()
    assert generator.mask(1000, 1.0).all()
    assert len(generator.mask(0, 0.5)) == 0
    assert len(generator.gaussians(0)) == 0


def test_uniforms_lie_in_the_half_open_unit_interval_and_are_uniform() -> None:
    samples = randomness.SecureGenerator().uniforms(COUNT)
    assert samples.min() >= 0
    assert samples.max() < 1
    assert stats.kstest(samples, "uniform").pvalue > SIGNIFICANCE


@pytest.mark.parametrize("probability", [0.0, -0.1, 1.1, float("nan")])
def test_a_sampling_rate_outside_zero_to_one_is_refused(probability: float) -> None:
    with pytest.raises(errors.InvalidInput, match="sampling_rate"):
        randomness.SecureGenerator().mask(10, probability)


def test_two_generators_differ_whatever_seeds_are_set() -> None:
    draws = []
    for _ in range(2):
        torch.manual_seed(0)
        np.random.seed(0)
        draws.append(randomness.SecureGenerator().gaussians(1000))
    assert not np.any(draws[0] == draws[1])


def test_the_stream_goes_on_and_does_not_repeat() -> None:
    generator = randomness.SecureGenerator()
    samples = np.concatenate([generator.uniforms(1000) for _ in range(20)])
    assert len(np.unique(samples)) == len(samples)
