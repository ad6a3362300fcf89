"""How good a model is, under differential privacy: exact counts, and what noisy counts say about accuracy.

Between the two, a mechanism adds noise to each count; exact counts do not leave the process. One unit moves the counts
by at most `max_contribution` in L1: each of its reviews is in one cell.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from privatekube import errors
from privatekube.data import block_file, columns
from privatekube.privacy.unit import PrivacyUnit
from privatekube.training import checkpoint, examples, models, split
from privatekube.training.lstm_steps import choice

Cell = tuple[int, bool]
"""A class, and whether it was predicted correctly."""

_Z = 1.959964
"""97.5 % quantile of the standard Gaussian."""

_LAPLACE_Z = math.log(20) / math.sqrt(2)
"""97.5 % quantile of Laplace noise in units of its standard deviation: wider than a sum of several needs."""


@dataclass(frozen=True)
class Estimate:
    """A share with its 95 % confidence interval, from sampling error and noise.

    Args:
        estimate: within [low, high]; None where the noisy counts leave nothing to divide by.
        low, high: in [0, 1].
    """

    estimate: float | None
    low: float
    high: float


@dataclass(frozen=True)
class Metrics:
    """What noisy counts say about a model.

    Args:
        accuracy: share of correct predictions.
        per_class: the same among the reviews of each class.
        majority_share: share of the class that is largest in the noisy counts: the accuracy of always guessing it.
        examples: noisy number of reviews evaluated.
    """

    accuracy: Estimate
    per_class: tuple[Estimate, ...]
    majority_share: Estimate
    examples: int


def cells(n_classes: int) -> list[Cell]:
    """Return the public keys of the counts."""
    return [(label, correct) for label in range(n_classes) for correct in (True, False)]


def count_held_out(
    trained: checkpoint.Checkpoint,
    block: block_file.Block,
    *,
    unit: PrivacyUnit,
    max_contribution: int,
    test_fraction: float,
    device: torch.device,
) -> Counter[Cell]:
    """Return `count_predictions` of a trained model on the held-out users of a block.

    Args:
        trained: the model, of the block's vocabulary.
        block: the data of all users.
        unit: the privacy unit.
        max_contribution: reviews of one unit that count.
        test_fraction: share of users held out, as in training.
        device: where to run.

    Raises:
        InvalidInput: the model was trained on another vocabulary.
    """
    if block.metadata.vocabulary_digest != trained.vocabulary_digest:
        raise errors.InvalidInput("checkpoint: trained on another vocabulary than the dataset's; train on this one")
    return count_predictions(
        trained.module,
        block.reviews,
        rows=np.flatnonzero(split.is_test(block.reviews.user, test_fraction)),
        task=trained.task,
        unit=unit,
        max_contribution=max_contribution,
        model=trained.config,
        device=device,
    )


def count_predictions(
    module: models.Classifier,
    data: columns.Reviews,
    *,
    rows: npt.NDArray[np.int64] | None = None,
    task: str,
    unit: PrivacyUnit,
    max_contribution: int,
    model: models.ModelConfig,
    device: torch.device,
) -> Counter[Cell]:
    """Count the correct and wrong predictions per class, exactly: never log, store or return them without noise.

    Args:
        module: the model, left on `device`.
        data: the reviews.
        rows: int64 [M], ascending, the test part of them; all by default.
        task: "product" or "sentiment".
        unit: the privacy unit.
        max_contribution: reviews of one unit that count; the L1 sensitivity of the result.
        model: the configuration of `module`.
        device: where to run.
    """
    prepared = examples.prepare(data, rows=rows, task=task, unit=unit, max_contribution=max_contribution, model=model)
    module.to(device).eval()
    module.use(choice.choose(device).path)
    counts: Counter[Cell] = Counter()
    with torch.no_grad():
        for batch in prepared.batches(np.arange(prepared.units), device, positions=module.positions):
            logits, _ = module(batch.tokens, batch.lengths)
            correct = (logits.argmax(1) == batch.labels).tolist()
            counts.update(zip(batch.labels.tolist(), correct, strict=True))
    return counts


def metrics(noisy: Mapping[Cell, int], *, n_classes: int, scale: float, max_contribution: int) -> Metrics:
    """Estimate accuracy and its uncertainty from counts with discrete Laplace noise, by post-processing alone.

    Args:
        noisy: the count of each of `cells(n_classes)`, with independent noise.
        n_classes: number of classes.
        scale: parameter b of the noise.
        max_contribution: reviews of one unit that count. They may be alike, so the sampling variance of independent
            reviews is multiplied by this, which bounds it.
    """
    variance = _laplace_variance(scale)
    correct = [noisy[label, True] for label in range(n_classes)]
    totals = [noisy[label, True] + noisy[label, False] for label in range(n_classes)]
    largest = max(range(n_classes), key=totals.__getitem__)

    def share(part: int, rest: int, cells_of_part: int, cells_of_rest: int) -> Estimate:
        spread = (variance * cells_of_part, variance * cells_of_rest)
        return share_estimate(part, rest, noise_variance=spread, design_effect=max_contribution)

    return Metrics(
        accuracy=share(sum(correct), sum(totals) - sum(correct), n_classes, n_classes),
        per_class=tuple(share(c, t - c, 1, 1) for c, t in zip(correct, totals, strict=True)),
        majority_share=share(totals[largest], sum(totals) - totals[largest], 2, 2 * n_classes - 2),
        examples=sum(totals),
    )


def share_estimate(part: int, rest: int, *, noise_variance: tuple[float, float], design_effect: float) -> Estimate:
    """Estimate the share part / (part + rest), both noisy, with a 95 % interval.

    The interval is a score interval (Wilson's; Fieller's where noise prevails): all shares p at which
    (part - p n)^2 <= z^2 p (1 - p) n D + z'^2 ((1 - p)^2 v_part + p^2 v_rest), n = part + rest: the roots of a
    quadratic.
    """
    n = part + rest
    sampling = _Z**2 * max(n, 0) * design_effect
    of_part, of_rest = (_LAPLACE_Z**2 * variance for variance in noise_variance)
    low, high = _at_most_zero(
        n * n + sampling - of_part - of_rest, -2.0 * part * n - sampling + 2.0 * of_part, part * part - of_part
    )
    if n <= 0:
        return Estimate(None, 0.0, 1.0)
    return Estimate(min(max(part / n, low), high), low, high)


def _at_most_zero(a: float, b: float, c: float) -> tuple[float, float]:
    """Return the p in [0, 1] at which a p^2 + b p + c <= 0; [0, 1] where that is not one bounded interval."""
    discriminant = b * b - 4 * a * c
    if a <= 0 or discriminant < 0:
        return 0.0, 1.0
    root = math.sqrt(discriminant)
    return _clamp((-b - root) / (2 * a)), _clamp((-b + root) / (2 * a))


def _clamp(share: float) -> float:
    return min(max(share, 0.0), 1.0)


def _laplace_variance(scale: float) -> float:
    """Return the variance of discrete Laplace noise, P(x) proportional to exp(-|x| / scale)."""
    p = math.exp(-1 / scale)
    return 2 * p / (1 - p) ** 2
