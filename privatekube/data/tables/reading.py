"""Read the records of a table as its schema declares, whatever their files look like and whatever becomes of them.

A record is left out that lacks an id, a time or a declared value, or whose text is not text; so is one of other days.
All are counted for the data owner alone.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from privatekube import errors
from privatekube.data.columns import FIRST_DAY_SECONDS, SECONDS_PER_DAY
from privatekube.data.partition import Slice
from privatekube.data.ragged import Int64s
from privatekube.data.read_report import FileCounts
from privatekube.data.tables import files, json_lines, markup, roles, strings
from privatekube.data.tables.batch import Batch, Wanted, WantedColumn
from privatekube.data.tables.layout import Category, Label
from privatekube.data.tables.rows import Rows
from privatekube.data.tables.schema import Schema, Text
from privatekube.data.tables.values import Column

DAMAGED = "cannot be read"
TELLING_ROWS = 100
"""A file of as many records is refused if not one of them fits; of a smaller one, that would tell of single records."""


@dataclass(repr=False)
class Found:
    """What was found of a file, or of a part of one: exact numbers, for the data owner alone.

    Args:
        counts: of its lines.
        fitting: how many values of each column fit the schema.
        n_rows: how many records there are, and `n_lines` with what cannot be read.
        fields: the columns that a file without a header was seen to have.
        has_trailing_garbage: whether something that is not gzip follows the compressed data.
    """

    counts: FileCounts = field(default_factory=FileCounts)
    fitting: Counter[str] = field(default_factory=Counter)
    n_rows: int = 0
    n_lines: int = 0
    fields: set[str] = field(default_factory=set)
    has_trailing_garbage: bool = False

    def add(self, other: Found) -> None:
        """Add what was found of a further part."""
        self.counts.add(other.counts)
        self.fitting.update(other.fitting)
        self.n_rows += other.n_rows
        self.n_lines += other.n_lines
        self.fields |= other.fields
        self.has_trailing_garbage |= other.has_trailing_garbage


class Reader:
    """Reads the records of the declared days of a table, part by part.

    Args:
        schema: what the owner declares.
    """

    def __init__(self, schema: Schema) -> None:
        self._schema = schema
        self._roles = roles.of(schema)
        self._days = schema.days.slice

    def wanted(self, location: str) -> Wanted:
        """Return what to read of a file."""
        schema = self._schema
        columns = [
            *(WantedColumn(schema.names_of(role.name)) for role in self._roles),
            *(WantedColumn(schema.names_of(name), True, text.optional) for name, text in schema.text.items()),
        ]
        return Wanted(location, tuple(columns), schema.format)

    def rows(self, piece: files.Piece, location: str, found: Found) -> Iterator[Rows]:
        """Read a part of a file.

        Args:
            piece: the part.
            location: of the file.
            found: gets what was found.

        Raises:
            InvalidInput: the file has a column of a type that does not fit.
            CorruptData: it is damaged.
        """
        for batch in files.batches(piece, self.wanted(location)):
            found.counts.leave_out(DAMAGED, batch.damaged)
            found.has_trailing_garbage |= batch.has_trailing_garbage
            found.n_rows += batch.size
            found.n_lines += batch.size + batch.damaged
            found.fields |= batch.fields
            if batch.size:
                yield self._fitting_rows(batch, location, found)

    def require_fields(self, path: Path, location: str, found: Found) -> None:
        """Refuse a file without a header that was read and lacks a column.

        Raises:
            InvalidInput, CorruptData: see `json_lines.require_fields`.
        """
        wanted = self.wanted(location)
        if found.n_lines and not files.format_of(wanted).has_header:
            json_lines.require_fields(path, wanted, found.fields)

    def require_fitting(self, found: Found, location: str) -> None:
        """Refuse data of which not one record has what a column must be: the schema is of another table.

        Raises:
            CorruptData: it is.
        """
        described = {role.name: role.describes for role in self._roles} | dict.fromkeys(self._schema.text, "text")
        for name, count in found.fitting.items():
            if not count:
                column = WantedColumn(self._schema.names_of(name))
                raise errors.CorruptData(
                    f"schema: not one value of column {column} of {location} is {described[name]}"
                    f"{_hint(self._schema, name)}; correct the schema or the file"
                )

    def _fitting_rows(self, batch: Batch, location: str, found: Found) -> Rows:
        """Return the records of the declared days that fit the schema."""
        counts, fitting = found.counts, found.fitting
        columns = {role.name: role.read(batch, location) for role in self._roles}
        texts = {name: roles.texts(batch, self._schema.names_of(name), location) for name in self._schema.text}
        fitting.update({name: int(column.fits.sum()) for name, column in columns.items()})
        optional = {name for name, text in self._schema.text.items() if text.optional}
        fitting.update({name: text.n_given for name, text in texts.items() if name not in optional})
        fits = np.ones(batch.size, np.bool_)
        described = {role.name: role.describes for role in self._roles} | dict.fromkeys(texts, "text")
        for name, column in (columns | texts).items():
            fault = f"column {' or '.join(self._schema.names_of(name))}: not {described[name]}"
            counts.leave_out(fault, int((fits & ~column.fits).sum()))
            fits &= column.fits
        time = self._times(columns, batch.size)
        wanted = fits & is_within(time, self._days) if self._schema.time is not None else fits
        counts.outside_days += int((fits & ~wanted).sum())
        for name, column in columns.items():
            counts.clamp(name, int((wanted & column.clamped).sum()))
        return self._selected(columns, texts, time, np.flatnonzero(wanted))

    def _times(self, columns: Mapping[str, Column], size: int) -> Int64s:
        return np.zeros(size, np.int64) if self._schema.time is None else columns[self._schema.time.column].values

    def _selected(
        self,
        columns: Mapping[str, Column],
        texts: Mapping[str, roles.Texts],
        time: Int64s,
        chosen: Int64s,
    ) -> Rows:
        schema = self._schema
        label = () if schema.label is None else (schema.label.column,)
        return Rows(
            columns[schema.user].values[chosen],
            time[chosen],
            {name: columns[name].values[chosen] for name in (*schema.features, *label)},
            {name: _plain(_taken(texts[name].values, chosen), schema.text[name]) for name in texts},
            {name: columns[name].values[chosen] for name in schema.record},
        )


def is_within(time: Int64s, days: Slice) -> npt.NDArray[np.bool_]:
    """Return whether each of some unix seconds is of the days, bool [N]."""
    day = (time - FIRST_DAY_SECONDS) // SECONDS_PER_DAY
    return (day >= days.start_day) & (day <= days.end_day)


def _taken(texts: pa.LargeStringArray, chosen: Int64s) -> pa.LargeStringArray:
    """Return the texts at ascending indices; most often these are all of them, which need no copy."""
    return texts if len(chosen) == len(texts) else texts.take(pa.array(chosen))


def _plain(texts: pa.LargeStringArray, declared: Text) -> pa.LargeStringArray:
    """Return texts without what the schema drops of them."""
    if declared.drop is not None:
        pattern = re.compile(declared.drop)
        texts = strings.changed(texts, texts.is_valid(), lambda text: pattern.sub(" ", text))
    if declared.markup is not None:
        texts = strings.changed(texts, pc.match_substring_regex(texts, "[<&]"), markup.plain)
    return texts


def _hint(schema: Schema, name: str) -> str:
    """Return why no value may be one of the keys of a column, if it is the likely mistake."""
    is_label = schema.label is not None and schema.label.column == name
    kind = schema.label if is_label else schema.features.get(name)
    keys = kind.keys if isinstance(kind, Category | Label) else ()
    return " (YAML reads yes and no without quotes as true and false)" if {"true", "false"} & set(keys) else ""
