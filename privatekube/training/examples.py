"""Reviews as a model reads them, grouped into privacy units."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from privatekube import errors
from privatekube.data import columns, partition, ragged
from privatekube.privacy.unit import PrivacyUnit
from privatekube.training import models

Int64s = npt.NDArray[np.int64]

UNITS_AT_ONCE = 1 << 14
"""Units whose reviews are read at a time: it bounds the memory, whatever the size of the data and of a sample."""

Rows = Int64s | slice

LABELS: dict[str, Callable[[columns.Reviews, Rows], npt.NDArray[np.integer]]] = {
    "product": lambda data, rows: data.category[rows],
    "sentiment": lambda data, rows: (data.stars[rows] == 5).astype(np.int64),
}
"""What a task predicts of some rows: the category of the product, or whether a review gives 5 stars."""


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
    """Reviews by privacy unit. What a model reads of them is read when a sample needs it, since they may be on disk.

    Args:
        reviews: all reviews, of which `members` are meant.
        task: a key of `LABELS`.
        max_text_len: tokens read of each review.
        vocab_size: token ids of at least this are unknown words.
        members: int64 [M], reviews in the order of their units, at most `max_contribution` of each.
        starts: int64 [U + 1], where each unit begins in `members`.
    """

    reviews: columns.Reviews
    task: str
    max_text_len: int
    vocab_size: int
    members: Int64s
    starts: Int64s

    @property
    def units(self) -> int:
        """The number of privacy units: exact, so it must not leave the process."""
        return len(self.starts) - 1

    def part(self, number: int, count: int) -> Examples:
        """Return every `count`-th unit from unit `number` on, with its reviews alone."""
        places, starts = ragged.places(self.starts, np.arange(number, self.units, count))
        reviews, members = self.reviews.excerpt(self.members[places])
        return replace(self, reviews=reviews, members=members, starts=starts)

    def batches(self, chosen: npt.NDArray[np.integer], device: torch.device, *, positions: int) -> Iterator[Batch]:
        """Generate the chosen units in physical batches of at most so many token positions, and at least a unit.

        Units are sorted by how many and how long their reviews are, so that little is spent on padding. The order
        within a sample has no effect on its sum.
        """
        for first in range(0, len(chosen), UNITS_AT_ONCE):
            yield from self._batches(chosen[first : first + UNITS_AT_ONCE], device, positions)

    def _batches(self, chosen: npt.NDArray[np.integer[Any]], device: torch.device, positions: int) -> Iterator[Batch]:
        places, starts = ragged.places(self.starts, chosen)
        rows = self.members[places]
        texts, lengths = self.reviews.padded_tokens(rows, max_text_len=self.max_text_len, vocab_size=self.vocab_size)
        labels = LABELS[self.task](self.reviews, rows).astype(np.int64)
        counts, longest = np.diff(starts), np.maximum.reduceat(lengths, starts[:-1])
        order = np.lexsort((-longest, counts))
        while len(order):
            count, length = int(counts[order[0]]), int(longest[order[0]])
            same = order[: max(1, positions // (count * length))]
            same = same[counts[same] == count]
            order = order[len(same) :]
            of_units = (starts[same, None] + np.arange(count)).ravel()
            columns_of_units = (texts[of_units, :length], lengths[of_units], labels[of_units])
            tokens, sizes, classes = (torch.from_numpy(column).to(device) for column in columns_of_units)
            yield Batch(tokens, sizes, classes, units=len(same))


def prepare(
    data: columns.Reviews,
    *,
    rows: Int64s | None = None,
    task: str,
    unit: PrivacyUnit,
    max_contribution: int,
    model: models.ModelConfig,
) -> Examples:
    """Convert `data` into the examples of a task, in the form that a model reads.

    Args:
        data: the reviews.
        rows: int64 [M], ascending, which of them; all by default.
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
    labels = LABELS[task](data, slice(None))
    if not (labels.min(initial=0) >= 0 and labels.max(initial=0) < model.n_classes):
        raise errors.CorruptData(f"labels: task {task!r} has one outside the {model.n_classes} declared classes")
    units = partition.unit_numbers(data, PrivacyUnit.parse(unit))
    members, starts = _bound_by_unit(units if rows is None else units[rows], max_contribution)
    return Examples(
        data, task, model.max_text_len, model.vocab_size, members if rows is None else rows[members], starts
    )


def _bound_by_unit(unit: Int64s, bound: int) -> tuple[Int64s, Int64s]:
    """Return the reviews by unit, at most `bound` of each, and where each unit starts."""
    order = np.argsort(unit, kind="stable")
    ordered = unit[order]
    starts = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]]) if len(unit) else np.empty(0, np.int64)
    counts = np.diff(np.r_[starts, len(unit)])
    rank = np.arange(len(unit)) - np.repeat(starts, counts)
    kept = np.minimum(counts, bound)
    return order[rank < bound], np.r_[0, np.cumsum(kept)]
