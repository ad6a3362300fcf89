"""Opacus' optimizer for the planned steps: exact clipping in float64, noise from a secure generator, no other step."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from opacus.optimizers import DPOptimizer
from opacus.optimizers.optimizer import _check_processed_flag, _mark_as_processed

from privatekube import errors
from privatekube.integrations.opacus import sampling
from privatekube.integrations.opacus.planned import PlannedTraining
from privatekube.training import dpsgd, randomness


class PlannedOptimizer(DPOptimizer):  # type: ignore[misc]  # Opacus has no types
    """Opacus' optimizer over any torch optimizer, which takes the planned steps and no others.

    Args:
        optimizer: applies the noisy gradient; it gets nothing else that depends on the data.
        planned: the planned training.
        sampler: has drawn the samples that the steps use.
        steps_left: tells how many steps the plan still has.
        expected_batch_size: divides the noisy sum; public, or a noisy count that was paid for.
        loss_reduction: "mean" or "sum", as the loss of the script is.
        generator: source of the noise.
        count_step: records a step in the accountant.
    """

    def __init__(
        self,
        optimizer: torch.optim.Optimizer,
        planned: PlannedTraining,
        *,
        sampler: sampling.PoissonSampler,
        steps_left: Callable[[], int],
        expected_batch_size: float,
        loss_reduction: str,
        generator: randomness.SecureGenerator,
        count_step: Callable[[Any], None],
    ) -> None:
        super().__init__(
            optimizer,
            noise_multiplier=planned.noise_multiplier,
            max_grad_norm=planned.max_grad_norm,
            expected_batch_size=expected_batch_size,
            loss_reduction=loss_reduction,
        )
        self.step_hook = count_step
        self._planned = planned
        self._sampler = sampler
        self._steps_left = steps_left
        self._noise = generator
        self._n_gradients = 0

    def attach_step_hook(self, fn: object) -> None:
        """Refuse a hook: it would replace that of the accountant, and the steps would not be counted."""
        raise errors.invalid("step_hook", fn, "would replace the accountant's", "run it in the loop, after step()")

    def pre_step(self, closure: object = None) -> bool:
        """Clip, add the noise and count the step, all of it only if the plan has a step left.

        Raises:
            InvalidInput: all steps are taken, noise or clipping was changed, or the batch is not the next sample.
        """
        sampling.require_steps(self._steps_left(), self._planned)
        self._planned.require_same("noise_multiplier", self.noise_multiplier)
        self._planned.require_same("max_grad_norm", self.max_grad_norm)
        return bool(super().pre_step(closure))

    def clip_and_accumulate(self) -> None:
        """Clip the gradient of each unit in float64 and add it to the sums; one that is not finite counts as zero."""
        gradients = [self._gradients_of(parameter) for parameter in self.params]
        norms = torch.stack([torch.linalg.vector_norm(rows, dim=1) for rows in gradients]).norm(dim=0)
        finite = norms.isfinite()
        factors = torch.where(finite, (self.max_grad_norm / norms).clamp(max=1.0), 0.0)
        for parameter, rows in zip(self.params, gradients, strict=True):
            total = (factors @ torch.where(finite.unsqueeze(1), rows, 0.0)).view_as(parameter)
            parameter.summed_grad = total if parameter.summed_grad is None else parameter.summed_grad + total
            _mark_as_processed(parameter.grad_sample)
        self._n_gradients += len(norms)

    def _gradients_of(self, parameter: Any) -> torch.Tensor:
        """Return the gradient of each unit, float64 [B, P]; Opacus raises where a step has used them before."""
        _check_processed_flag(parameter.grad_sample)
        rows: torch.Tensor = self._get_flat_grad_sample(parameter)
        return rows.double().reshape(len(rows), parameter.numel())

    def add_noise(self) -> None:
        """Add the noise, if the sums are over the next sample."""
        n_gradients, self._n_gradients = self._n_gradients, 0
        sums = {parameter: parameter.summed_grad for parameter in self.params}
        for parameter in self.params:
            parameter.summed_grad = None  # a sum is used once; a split sample would add to it, with noise for one
        self._sampler.require_sample(n_gradients)
        dpsgd.add_noise(
            sums,
            noise_multiplier=self.noise_multiplier,
            max_grad_norm=self.max_grad_norm,
            generator=self._noise,
        )
