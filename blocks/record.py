"""A review as its source gives it, and reviews as columns."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from blocks import vocabulary
from privatekube.data.columns import BOS, EOS, Reviews
from privatekube.data.sources import Encoding

TOKENISER = "lower-case [a-z]+"
SUMMARY_TOKENS, TEXT_TOKENS = 16, 127
"""Maximum numbers of tokens, with begin and end marks, as in PrivateKube's blocks."""

PARTITION_KEY_ID = "privatekube-partition-1"
"""Name of the public key below; another key would move users between buckets."""

_PARTITION_KEY = b"privatekube user partition, key 1"


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
    return Encoding(PARTITION_KEY_ID, vocabulary.digest(), vocabulary.SIZE, TOKENISER)


def keyed_hash(identifier: str) -> int:
    """Return the 63-bit hash of an id under the partition key; it is the same in every process and version."""
    hashed = hashlib.blake2b(identifier.encode(), digest_size=8, key=_PARTITION_KEY)
    return int.from_bytes(hashed.digest(), "little") >> 1


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
        user=np.array([keyed_hash(record.user) for record in records], np.int64),
        product=np.array([keyed_hash(record.product) for record in records], np.int64),
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
