"""What the blocks of a table declare of its records, and how these are made of what was read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from privatekube.data import partition, sealed_file
from privatekube.data.metadata import Cut
from privatekube.data.tables import block_file, files, text
from privatekube.data.tables.layout import Category, Layout
from privatekube.data.tables.rows import Encoded
from privatekube.data.tables.schema import Schema
from privatekube.data.tables.table import Table, dtype_of


@dataclass(frozen=True)
class TableKind:
    """The kind of the records of blocks of a table.

    Args:
        layout: its columns.
        file_name: the column whose value is the name of a record's file; None for none.
        file_keys: the name of each file.
    """

    layout: Layout
    file_name: str | None = None
    file_keys: tuple[str, ...] = ()

    @property
    def partition_key_id(self) -> str:
        """Name of the public key that users are hashed with."""
        return partition.PARTITION_KEY_ID

    @property
    def record_key_id(self) -> str:
        """The same, with the columns that records are recognised by."""
        return f"{partition.PARTITION_KEY_ID} of {', '.join(Table.concatenate(self.layout, []).recognised_by)}"

    @property
    def dimensions(self) -> Mapping[str, int]:
        """Nothing: the layout is in the files."""
        return {}

    def records(self, rows: Encoded) -> Table:
        """Return records as the columns of the table."""
        values = dict(rows.values)
        if self.file_name is not None:
            kind = self.layout.features[self.file_name]
            keys = kind.keys if isinstance(kind, Category) else ()
            number = [keys.index(key) for key in self.file_keys]
            values[self.file_name] = np.array(number, dtype_of(kind))[rows.file]
        return Table(self.layout, rows.user, rows.time, values, rows.texts)

    def content(self, records: Table, cut: Cut) -> sealed_file.Content:
        """Return what the file of a part of the records holds, after checking it."""
        return block_file.content(records, cut)


def kind_of(locations: Sequence[str], schema: Schema) -> TableKind:
    """Return the kind of the records of a table.

    Args:
        locations: paths or URIs of its files.
        schema: what the owner declares.

    Raises:
        InvalidInput: a vocabulary cannot be read, or two files have one name where that is a column.
    """
    named = {} if schema.file_name is None else files.names_of(locations, schema.format)
    keys = tuple(named[location] for location in locations) if named else ()
    of_files = (
        {} if schema.file_name is None else {schema.file_name: Category(type="category", keys=tuple(sorted(keys)))}
    )
    layout = Layout(
        has_time=schema.time is not None,
        features={**schema.features, **of_files},
        texts={name: text.tokeniser(declared).declared for name, declared in schema.text.items()},
        label=schema.label,
    )
    return TableKind(layout, schema.file_name, keys)
