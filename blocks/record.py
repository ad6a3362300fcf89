"""A review as its source gives it, and reviews as columns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from blocks import vocabulary
from privatekube.data import partition
from privatekube.data.columns import BOS, EOS, Reviews
from privatekube.data.sources import Encoding

TOKENISER = "lower-case [a-z]+"
SUMMARY_TOKENS, TEXT_TOKENS = 16, 127
"""Maximum numbers of tokens, with begin and end marks, as in PrivateKube's blocks."""


@dataclass(frozen=True, slots=True)
class Record:
    """One review.

    Args:
        user, product: ids as text.
        category: its name.
        stars: 1 to 5.
        time: unix seconds.
        summary, text: may be empty.
    """

    user: str
    product: str
    category: str
    stars: int
    time: int
    summary: str
    text: str


def encoding() -> Encoding:
    """Return how these records become numbers."""
    return Encoding(partition.PARTITION_KEY_ID, vocabulary.digest(), vocabulary.SIZE, TOKENISER)


def columns(records: Sequence[Record], categories: Sequence[str]) -> Reviews:
    """Tokenise `records`; a category's number is its index in `categories`."""
    number = {name: index for index, name in enumerate(categories)}
    tokens: list[int] = []
    offsets, summaries = [0], []
    for record in records:
        summary = _token_ids(record.summary, SUMMARY_TOKENS)
        tokens += summary
        tokens += _token_ids(record.text, TEXT_TOKENS)
        offsets.append(len(tokens))
        summaries.append(len(summary))
    return Reviews(
        user=np.array([partition.keyed_hash(record.user) for record in records], np.int64),
        product=np.array([partition.keyed_hash(record.product) for record in records], np.int64),
        time=np.array([record.time for record in records], np.int64),
        category=np.array([number[record.category] for record in records], np.int16),
        stars=np.array([record.stars for record in records], np.int8),
        summary_length=np.array(summaries, np.int32),
        tokens=np.array(tokens, np.int32),
        offsets=np.array(offsets, np.int64),
    )


def _token_ids(text: str, most: int) -> list[int]:
    words = vocabulary.encode(text, most - 2)
    return [BOS, *words, EOS] if words else []
