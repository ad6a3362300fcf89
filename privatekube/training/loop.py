"""Differentially private training: a fixed number of noisy steps, each on a Poisson sample of the privacy units.

No decision depends on the data: steps, learning rate and normalisation are fixed beforehand, and no loss or accuracy is
computed. The result is post-processing of the noisy steps.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from privatekube import errors
from privatekube.data import columns
from privatekube.privacy import events
from privatekube.privacy.unit import PrivacyUnit
from privatekube.training import (
    clipping,
    devices,
    dpsgd,
    examples,
    feasibility,
    models,
    optimizers,
    randomness,
    workers,
)
from privatekube.training.lstm_steps import choice

Progress = Callable[[int, int], None]


@dataclass(frozen=True, eq=False)
class Trained:
    """A model, and what its training cost.

    Args:
        module: the trained model, on the CPU.
        event: the steps that were taken, counted as they were taken.
        steps: their number.
    """

    module: models.Classifier
    event: events.DpEvent
    steps: int


def train(
    data: columns.Reviews,
    *,
    rows: npt.NDArray[np.int64] | None = None,
    task: str,
    unit: PrivacyUnit,
    max_contribution: int,
    model: models.ModelConfig,
    noise_multiplier: float,
    sampling_rate: float,
    steps: int,
    max_grad_norm: float,
    optimizer: str,
    learning_rate: float,
    expected_batch_size: float,
    seed: int,
    vectors: npt.NDArray[np.float32] | None = None,
    device: str = "auto",
    n_workers: int = 1,
    progress: Progress | None = None,
) -> Trained:
    """Train a model on `data`.

    Args:
        data: the reviews.
        rows: int64 [M], ascending, the training part of them, see `split`; all by default.
        task: "product" or "sentiment".
        unit: the privacy unit.
        max_contribution: reviews of one unit that count.
        model: its architecture and sizes.
        noise_multiplier: noise standard deviation over `max_grad_norm`.
        sampling_rate: probability with which each unit is in a step's sample, in (0, 1].
        steps: how many steps to take.
        max_grad_norm: the norm that each unit's gradient is clipped to.
        optimizer: a key of `optimizers.OPTIMIZERS`.
        learning_rate: of the optimizer, constant.
        expected_batch_size: expected number of units in a step's sample: public, or from a noisy count.
        seed: of the initial weights alone; public.
        vectors: float32 [V, E], of the words, where the model reads public ones.
        device: "auto", "cpu" or "cuda".
        n_workers: how many processes share the work; see `workers`.
        progress: called after each step with (steps taken, steps), which do not depend on the data.

    Returns:
        The model and the DpEvent of the steps taken.

    Raises:
        InvalidInput: an argument is out of its range, a weight is not finite at the end, or the device is "cuda" on a
            machine without a GPU, or with one that has too little memory.
        WorkerLost: one of several processes has ended.
    """
    _require_positive("learning_rate", learning_rate)
    _require_positive("steps", steps)
    _require_positive("expected_batch_size", expected_batch_size)
    feasibility.require_finite(
        optimizer=optimizer,
        learning_rate=learning_rate,
        max_grad_norm=max_grad_norm,
        noise_multiplier=noise_multiplier,
        steps=steps,
        width=max(model.embedding_dim, model.hidden_dim),
    )
    torch_device = devices.resolve(device)
    devices.use_full_precision()
    prepared = examples.prepare(data, rows=rows, task=task, unit=unit, max_contribution=max_contribution, model=model)
    frozen = None if vectors is None else torch.from_numpy(vectors)
    module = models.build(model, seed, frozen).to(torch_device)
    steps_path = choice.choose(torch_device).path
    module.use(steps_path)
    generator = randomness.SecureGenerator(steps_path)
    whole = workers.Part(
        prepared, model, seed, vectors, sampling_rate, steps, max_grad_norm, torch_device.type, clipped_sums
    )
    dp_sgd = dpsgd.DpSgdOptimizer(
        optimizers.build(
            optimizer,
            module.parameters(),
            learning_rate=learning_rate,
            noise_deviation=noise_multiplier * max_grad_norm / expected_batch_size,
        ),
        noise_multiplier=noise_multiplier,
        max_grad_norm=max_grad_norm,
        sampling_rate=sampling_rate,
        expected_batch_size=expected_batch_size,
        generator=generator,
    )
    with devices.enough_memory(), workers.started(whole, n_workers) as (part, group):
        for taken in range(1, steps + 1):
            chosen = np.flatnonzero(generator.mask(part.units, sampling_rate))
            dp_sgd.take(group.total(clipped_sums(module, part, chosen, max_grad_norm=max_grad_norm)))
            group.distribute(module)
            if progress is not None:
                progress(taken, steps)
    models.require_finite(module.state_dict())
    return Trained(module.cpu(), dp_sgd.event(), dp_sgd.steps)


def clipped_sums(
    module: models.Classifier, data: examples.Examples, chosen: np.ndarray, *, max_grad_norm: float
) -> clipping.Sums:
    """Return the sum of the chosen units' clipped gradients for each parameter; zeros if none was chosen."""
    sums: clipping.Sums = {}
    for batch in data.batches(chosen, next(module.parameters()).device, positions=module.positions):
        logits, taps = module(batch.tokens, batch.lengths)
        loss = nn.functional.cross_entropy(logits, batch.labels, reduction="sum")
        part = clipping.clipped_sums(loss, taps, units=batch.units, max_grad_norm=max_grad_norm)
        for parameter, clipped in part.items():
            sums[parameter] = sums[parameter].add_(clipped) if parameter in sums else clipped
    return {p: sums[p] if p in sums else clipping.zeros_for(p) for p in module.parameters()}


def _require_positive(name: str, value: float) -> None:
    if not 0 < value < math.inf:
        raise errors.invalid(name, value, "must be positive and finite", "correct it")
