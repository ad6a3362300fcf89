from __future__ import annotations

import math
import os

import numpy as np
import pytest
import torch
from scipy import stats

from privatekube import errors
from privatekube.training import randomness
from privatekube.training.lstm_steps import choice, torch_path
from tests.training.lstm_steps import implementations

COUNT = 200_000
SIGNIFICANCE = 1e-9


def gaussians(generator: randomness.SecureGenerator, count: int, device: str = "cpu") -> torch.Tensor:
    return generator.noisy(torch.zeros(count, dtype=torch.float64, device=device), 1.0, torch.float64)


def is_standard_gaussian(samples: np.ndarray) -> bool:
    return float(stats.kstest(samples, "norm").pvalue) > SIGNIFICANCE


def test_gaussians_are_standard_and_a_scale_that_is_off_by_four_percent_is_rejected() -> None:
    for name in ("torch", "native AVX2"):
        samples = gaussians(randomness.SecureGenerator(implementations.get(name)), COUNT).numpy()
        assert is_standard_gaussian(samples)
        assert abs(samples.mean()) < 6 / math.sqrt(COUNT)
        assert abs(samples.var() - 1) < 6 * math.sqrt(2 / COUNT)
    assert not is_standard_gaussian(1.04 * gaussians(randomness.SecureGenerator(), 4 * COUNT).numpy())
    assert not is_standard_gaussian(0.96 * gaussians(randomness.SecureGenerator(), 4 * COUNT).numpy())


def test_gaussians_have_the_tails_of_a_gaussian() -> None:
    samples = np.abs(gaussians(randomness.SecureGenerator(), 4 * COUNT).numpy())
    for bound in (2.0, 3.0, 4.0):
        expected = 2 * stats.norm.sf(bound)
        assert stats.binomtest(int((samples > bound).sum()), len(samples), expected).pvalue > SIGNIFICANCE


@pytest.mark.parametrize("name", implementations.NAMES)
def test_every_gaussian_is_drawn_once_and_none_left_as_the_memory_was(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A coordinate that gets no noise would be published as it is; two with the same noise, as their difference."""
    monkeypatch.setattr(torch, "empty", lambda *size, **kind: torch.zeros(*size, **kind).fill_(math.nan))
    generator = randomness.SecureGenerator(implementations.get(name))
    for count in (0, 1, 2, 3, 17, (1 << 15) - 1, 1 << 15, (1 << 15) + 1, 1 << 16):
        drawn = gaussians(generator, count)
        assert drawn.shape == (count,)
        assert bool(drawn.isfinite().all())
        assert len(np.unique(drawn.numpy())) == count


@pytest.mark.parametrize("name", implementations.NAMES)
def test_every_implementation_computes_the_same_gaussians_from_the_same_bits_as_box_and_muller(name: str) -> None:
    draw = np.random.default_rng(0)
    words = draw.integers(-(2**63), 2**63, size=(2, 4, 5003))
    words[0, :, :3], words[0, 0, 3] = (-(2**63), 2**63 - 1, 0), -1  # the least and the greatest radius
    words[1, :, 4:12] = np.arange(-4, 4) * 2**61  # whole eighths of a turn
    uniforms = (words >> 11).astype(np.longdouble) * np.longdouble(2.0) ** -53
    radii, angles = np.sqrt(-2 * np.log(0.5 - uniforms[0])), 8 * np.arctan(np.longdouble(1)) * uniforms[1]
    wanted = 0.5 * np.stack([(radii * np.cos(angles)).sum(0), (radii * np.sin(angles)).sum(0)])
    got = implementations.get(name).gaussians(torch.from_numpy(words)).numpy()
    assert float(np.abs(got - wanted).max()) < 1e-14


@pytest.mark.parametrize("name", implementations.NAMES)
def test_two_generators_of_the_same_key_give_the_same_gaussians_by_every_implementation(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "urandom", lambda count: bytes(range(count)))
    steps = implementations.get(name)
    got, wanted = (gaussians(randomness.SecureGenerator(path), 70_001) for path in (steps, torch_path.TORCH))
    assert float((got - wanted).abs().max()) < 1e-14
    for start in (0, 1 << 15, 1 << 16):  # and each block takes bits of its own
        assert not torch.equal(got[:100], got[start + 100 : start + 200])


def test_gaussians_are_computed_in_float64_on_other_devices_too() -> None:
    """On a device without memory, which computes types alone: float32 would have too few uniforms, 0 among them."""
    words = torch.empty(2, 4, 5, dtype=torch.int64, device="meta")
    assert torch_path.TORCH.gaussians(words).dtype == torch.float64


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_gpu_computes_the_same_gaussians_from_the_same_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "urandom", lambda count: bytes(range(count)))
    steps = choice.choose(torch.device("cuda")).path
    got = gaussians(randomness.SecureGenerator(steps), 70_001, "cuda")
    assert got.device.type == "cuda"
    assert float((got.cpu() - gaussians(randomness.SecureGenerator(), 70_001)).abs().max()) < 1e-14


def test_neighbouring_gaussians_are_uncorrelated() -> None:
    samples = gaussians(randomness.SecureGenerator(), COUNT).numpy()
    for lag in (1, 2, 1 << 14, 1 << 15):
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
    assert len(gaussians(generator, 0)) == 0


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
        draws.append(gaussians(randomness.SecureGenerator(), 1000).numpy())
    assert not np.any(draws[0] == draws[1])


def test_the_stream_goes_on_and_does_not_repeat() -> None:
    generator = randomness.SecureGenerator()
    samples = np.concatenate([generator.uniforms(1000) for _ in range(20)])
    assert len(np.unique(samples)) == len(samples)


@pytest.mark.parametrize("name", implementations.NAMES)
def test_noise_is_scaled_added_to_a_sum_of_any_shape_and_rounded_once(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "urandom", lambda count: bytes(range(count)))
    steps = implementations.get(name)
    total = torch.randn(300, 170, dtype=torch.float64).t()
    noise = gaussians(randomness.SecureGenerator(steps), total.numel()).view(total.shape)
    wanted = total + 0.3 * noise
    for kind in (torch.float64, torch.float32):
        assert torch.equal(randomness.SecureGenerator(steps).noisy(total, 0.3, kind), wanted.to(kind))
