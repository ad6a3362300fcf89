"""PrivateKube's published blocks: HDF5 with int32 datasets of 150 columns, read as they are.

A block file `{day}-{bucket}.h5` has one dataset `block`; a merged file has one dataset per block. Columns: 0 time, 1
user, 2 product, 3 category, 4 stars, 5 and 6 lengths of summary and text, 7..22 summary tokens, 23..149 text tokens,
each padded.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from pathlib import PurePath

import numpy as np
import numpy.typing as npt

from privatekube import errors
from privatekube.data.columns import FIRST_WORD, PAD, Reviews
from privatekube.data.metadata import Block, Metadata
from privatekube.privacy.unit import PrivacyUnit

WIDTH = 150
CATEGORIES = (
    "automotive",
    "books",
    "cds",
    "clothing",
    "games",
    "groceries",
    "home",
    "movies",
    "pets",
    "sports",
    "tools",
)
"""Names of the category numbers 0 to 10."""

VOCABULARY_SIZE = 10_000
TOKENISER = "privatekube-published"
_FIRST_TOKEN, _N_SUMMARY = 7, 16
_BLOCK_NAME = re.compile(r"(-?\d+)-(\d+)")
_N_BUCKETS = 100


def block(name: str, datasets: Mapping[str, npt.NDArray[np.int32]]) -> Block:
    """Return the content of a published file.

    Day and bucket are those that the file's name declares. If the name has neither, as that of a merged file, the days
    are those of the data and the bucket is 0 of 1: such a file can be read, and not be declared as a block.

    Args:
        name: name of the file.
        datasets: its int32 [n, 150] arrays, by name.

    Raises:
        CorruptData: a value out of its range, or a review of another day than the name declares.
    """
    parts = [datasets[key] for key in sorted(datasets)]
    reviews = Reviews.concatenate([_reviews(name, part) for part in parts])
    return Block(reviews, _metadata(name, reviews), _digest(datasets))


def _reviews(name: str, rows: npt.NDArray[np.int32]) -> Reviews:
    tokens = rows[:, _FIRST_TOKEN:]
    place = np.arange(WIDTH - _FIRST_TOKEN)
    summary = (place < rows[:, 5:6]) & (place < _N_SUMMARY)
    text = (place >= _N_SUMMARY) & (place - _N_SUMMARY < rows[:, 6:7])
    kept = (summary | text) & (tokens != PAD)
    if bool((rows[:, 3] >= len(CATEGORIES)).any()) or bool((tokens[kept] >= VOCABULARY_SIZE + FIRST_WORD).any()):
        raise errors.CorruptData(f"block: {name} has a category or token out of range; fetch it again")
    try:
        return Reviews(
            user=rows[:, 1].astype(np.int64),
            product=rows[:, 2].astype(np.int64),
            time=rows[:, 0].astype(np.int64),
            category=np.clip(rows[:, 3], -1, None).astype(np.int16),
            stars=np.clip(rows[:, 4], 0, 6).astype(np.int8),
            summary_length=(summary & kept).sum(axis=1, dtype=np.int32),
            tokens=tokens[kept],
            offsets=np.concatenate([[0], np.cumsum(kept.sum(axis=1))]).astype(np.int64),
        )
    except errors.InvalidInput as error:
        raise errors.CorruptData(f"block: {name}: {error}") from error


def declared_day(file: str) -> int | None:
    """Return the day that a file's name declares, counted from 2013-01-01; None if it is not `{day}-{bucket}.h5`."""
    named = _named(file)
    return None if named is None else int(named[1])


def _named(file: str) -> re.Match[str] | None:
    named = _BLOCK_NAME.fullmatch(PurePath(file).stem)
    return named if named is not None and int(named[2]) < _N_BUCKETS else None


def _metadata(name: str, reviews: Reviews) -> Metadata:
    named = _named(name)
    days = reviews.day
    first, last = (int(days.min()), int(days.max())) if len(reviews) else (0, 0)
    bucket, n_buckets = 0, 1
    if named is not None:
        if bool((days != int(named[1])).any()):
            raise errors.CorruptData(f"block: {name} has reviews of another day than its name says; correct the name")
        first = last = int(named[1])
        bucket, n_buckets = int(named[2]), _N_BUCKETS
    return Metadata(
        dataset="amazon",
        start_day=first,
        end_day=last,
        bucket=bucket,
        n_buckets=n_buckets,
        partition_key_id="privatekube-python-hash",
        vocabulary_digest="privatekube-published",
        vocabulary_size=VOCABULARY_SIZE,
        tokeniser=TOKENISER,
        unit=PrivacyUnit.EVENT,
        max_contribution=1,
        categories=CATEGORIES,
    )


def _digest(datasets: Mapping[str, npt.NDArray[np.int32]]) -> str:
    digest = hashlib.sha256(b"privatekube-published/1\n")
    for name in sorted(datasets):
        rows = np.asarray(datasets[name], dtype="<i4")
        digest.update(json.dumps([name, list(rows.shape)]).encode() + b"\n")
        digest.update(rows.tobytes())
    return f"sha256:{digest.hexdigest()}"
