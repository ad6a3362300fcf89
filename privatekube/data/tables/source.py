"""A table as a source of blocks: the records of its declared days, read once from files."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from privatekube import errors
from privatekube.data import partition, sealed_file
from privatekube.data.columns import FIRST_DAY_SECONDS, SECONDS_PER_DAY
from privatekube.data.metadata import Cut
from privatekube.data.partition import Slice
from privatekube.data.read_report import FileCounts, ReadReport
from privatekube.data.tables import block_file, files, text, values
from privatekube.data.tables.files import Batch
from privatekube.data.tables.layout import Layout
from privatekube.data.tables.schema import Schema
from privatekube.data.tables.table import Table
from privatekube.data.tables.values import Column
from privatekube.storage import uris

Track = Callable[[Iterable[str]], Iterable[str]]
"""Shows progress: returns what it is given, one after the other."""
_HASH_BYTES = 16
DAMAGED = "cannot be read"
_TELLING_ROWS = 100
"""A file of as many records is refused if not one of them fits; of a smaller one, that would tell of single records."""


@dataclass(frozen=True)
class _Role:
    """A column that each record must have.

    Args:
        name: of the column.
        describes: what it must be, for messages.
        read: returns its values as numbers.
        is_typed: whether a type of Arrow may be right for it.
    """

    name: str
    describes: str
    read: Callable[[pa.Array], Column]
    is_typed: Callable[[pa.DataType], bool]


class TableSource:
    """The records of a declared range of days, read once from the files of a table.

    A record without a user, a time, or a value of a feature or the label that is declared, is left out; numbers outside
    their public range are moved to its nearer end. Both are counted for the data owner alone.

    Args:
        locations: paths or URIs of files.
        schema: what the owner declares.
        keep_copies: keep exact copies of a record.
        report: gets the exact numbers of what was read and left out.
        track: shows progress over the files.

    Attributes:
        warnings: what was found of files as a whole.

    Raises:
        InvalidInput: a file lacks a column of the schema, or has one of a type that does not fit.
        CorruptData: a file is damaged, or not one value of a column fits the schema: of the table, or of a file of at
            least 100 records.
    """

    def __init__(
        self,
        locations: Sequence[str],
        schema: Schema,
        *,
        keep_copies: bool = False,
        report: ReadReport | None = None,
        track: Track = iter,
    ) -> None:
        self.schema = schema
        self.report = ReadReport() if report is None else report
        self.warnings: list[str] = []
        self._tokenisers = {name: text.tokeniser(declared) for name, declared in schema.text.items()}
        self.layout = Layout(
            has_time=schema.time is not None,
            features=schema.features,
            texts={name: tokeniser.declared for name, tokeniser in self._tokenisers.items()},
            label=schema.label,
        )
        self._roles = list(_roles(schema))
        self._days = schema.days.slice
        self._seen: set[bytes] | None = None if keep_copies else set()
        self._fitting = Counter[str]()
        parts = [part for location in track(locations) for part in self._parts(location)]
        self._require_fitting(self._fitting, ", ".join(locations))
        self._seen = None
        self._all = Table.concatenate(self.layout, parts)

    @property
    def partition_key_id(self) -> str:
        """Name of the public key that users are hashed with."""
        return partition.PARTITION_KEY_ID

    @property
    def record_key_id(self) -> str:
        """The same, with the columns that records are recognised by."""
        return f"{partition.PARTITION_KEY_ID} of {', '.join(self._all.recognised_by)}"

    @property
    def dimensions(self) -> Mapping[str, int]:
        """Nothing: the layout is in the files."""
        return {}

    def records(self, days: Slice) -> Table:
        """Return the records of a slice; all of them where they have no time."""
        return self._all.select(self._is_within(self._all.time, days))

    def content(self, records: Table, cut: Cut) -> sealed_file.Content:
        """Return what the file of a part of the records holds, after checking it."""
        return block_file.content(records, cut)

    def _parts(self, location: str) -> Iterator[Table]:
        counts, fitting, n_rows = self.report.of(location), Counter[str](), 0
        wanted = files.Wanted(location, self.schema.columns, frozenset(self.schema.text))
        with uris.local_copy(location) as path:
            for batch in files.batches(path, wanted):
                counts.not_records[DAMAGED] += batch.damaged
                if batch.has_trailing_garbage:
                    self.warnings.append(f"{location}: ignored what follows the compressed data")
                n_rows += len(batch)
                if len(batch):
                    columns = self._columns(batch, location)
                    fitting.update({name: int(column.fits.sum()) for name, column in columns.items()})
                    fitting.update({name: len(batch) - batch.columns[name].null_count for name in self.schema.text})
                    yield self._table(batch, columns, counts)
        if n_rows >= _TELLING_ROWS:
            self._require_fitting(fitting, location)
        self._fitting.update(fitting)

    def _require_fitting(self, fitting: Mapping[str, int], location: str) -> None:
        """Refuse data of which not one record has what a column must be: the schema is of another table."""
        described = {role.name: role.describes for role in self._roles} | dict.fromkeys(self.schema.text, "text")
        for name, count in fitting.items():
            if not count:
                raise errors.CorruptData(
                    f"schema: not one value of column {name!r} of {location} is {described[name]}; "
                    "correct the schema or the file"
                )

    def _columns(self, batch: Batch, location: str) -> dict[str, Column]:
        for name in self.schema.text:
            _require_type(name, batch.columns[name].type, _is_text, "text", location)
        for role in self._roles:
            _require_type(role.name, batch.columns[role.name].type, role.is_typed, role.describes, location)
        return {role.name: role.read(batch.columns[role.name]) for role in self._roles}

    def _table(self, batch: Batch, columns: Mapping[str, Column], counts: FileCounts) -> Table:
        fits = np.ones(len(batch), np.bool_)
        for role in self._roles:
            column = columns[role.name]
            counts.not_records[f"column {role.name}: not {role.describes}"] += int((fits & ~column.fits).sum())
            fits &= column.fits
        time = np.zeros(len(batch), np.int64) if self.schema.time is None else columns[self.schema.time.column].values
        wanted = fits & self._is_within(time, self._days)
        counts.outside_days += int((fits & ~wanted).sum())
        for name, column in columns.items():
            counts.clamped[name] += int((wanted & column.clamped).sum())
        rows = np.flatnonzero(wanted)
        texts = {name: values.texts(batch.columns[name].take(pa.array(rows))) for name in self.schema.text}
        table = Table(
            self.layout,
            columns[self.schema.user].values[rows],
            time[rows],
            {name: columns[name].values[rows] for name in self.layout.kinds},
            {name: self._tokenisers[name].tokens(texts[name]) for name in self.schema.text},
        )
        return self._distinct(table, batch, rows, counts)

    def _distinct(self, table: Table, batch: Batch, rows: npt.NDArray[np.int64], counts: FileCounts) -> Table:
        """Leave out records that were there before with all their columns."""
        further = [values.texts(batch.columns[name].take(pa.array(rows))) for name in self.schema.record]
        kept = [row for row in range(len(table)) if self._is_new(table.content(row), [item[row] for item in further])]
        counts.kept += len(kept)
        counts.exact_copies += len(table) - len(kept)
        return table.select(np.array(kept, np.int64))

    def _is_new(self, content: bytes, further: Sequence[str]) -> bool:
        if self._seen is None:
            return True
        record = hashlib.blake2b(content + repr(further).encode(), digest_size=_HASH_BYTES).digest()
        is_new = record not in self._seen
        self._seen.add(record)
        return is_new

    def _is_within(self, time: npt.NDArray[np.int64], days: Slice) -> npt.NDArray[np.bool_]:
        if self.schema.time is None:
            return np.ones(len(time), np.bool_)
        day = (time - FIRST_DAY_SECONDS) // SECONDS_PER_DAY
        return (day >= days.start_day) & (day <= days.end_day)


def _roles(schema: Schema) -> Iterator[_Role]:
    yield _Role(schema.user, "the id of a user", values.users, _is_key)
    time = schema.time
    if time is not None:
        form = "an ISO 8601 time" if time.format is None else f"a time as {time.format}"
        described = form if time.unit is None else f"a time in {time.unit} since 1970"
        typed = _is_number if time.unit is not None else _is_time
        yield _Role(time.column, described, lambda array: values.times(array, time), typed)
    for name, feature in schema.features.items():
        described, is_typed = ("a number", _is_number) if feature.type != "category" else ("one of its keys", _is_key)
        described = "a whole number" if feature.type == "integer" else described
        yield _Role(name, described, lambda array, kind=feature: values.values(array, kind), is_typed)  # type: ignore[misc]
    label = schema.label
    if label is not None:
        kind = Layout(has_time=False, features={}, texts={}, label=label).kinds[label.column]
        yield _Role(label.column, "one of its keys", lambda array: values.values(array, kind), _is_key)


def _require_type(
    name: str, kind: pa.DataType, is_right: Callable[[pa.DataType], bool], described: str, location: str
) -> None:
    """Check the type that a file declares for a column; a column of bytes or of nothing has none."""
    plain = kind.value_type if pa.types.is_dictionary(kind) else kind
    if not (pa.types.is_binary(plain) or pa.types.is_null(plain) or is_right(plain)):
        raise errors.InvalidInput(
            f"schema: column {name!r} of {location} is {plain}, which cannot be {described}; correct the schema"
        )


def _is_text(kind: Any) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def _is_number(kind: Any) -> bool:
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind))


def _is_key(kind: Any) -> bool:
    return _is_text(kind) or _is_number(kind) or bool(pa.types.is_boolean(kind))


def _is_time(kind: Any) -> bool:
    return _is_text(kind) or bool(pa.types.is_timestamp(kind) or pa.types.is_date(kind))
