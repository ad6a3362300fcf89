"""DP-SGD's step: noise on the clipped sums, a step of an optimizer, and a count of the steps that were taken.

Neighbours differ by one privacy unit added or removed. A step takes the sum over a Poisson sample of the units of
gradients clipped to `max_grad_norm` (its sensitivity), adds Gaussian noise of `noise_multiplier` times that to each
coordinate, and divides by a public expected batch size. Abadi et al., "Deep Learning with Differential Privacy"
(2016), algorithm 1.

The sums are in float64. For given gradients of the units, adding one unit to a sample of B units of a model with P
parameters moves them by at most `max_grad_norm` times 1 + (B^2 + P) 2^-52 (Higham, "Accuracy and Stability of Numerical
Algorithms", 2002, section 4.2): 1 + 3e-8 for ten thousand units and ten million parameters. The float32 gradients of
the other units also vary, in their last digits, with the batch that they are computed in. `SENSITIVITY_SLACK` is for
both.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping

import torch
from torch import nn

from privatekube import errors
from privatekube.privacy import events
from privatekube.training import optimizers, randomness

SENSITIVITY_SLACK = 2.0**-10
"""How far rounding may move a sum beyond the clipping norm, as a fraction of it, by which the noise is larger.

Measured were 4e-5 with sums of several hundred units in float32; the noise is 0.1 % larger.
"""


class DpSgdOptimizer:
    """Noisy steps of an optimizer on clipped sums; each is counted when it is taken.

    Args:
        optimizer: ours or any of torch, applies the noisy gradient; it gets nothing else that depends on the data.
        noise_multiplier: noise standard deviation over `max_grad_norm`.
        max_grad_norm: the norm that each unit's gradient is clipped to.
        sampling_rate: probability with which each unit is in a step's sample.
        expected_batch_size: divides the noisy sum: public, or a noisy count that was paid for. Never the size of the
            data.
        generator: source of the noise.

    Raises:
        InvalidInput: a number is out of its range. DP has no off switch.
    """

    def __init__(
        self,
        optimizer: torch.optim.Optimizer | optimizers.Update,
        *,
        noise_multiplier: float,
        max_grad_norm: float,
        sampling_rate: float,
        expected_batch_size: float,
        generator: randomness.SecureGenerator,
    ) -> None:
        for name, value in (
            ("noise_multiplier", noise_multiplier),
            ("max_grad_norm", max_grad_norm),
            ("expected_batch_size", expected_batch_size),
        ):
            if not 0 < value < math.inf:
                raise errors.invalid(name, value, "must be positive and finite", "DP has no off switch")
        if not 0 < sampling_rate <= 1:
            raise errors.invalid("sampling_rate", sampling_rate, "must lie in (0, 1]", "set a share of the data")
        self.noise_multiplier, self.max_grad_norm = noise_multiplier, max_grad_norm
        self.expected_batch_size = expected_batch_size
        self._optimizer, self._noise, self._sampling_rate = optimizer, generator, sampling_rate
        self._taken: Counter[float] = Counter()

    @property
    def params(self) -> list[nn.Parameter]:
        """The parameters that are trained."""
        groups = self._optimizer.param_groups
        return [parameter for group in groups for parameter in group["params"] if parameter.requires_grad]

    def take(self, sums: Mapping[nn.Parameter, torch.Tensor]) -> None:
        """Take one noisy step on the clipped sums of a sample.

        Args:
            sums: for each parameter the float64 sum over the sample of clipped gradients; zeros where the sample was
                empty.

        Raises:
            InvalidInput: a parameter has no sum; it would keep the gradient of an earlier step.
        """
        parameters = self.params
        if not all(parameter in sums for parameter in parameters):
            raise errors.InvalidInput("sums: a trainable parameter has none; give zeros for an empty sample")
        add_noise(
            {parameter: sums[parameter] for parameter in parameters},
            noise_multiplier=self.noise_multiplier,
            max_grad_norm=self.max_grad_norm,
            generator=self._noise,
        )
        self._taken[self.noise_multiplier] += 1
        for parameter in parameters:
            if parameter.grad is not None:
                parameter.grad /= self.expected_batch_size
        self._optimizer.step()
        self._optimizer.zero_grad()

    @property
    def steps(self) -> int:
        """The number of noisy steps taken so far."""
        return self._taken.total()

    def event(self) -> events.DpEvent:
        """Return the event of the steps taken so far: Poisson-sampled Gaussians, composed.

        Raises:
            InvalidInput: no step was taken.
        """
        parts = [events.poisson_gaussian(self._sampling_rate, noise, count) for noise, count in self._taken.items()]
        if not parts:
            raise errors.InvalidInput("steps: 0 were taken; there is nothing to report")
        return parts[0] if len(parts) == 1 else events.composition(*parts)


def add_noise(
    sums: Mapping[nn.Parameter, torch.Tensor],
    *,
    noise_multiplier: float,
    max_grad_norm: float,
    generator: randomness.SecureGenerator,
) -> None:
    """Set the gradient of each parameter to its clipped sum plus noise, in float64 and rounded once.

    Args:
        sums: for each parameter the sum of clipped gradients.
        noise_multiplier: noise standard deviation over `max_grad_norm`.
        max_grad_norm: the norm that the gradient of each unit was clipped to.
        generator: source of the noise.
    """
    scale = noise_multiplier * max_grad_norm * (1 + SENSITIVITY_SLACK)
    for parameter, total in sums.items():
        parameter.grad = generator.noisy(total, scale, parameter.dtype)
