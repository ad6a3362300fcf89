"""Reviews as columns of numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from privatekube import errors
from privatekube.data import ragged

UNK, PAD, BOS, EOS = 0, 1, 2, 3
"""Token ids of an unknown word, of padding, and of the begin and end of a text, as in PrivateKube's blocks."""

FIRST_WORD = 4
"""Token id of the most frequent word of the public vocabulary."""

SECONDS_PER_DAY = 86_400
FIRST_DAY_SECONDS = 1_356_998_400
"""Unix seconds of 2013-01-01, which is day 0; earlier days are negative."""

COLUMNS: dict[str, np.dtype[Any]] = {
    "user": np.dtype("<i8"),
    "product": np.dtype("<i8"),
    "time": np.dtype("<i8"),
    "category": np.dtype("<i2"),
    "stars": np.dtype("<i1"),
    "summary_length": np.dtype("<i4"),
    "tokens": np.dtype("<i4"),
    "offsets": np.dtype("<i8"),
}
"""The columns in the order of the digest, little-endian."""


def require_vocabulary(vocab_size: int, words: int) -> None:
    """Refuse a model with more token ids than the data can have: it would learn nothing of them.

    Args:
        vocab_size: number of token ids of the model.
        words: size of the vocabulary of the data.

    Raises:
        InvalidInput: names both.
    """
    if vocab_size > words + FIRST_WORD:
        bound = f"is above the {words + FIRST_WORD} token ids of the blocks"
        raise errors.invalid("vocab_size", vocab_size, bound, "lower it")


@dataclass(frozen=True, eq=False)
class Reviews:
    """Columns over N reviews.

    Args:
        user: int64 [N], fixed keyed hash of the user's id.
        product: int64 [N], likewise.
        time: int64 [N], unix seconds.
        category: int16 [N], index into `Metadata.categories`.
        stars: int8 [N], 1 to 5.
        summary_length: int32 [N], how many of a review's tokens are its summary.
        tokens: int32 [sum of lengths], summary then text with begin and end marks, no padding anywhere.
        offsets: int64 [N + 1]; review i has tokens[offsets[i]:offsets[i + 1]].

    Raises:
        InvalidInput: columns of unequal length, or a value out of its range.
    """

    user: npt.NDArray[np.int64]
    product: npt.NDArray[np.int64]
    time: npt.NDArray[np.int64]
    category: npt.NDArray[np.int16]
    stars: npt.NDArray[np.int8]
    summary_length: npt.NDArray[np.int32]
    tokens: npt.NDArray[np.int32]
    offsets: npt.NDArray[np.int64]

    def __post_init__(self) -> None:
        for name, dtype in COLUMNS.items():
            column = np.asarray(getattr(self, name))
            if column.ndim != 1 or column.dtype.kind != "i" or column.dtype.itemsize > dtype.itemsize:
                raise errors.InvalidInput(f"column {name}: {column.dtype}{list(column.shape)} must be {dtype.name}[N]")
            object.__setattr__(self, name, np.ascontiguousarray(column, dtype=dtype.newbyteorder("=")))
        fault = self._fault()
        if fault is not None:
            raise errors.InvalidInput(f"reviews: {fault}; check what wrote them")

    def __len__(self) -> int:
        return len(self.user)

    @property
    def lengths(self) -> npt.NDArray[np.int64]:
        """Number of tokens of each review, int64 [N]."""
        return np.diff(self.offsets)

    @property
    def day(self) -> npt.NDArray[np.int64]:
        """Day of each review, int64 [N]; 2013-01-01 is 0."""
        return (self.time - FIRST_DAY_SECONDS) // SECONDS_PER_DAY

    @property
    def recognised_by(self) -> dict[str, npt.NDArray[np.int64]]:
        """What another tokeniser, list of categories, order, unit or cut of the same reviews does not change."""
        return {"user": self.user, "product": self.product, "time": self.time}

    def contents(self) -> list[bytes]:
        """Return the bytes of each review; exact copies have the same."""
        columns = self.user, self.product, self.time, self.category, self.stars
        numbers = ragged.rows_of([column.astype(np.int64) for column in columns])
        return [row + text for row, text in zip(numbers, ragged.bytes_of(self.tokens, self.offsets), strict=True)]

    def select(self, chosen: npt.NDArray[np.bool_] | npt.NDArray[np.integer[Any]]) -> Reviews:
        """Return the reviews of a mask bool [N], or at indices int [M] in their order."""
        rows = np.arange(len(self))[chosen]
        places, offsets = ragged.places(self.offsets, rows)
        kept = {name: getattr(self, name)[rows] for name in COLUMNS if name not in {"tokens", "offsets"}}
        return Reviews(**kept, tokens=self.tokens[places], offsets=offsets)

    @staticmethod
    def concatenate(parts: Sequence[Reviews]) -> Reviews:
        """Return all reviews of `parts`, in order."""
        columns = {
            name: np.concatenate([np.empty(0, dtype), *(getattr(part, name) for part in parts)], dtype=dtype)
            for name, dtype in COLUMNS.items()
            if name != "offsets"
        }
        lengths = np.concatenate([np.empty(0, np.int64), *(part.lengths for part in parts)])
        return Reviews(**columns, offsets=ragged.offsets_of(lengths))

    def excerpt(self, rows: npt.NDArray[np.int64]) -> tuple[Reviews, npt.NDArray[np.int64]]:
        """Return what another process has to be given of these reviews to read some rows, and those rows there."""
        return self.select(rows), np.arange(len(rows))

    def padded_tokens(
        self, rows: npt.NDArray[np.int64], *, max_text_len: int, vocab_size: int
    ) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int64]]:
        """Return the first `max_text_len` tokens of some reviews as a rectangle.

        Args:
            rows: int64 [M], which reviews.
            max_text_len: at least 1.
            vocab_size: ids of at least this become UNK; at least FIRST_WORD.

        Returns:
            int32 [M, T], padded on the right with PAD, and the real lengths int64 [M], 1 to T. T is `max_text_len`, or
            the length of the longest of these reviews if that is less: a large argument costs no memory. A review
            without tokens gets one UNK.
        """
        if max_text_len < 1:
            raise errors.invalid("max_text_len", max_text_len, "must be at least 1", "set a positive number")
        if vocab_size < FIRST_WORD:
            raise errors.invalid("vocab_size", vocab_size, f"must be at least {FIRST_WORD}", "set a larger one")
        starts = self.offsets[rows]
        lengths = np.minimum(self.offsets[rows + 1] - starts, max_text_len)
        positions = np.arange(lengths.max(initial=1))
        filled = positions < lengths[:, None]
        tokens = self.tokens[(starts[:, None] + positions)[filled]]
        text = np.full(filled.shape, PAD, dtype=np.int32)
        text[filled] = np.where(tokens < vocab_size, tokens, UNK)
        text[lengths == 0, 0] = UNK
        return text, np.maximum(lengths, 1)

    def _fault(self) -> str | None:
        scalars = [name for name in COLUMNS if name not in {"tokens", "offsets"}]
        if len({len(getattr(self, name)) for name in scalars}) != 1 or len(self.offsets) != len(self) + 1:
            return "columns differ in length"
        if self.offsets[0] != 0 or self.offsets[-1] != len(self.tokens) or bool((self.lengths < 0).any()):
            return "offsets do not fit the tokens"
        if bool(((self.stars < 1) | (self.stars > 5)).any()):
            return "stars must be 1 to 5"
        if bool((self.category < 0).any()) or bool((self.tokens < 0).any()):
            return "categories and tokens must be 0 or more"
        if bool(((self.summary_length < 0) | (self.summary_length > self.lengths)).any()):
            return "a summary is longer than its review"
        return None
