"""A review as its source gives it, and reviews as columns."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from privatekube.data import partition, ragged
from privatekube.data.columns import BOS, EOS, FIRST_WORD, Reviews
from privatekube.data.partition import Slice
from privatekube.data.ragged import Int64s
from privatekube.data.sources import Encoding
from privatekube.data.tables import schema, strings
from privatekube.data.tables import text as tables_text
from privatekube.data.tables.rows import Encoded
from privatekube.data.tables.schema import Schema
from privatekube.data.tables.table import Tokens
from privatekube.data.tables.text import Tokeniser

SCHEMA = Path(__file__).with_name("reviews.yaml")
"""What is declared of reviews, but their days."""


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


def read_schema(days: Slice) -> Schema:
    """Return what is declared of reviews of some days."""
    stated = {"first": days.start_day, "last": days.end_day}
    return schema.read(SCHEMA, {"dataset": "reviews", "unit": "event", "slice": "all", "days": stated})


@dataclass(frozen=True)
class Tokenisers:
    """How the texts of a review are cut into tokens.

    Args:
        summary, text: of each.
    """

    summary: Tokeniser
    text: Tokeniser

    @property
    def encoding(self) -> Encoding:
        """How records become numbers."""
        declared = self.text.declared
        n_words = declared.ids - FIRST_WORD
        return Encoding(partition.PARTITION_KEY_ID, declared.vocabulary_digest, n_words, declared.tokeniser)


def reviews(rows: Encoded, category: npt.NDArray[np.int16]) -> Reviews:
    """Return reviews as columns.

    Args:
        rows: as their schema declares them.
        category: the number of each one's category.
    """
    summary, text = _marked(rows.texts["summary"]), _marked(rows.texts["text"])
    tokens, offsets = ragged.interleaved([summary, text])
    return Reviews(
        user=rows.user,
        product=rows.record["product"],
        time=rows.time,
        category=category,
        stars=rows.values["stars"].astype(np.int8),
        summary_length=np.diff(summary[1]).astype(np.int32),
        tokens=tokens,
        offsets=offsets,
    )


def tokenisers(declared: Schema) -> Tokenisers:
    """Return the tokenisers that a schema declares."""
    return Tokenisers(**{name: tables_text.tokeniser(text) for name, text in declared.text.items()})


@functools.cache
def of_plain_text() -> Tokenisers:
    """Return the tokenisers of reviews that are not HTML."""
    declared = read_schema(Slice(0, 0))
    plain = {name: text.model_copy(update={"markup": None}) for name, text in declared.text.items()}
    return tokenisers(declared.model_copy(update={"text": plain}))


def columns(records: Sequence[Record], categories: Sequence[str]) -> Reviews:
    """Return records whose texts are not HTML as columns; a category's number is its index in `categories`."""
    number = {name: index for index, name in enumerate(categories)}
    plain = of_plain_text()
    rows = Encoded(
        user=_hashes(record.user for record in records),
        time=np.array([record.time for record in records], np.int64),
        file=np.zeros(len(records), np.int32),
        values={"stars": np.array([record.stars for record in records], np.int64)},
        record={"product": _hashes(record.product for record in records)},
        texts={
            "summary": plain.summary.tokens(strings.of([record.summary for record in records])),
            "text": plain.text.tokens(strings.of([record.text for record in records])),
        },
        hashes=np.zeros((len(records), 2), np.uint64),
    )
    return reviews(rows, np.array([number[record.category] for record in records], np.int16))


def _hashes(ids: Iterable[str]) -> Int64s:
    return np.array([partition.keyed_hash(identifier) for identifier in ids], np.int64)


def _marked(tokens: Tokens) -> tuple[npt.NDArray[np.int32], Int64s]:
    """Return texts with begin and end marks, as values and offsets; one without tokens stays empty."""
    is_text = tokens.lengths > 0
    offsets = ragged.offsets_of(tokens.lengths + 2 * is_text)
    marked = np.empty(offsets[-1], np.int32)
    marked[offsets[:-1][is_text]] = BOS
    marked[offsets[1:][is_text] - 1] = EOS
    shift = np.repeat(offsets[:-1] - tokens.offsets[:-1] + 1, tokens.lengths)
    marked[np.arange(len(tokens.ids)) + shift] = tokens.ids
    return marked, offsets
