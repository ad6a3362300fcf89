"""A table as a source of blocks: the records of its declared days, read once from files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from privatekube.data import partition, sealed_file
from privatekube.data.metadata import Cut
from privatekube.data.partition import Slice
from privatekube.data.tables import block_file, files, reading, text
from privatekube.data.tables.layout import Category, Layout
from privatekube.data.tables.reading import Reading
from privatekube.data.tables.rows import Rows
from privatekube.data.tables.schema import Schema
from privatekube.data.tables.table import Table, dtype_of


class TableSource:
    """The records of a declared range of days, read once from the files of a table.

    Args:
        locations: paths or URIs of files.
        schema: what the owner declares.
        options: of `reading.Reading`.

    Raises:
        InvalidInput, CorruptData: see `reading.Reading.rows`.
    """

    def __init__(self, locations: Sequence[str], schema: Schema, **options: Any) -> None:
        self.schema = schema
        self._tokenisers = {name: text.tokeniser(declared) for name, declared in schema.text.items()}
        self._keys = {} if schema.file_name is None else files.names_of(locations, schema.format)
        self.layout = Layout(
            has_time=schema.time is not None,
            features={**schema.features, **self._feature_of_files()},
            texts={name: tokeniser.declared for name, tokeniser in self._tokenisers.items()},
            label=schema.label,
        )
        read = Reading(locations, schema, **options)
        self._all = Table.concatenate(self.layout, [self._table(rows) for rows in read.rows()])
        self.report, self.warnings = read.report, read.warnings

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
        if self.schema.time is None:
            return self._all
        return self._all.select(reading.is_within(self._all.time, days))

    def content(self, records: Table, cut: Cut) -> sealed_file.Content:
        """Return what the file of a part of the records holds, after checking it."""
        return block_file.content(records, cut)

    def _feature_of_files(self) -> dict[str, Category]:
        name = self.schema.file_name
        keys = tuple(sorted(self._keys.values()))
        return {} if name is None else {name: Category(type="category", keys=keys)}

    def _table(self, rows: Rows) -> Table:
        texts = {name: self._tokenisers[name].tokens(texts) for name, texts in rows.texts.items()}
        return Table(self.layout, rows.user, rows.time, {**rows.values, **self._value_of_file(rows)}, texts)

    def _value_of_file(self, rows: Rows) -> dict[str, npt.NDArray[Any]]:
        return {
            name: np.full(len(rows), kind.keys.index(self._keys[rows.location]), dtype_of(kind))
            for name, kind in self._feature_of_files().items()
        }
