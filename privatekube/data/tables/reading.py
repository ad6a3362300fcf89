"""Read the records of a table as its schema declares, whatever their files look like and whatever becomes of them.

1. A record is left out that lacks an id, a time or a declared value, or whose text is not text.
2. So is one of other days,
3. and one that was there before, with all its columns.

All are counted for the data owner alone.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np
import numpy.typing as npt

from privatekube import errors
from privatekube.data.columns import FIRST_DAY_SECONDS, SECONDS_PER_DAY
from privatekube.data.partition import Slice
from privatekube.data.ragged import Int64s
from privatekube.data.read_report import FileCounts, ReadReport
from privatekube.data.tables import files, markup, roles
from privatekube.data.tables.batch import Batch, Wanted, WantedColumn
from privatekube.data.tables.layout import Category, Label
from privatekube.data.tables.rows import Rows
from privatekube.data.tables.schema import Schema, Text
from privatekube.data.tables.values import Column
from privatekube.storage import uris

ShowProgress = Callable[[float], None]
"""Is told how much of all files is read, from 0 to 1."""
DAMAGED = "cannot be read"
_TELLING_ROWS = 100
"""A file of as many records is refused if not one of them fits; of a smaller one, that would tell of single records."""


class Reading:
    """The records of the declared days of a table, file by file.

    Args:
        locations: paths or URIs of files.
        schema: what the owner declares.
        keep_copies: keep exact copies of a record. One record then counts as often as it was copied, and the promise
            for one record covers one of its copies only.
        report: gets the exact numbers of what was read and left out.
        show_progress: is told how much of all files is read.

    Attributes:
        warnings: what was found of files as a whole.
    """

    def __init__(
        self,
        locations: Sequence[str],
        schema: Schema,
        *,
        keep_copies: bool = False,
        report: ReadReport | None = None,
        show_progress: ShowProgress = lambda _: None,
    ) -> None:
        self.report = ReadReport() if report is None else report
        self.warnings: list[str] = []
        self._locations, self._schema, self._show_progress = locations, schema, show_progress
        self._roles = roles.of(schema)
        self._days = schema.days.slice
        self._seen: set[bytes] | None = None if keep_copies else set()
        columns = [
            *(WantedColumn(schema.names_of(role.name)) for role in self._roles),
            *(WantedColumn(schema.names_of(name), True, text.optional) for name, text in schema.text.items()),
        ]
        self._columns = tuple(columns)

    def rows(self) -> Iterator[Rows]:
        """Read all files, once.

        Raises:
            InvalidInput: a file lacks a column of the schema, or has one of a type that does not fit.
            CorruptData: a file is damaged, or not one value of a column fits the schema: of the table, or of a file of
                at least 100 records.
        """
        whole = Counter[str]()
        for number, location in enumerate(self._locations):
            fitting = Counter[str]()
            for rows, share in self._rows_of(location, fitting):
                yield rows
                self._show_progress((number + share) / len(self._locations))
            whole.update(fitting)
        self._require_fitting(whole, ", ".join(self._locations))

    def _rows_of(self, location: str, fitting: Counter[str]) -> Iterator[tuple[Rows, float]]:
        counts, n_rows = self.report.of(location), 0
        wanted = Wanted(location, self._columns, self._schema.format)
        with uris.local_copy(location) as path:
            for batch in files.batches(path, wanted):
                counts.leave_out(DAMAGED, batch.damaged)
                if batch.has_trailing_garbage:
                    self.warnings.append(f"{location}: ignored what follows the compressed data")
                n_rows += batch.size
                if batch.size:
                    yield self._kept(self._fitting_rows(batch, location, fitting, counts), counts), batch.share
        if n_rows >= _TELLING_ROWS:
            self._require_fitting(fitting, location)

    def _require_fitting(self, fitting: Mapping[str, int], location: str) -> None:
        """Refuse data of which not one record has what a column must be: the schema is of another table."""
        described = {role.name: role.describes for role in self._roles} | dict.fromkeys(self._schema.text, "text")
        for name, count in fitting.items():
            if not count:
                column = WantedColumn(self._schema.names_of(name))
                raise errors.CorruptData(
                    f"schema: not one value of column {column} of {location} is {described[name]}"
                    f"{_hint(self._schema, name)}; correct the schema or the file"
                )

    def _fitting_rows(self, batch: Batch, location: str, fitting: Counter[str], counts: FileCounts) -> Rows:
        """Return the records of the declared days that fit the schema."""
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
        return self._selected(columns, texts, time, np.flatnonzero(wanted), location)

    def _times(self, columns: Mapping[str, Column], size: int) -> Int64s:
        return np.zeros(size, np.int64) if self._schema.time is None else columns[self._schema.time.column].values

    def _selected(
        self,
        columns: Mapping[str, Column],
        texts: Mapping[str, roles.Texts],
        time: Int64s,
        chosen: Int64s,
        location: str,
    ) -> Rows:
        schema = self._schema
        label = () if schema.label is None else (schema.label.column,)
        return Rows(
            columns[schema.user].values[chosen],
            time[chosen],
            {name: columns[name].values[chosen] for name in (*schema.features, *label)},
            {name: _plain(_chosen(texts[name].values, chosen), schema.text[name]) for name in texts},
            {name: columns[name].values[chosen] for name in schema.record},
            location,
        )

    def _kept(self, rows: Rows, counts: FileCounts) -> Rows:
        """Leave out records that were there before with all their columns."""
        if self._seen is not None:
            new = []
            for row, content in enumerate(rows.hashes().tolist()):
                if content not in self._seen:
                    self._seen.add(content)
                    new.append(row)
            counts.exact_copies += len(rows) - len(new)
            rows = rows if len(new) == len(rows) else rows.select(np.array(new, np.int64))
        counts.kept += len(rows)
        return rows


def is_within(time: Int64s, days: Slice) -> npt.NDArray[np.bool_]:
    """Return whether each of some unix seconds is of the days, bool [N]."""
    day = (time - FIRST_DAY_SECONDS) // SECONDS_PER_DAY
    return (day >= days.start_day) & (day <= days.end_day)


def _chosen(texts: Sequence[str], rows: Int64s) -> Sequence[str]:
    return texts if len(rows) == len(texts) else [texts[row] for row in rows.tolist()]


def _plain(texts: Sequence[str], declared: Text) -> Sequence[str]:
    """Return texts without what the schema drops of them."""
    if declared.drop is not None:
        pattern = re.compile(declared.drop)
        texts = [pattern.sub(" ", text) for text in texts]
    return [markup.plain(text) for text in texts] if declared.markup is not None else texts


def _hint(schema: Schema, name: str) -> str:
    """Return why no value may be one of the keys of a column, if it is the likely mistake."""
    is_label = schema.label is not None and schema.label.column == name
    kind = schema.label if is_label else schema.features.get(name)
    keys = kind.keys if isinstance(kind, Category | Label) else ()
    return " (YAML reads yes and no without quotes as true and false)" if {"true", "false"} & set(keys) else ""
