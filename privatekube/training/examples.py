"""Reviews as a model reads them, grouped into privacy units."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from privatekube import errors
from privatekube.data import columns, partition
from privatekube.privacy.unit import PrivacyUnit
from privatekube.training import models

Int64s = npt.NDArray[np.int64]

LABELS: dict[str, Callable[[columns.Reviews], npt.NDArray[np.integer]]] = {
    "product": lambda data: data.category,
    "sentiment": lambda data: (data.stars == 5).astype(np.int64),
}
"""What a task predicts: the category of the product, or whether a review gives 5 stars."""


@dataclass(frozen=True, eq=False)
class Batch:
    """Reviews of units that have equally many each, unit by unit.

    Args:
        tokens: int32 [B, T], padded on the right to the longest of the batch.
        lengths: int64 [B].
        labels: int64 [B].
        units: how many units; unit u has the reviews from u * B / units on.
    """

    tokens: torch.Tensor
    lengths: torch.Tensor
    labels: torch.Tensor
    units: int


@dataclass(frozen=True, eq=False)
class Examples:
    """All reviews of a part of the data.

    Args:
        tokens: int32 [N, T]; lengths: int64 [N]; labels: int64 [N].
        members: int64 [M], reviews in the order of their units, at most `max_contribution` of each.
        starts: int64 [U + 1], where each unit begins in `members`.
    """

    tokens: npt.NDArray[np.int32]
    lengths: Int64s
    labels: Int64s
    members: Int64s
    starts: Int64s

    @property
    def units(self) -> int:
        """The number of privacy units: exact, so it must not leave the process."""
        return len(self.starts) - 1

    def part(self, number: int, count: int) -> Examples:
        """Return every `count`-th unit from unit `number` on, with its reviews alone."""
        chosen = np.arange(number, self.units, count)
        counts, firsts = np.diff(self.starts)[chosen], self.starts[:-1][chosen]
        starts = np.r_[0, np.cumsum(counts)]
        rows = self.members[np.arange(starts[-1]) + np.repeat(firsts - starts[:-1], counts)]
        return Examples(self.tokens[rows], self.lengths[rows], self.labels[rows], np.arange(len(rows)), starts)

    def batches(self, chosen: npt.NDArray[np.integer], device: torch.device, *, positions: int) -> Iterator[Batch]:
        """Generate the chosen units in physical batches of at most so many token positions, and at least a unit.

        Units are sorted by how many and how long their reviews are, so that little is spent on padding. The order
        within a sample has no effect on its sum.
        """
        counts, firsts = np.diff(self.starts)[chosen], self.starts[:-1][chosen]
        longest = np.maximum.reduceat(self.lengths[self.members], self.starts[:-1])[chosen] if len(chosen) else firsts
        order = np.lexsort((-longest, counts))
        while len(order):
            count, length = int(counts[order[0]]), int(longest[order[0]])
            same = order[: max(1, positions // (count * length))]
            same = same[counts[same] == count]
            order = order[len(same) :]
            rows = self.members[(firsts[same, None] + np.arange(count)).ravel()]
            tokens, lengths, labels = (
                torch.from_numpy(column).to(device)
                for column in (self.tokens[rows, :length], self.lengths[rows], self.labels[rows])
            )
            yield Batch(tokens, lengths, labels, units=len(same))


def prepare(
    data: columns.Reviews, *, task: str, unit: PrivacyUnit, max_contribution: int, model: models.ModelConfig
) -> Examples:
    """Convert `data` into the examples of a task, in the form that a model reads.

    Args:
        data: the reviews.
        task: a key of `LABELS`.
        unit: the privacy unit.
        max_contribution: reviews kept of each unit, the first ones in the order of the data; 1 where the unit is the
            event.
        model: gives vocabulary size, text length and number of classes.

    Raises:
        InvalidInput: an unknown task or unit, or a bound below 1.
        CorruptData: a label for which the model has no class.
    """
    if task not in LABELS:
        raise errors.invalid("task", task, f"is not one of {', '.join(LABELS)}", "choose one of them")
    if max_contribution < 1:
        raise errors.invalid("max_contribution", max_contribution, "must be at least 1", "bound a unit's reviews")
    labels = np.asarray(LABELS[task](data), dtype=np.int64)
    if len(labels) and not (labels.min() >= 0 and labels.max() < model.n_classes):
        raise errors.CorruptData(f"labels: task {task!r} has one outside the {model.n_classes} declared classes")
    tokens, lengths = data.padded_tokens(max_text_len=model.max_text_len, vocab_size=model.vocab_size)
    members, starts = _bound_by_unit(partition.unit_numbers(data, PrivacyUnit.parse(unit)), max_contribution)
    return Examples(tokens.astype(np.int32), lengths, labels, members, starts)


def _bound_by_unit(unit: Int64s, bound: int) -> tuple[Int64s, Int64s]:
    """Return the reviews by unit, at most `bound` of each, and where each unit starts."""
    order = np.argsort(unit, kind="stable")
    ordered = unit[order]
    starts = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]]) if len(unit) else np.empty(0, np.int64)
    counts = np.diff(np.r_[starts, len(unit)])
    rank = np.arange(len(unit)) - np.repeat(starts, counts)
    kept = np.minimum(counts, bound)
    return order[rank < bound], np.r_[0, np.cumsum(kept)]
