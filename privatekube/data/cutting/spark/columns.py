"""Records as columns of Spark, which has no unsigned numbers, and does not take any text as a name."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from privatekube.data.cutting import spill
from privatekube.data.ragged import Int64s
from privatekube.data.tables.rows import Encoded, none_of
from privatekube.data.tables.schema import Schema

BLOCK, OUTCOME = "block", "outcome"
_PIECE, _ROW = "piece", "row"


def schema_of(schema: Schema) -> pa.Schema:
    """Return the columns of what is read of a table: records, and an outcome for each part."""
    return of_records(none_of(schema), np.empty(0, np.int32), piece=0, first_row=0).schema


def of_records(rows: Encoded, block: npt.NDArray[np.int32], *, piece: int, first_row: int) -> pa.RecordBatch:
    """Return records as columns of Spark.

    Args:
        rows: the records.
        block: the number of each one's block, int32 [N].
        piece: the number of the part of the file.
        first_row: the number of the first record in the part.
    """
    batch = spill.batch_of(rows, block)
    order = [np.full(len(rows), piece, np.int64), np.arange(first_row, first_row + len(rows))]
    outcome = pa.nulls(len(rows), pa.binary())
    columns = [_plain(column) for column in batch.columns[1:]]
    names = [_PIECE, _ROW, OUTCOME, BLOCK, *map(_name, range(len(columns)))]
    return pa.RecordBatch.from_arrays([*map(pa.array, order), outcome, batch.column(0), *columns], names=names)


def of_outcome(outcome: bytes, schema: pa.Schema) -> pa.RecordBatch:
    """Return what became of a part of a file as a row of Spark without a record."""
    given = {OUTCOME: pa.array([outcome], pa.binary())}
    columns = [given.get(field.name, pa.nulls(1, field.type)) for field in schema]
    return pa.RecordBatch.from_arrays(columns, schema=schema)


def records_of(batch: pa.RecordBatch, schema: Schema) -> tuple[Encoded, Int64s]:
    """Return the records of a batch, and where each is in its file: part and row, int64 [2, N]; other rows are none."""
    batch = batch.filter(pc.is_valid(batch.column(_PIECE)))
    none = spill.batch_of(none_of(schema), np.empty(0, np.int32))
    columns = [batch.column(BLOCK), *(batch.column(_name(number)) for number in range(none.num_columns - 1))]
    typed = [_typed(column, field.type) for column, field in zip(columns, none.schema, strict=True)]
    place = np.stack([batch.column(name).to_numpy() for name in (_PIECE, _ROW)])
    return spill.rows_of(pa.RecordBatch.from_arrays(typed, schema=none.schema)), place


def in_order(parts: Sequence[tuple[Encoded, Int64s]]) -> Encoded:
    """Return records in the order of their files and lines, however Spark delivered them."""
    rows = Encoded.concatenate([part for part, _ in parts])
    piece, row = np.concatenate([place for _, place in parts], axis=1)
    return rows.select(np.lexsort((row, piece, rows.file)))


def _name(number: int) -> str:
    return f"column{number}"


def _plain(column: pa.Array) -> pa.Array:
    """Return a column as one of a type that Spark has."""
    if column.type == pa.large_binary():
        return column.cast(pa.binary())
    return column.view(pa.int64()) if column.type == pa.uint64() else column


def _typed(column: pa.Array, kind: pa.DataType) -> pa.Array:
    return column.view(kind) if kind == pa.uint64() else column.cast(kind)
