"""The randomness that privacy depends on: which units a step samples, and the noise that it adds.

A stream cipher (AES-256 in counter mode) keyed by the operating system. It cannot be seeded: an attacker who knows the
stream can subtract the noise, so a stream cannot be passed in. Initial weights come from an ordinary generator with a
public seed.
"""

from __future__ import annotations

import os

import numpy as np
import numpy.typing as npt
import torch
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from privatekube import errors
from privatekube.training.lstm_steps import path, torch_path

_BLOCK = 1 << 14  # Gaussians drawn at a time, so that what they are computed from stays in cache
_MANTISSA = 2.0**-53


class SecureGenerator:
    """Uniforms, Bernoulli masks and Gaussians in float64 from an AES-256-CTR keystream keyed by `os.urandom`.

    Args:
        steps: computes Gaussians from the keystream; all implementations give the same, up to rounding.
    """

    def __init__(self, steps: path.Path = torch_path.TORCH) -> None:
        self._stream = Cipher(algorithms.AES(os.urandom(32)), modes.CTR(bytes(16))).encryptor()
        self._steps = steps
        self._zeros, self._memory = b"", np.empty(0, np.uint64)

    def uniforms(self, count: int) -> npt.NDArray[np.float64]:
        """Return `count` independent multiples of 2^-53 in [0, 1), float64 [count]."""
        return (self._words(count) >> np.uint64(11)).astype(np.float64) * _MANTISSA

    def mask(self, count: int, probability: float) -> npt.NDArray[np.bool_]:
        """Return a Poisson sample, bool [count]: each unit is in it independently with `probability`.

        Raises:
            InvalidInput: the probability is outside (0, 1].
        """
        if not 0 < probability <= 1:
            raise errors.invalid("sampling_rate", probability, "must lie in (0, 1]", "set a share of the data")
        return self.uniforms(count) < probability

    def noisy(self, total: torch.Tensor, deviation: float, kind: torch.dtype) -> torch.Tensor:
        """Return `total` plus independent Gaussians, computed in float64 on its device and rounded once.

        A part is drawn, scaled, added and rounded while it is in cache.

        Args:
            total: float64, of any shape.
            deviation: standard deviation of each Gaussian.
            kind: type of the result.
        """
        noisy = torch.empty(total.shape, dtype=kind, device=total.device)
        outs, sums = (torch.split(whole.view(-1), _BLOCK) for whole in (noisy, total.contiguous()))
        for out, part in zip(outs, sums, strict=True):
            out.copy_(self._gaussians(len(out), total.device).mul_(deviation).add_(part))
        return noisy

    def _gaussians(self, count: int, device: torch.device) -> torch.Tensor:
        """Return `count` independent standard Gaussians, float64 [count], computed on a device.

        Each is half the sum of four Box-Muller samples of independent uniforms, which hides the gaps between
        floating-point numbers that a single sample shows (Holohan and Braghin, "Secure Random Sampling in Differential
        Privacy", 2021, section 5.1). Cosine and sine of the same uniforms go to different sums.
        """
        pairs = (count + 1) // 2
        words = torch.from_numpy(self._words(8 * pairs).view(np.int64)).view(2, 4, pairs)
        return self._steps.gaussians(words.to(device)).view(-1)[:count]

    def _words(self, count: int) -> npt.NDArray[np.uint64]:
        """Return the next words of the stream, uint64 [count], in memory that the next call writes again.

        New memory for each call would take longer than the cipher.
        """
        if 8 * count > len(self._zeros):
            self._zeros, self._memory = bytes(8 * count), np.empty(count + 2, np.uint64)
        self._stream.update_into(memoryview(self._zeros)[: 8 * count], self._memory.view(np.uint8).data)
        return self._memory[:count]
