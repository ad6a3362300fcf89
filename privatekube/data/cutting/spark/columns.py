"""Records as rows of Spark: those of a block that are read together are one value, which Spark does not read."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.ipc

from privatekube.data.cutting import spill
from privatekube.data.tables.rows import Encoded, none_of
from privatekube.data.tables.schema import Schema

BLOCK, OUTCOME = "block", "outcome"
_FILE, _PIECE, _READ, _RECORDS = "file", "piece", "read", "records"
_PLACE = (_FILE, _PIECE, _READ)
READ = pa.schema(
    [
        (BLOCK, pa.int32()),
        *((name, pa.int64()) for name in _PLACE),
        (_RECORDS, pa.binary()),
        (OUTCOME, pa.binary()),
    ]
)
"""What is read of files: records, and an outcome for each part."""
Place = tuple[int, int, int]
"""Where records are: the numbers of their file, of the part of it, and of the reading within the part."""


def of_records(rows: Encoded, block: npt.NDArray[np.int32], place: Place) -> pa.RecordBatch:
    """Return records as rows of Spark.

    Args:
        rows: the records.
        block: the number of each one's block, int32 [N].
        place: where all of them are.
    """
    order = np.argsort(block, kind="stable")
    batch = spill.batch_of(rows, block).take(pa.array(order))
    numbers, counts = np.unique(block, return_counts=True)
    starts = np.cumsum(counts) - counts
    values = [batch.slice(*one).serialize().to_pybytes() for one in zip(starts.tolist(), counts.tolist(), strict=True)]
    given = {name: pa.array(np.full(len(numbers), number)) for name, number in zip(_PLACE, place, strict=True)}
    return _rows({BLOCK: pa.array(numbers), _RECORDS: pa.array(values, pa.binary()), **given}, len(numbers))


def of_outcome(outcome: bytes) -> pa.RecordBatch:
    """Return what became of a part of a file as a row of Spark without records."""
    return _rows({OUTCOME: pa.array([outcome], pa.binary())}, 1)


def records_of(batch: pa.RecordBatch, schema: Schema) -> Iterator[tuple[Place, Encoded]]:
    """Yield the records of a batch, and where they are; rows without records are left out."""
    columns = spill.batch_of(none_of(schema), np.empty(0, np.int32)).schema
    places = zip(*(batch.column(name).to_pylist() for name in _PLACE), strict=True)
    for place, value in zip(places, batch.column(_RECORDS), strict=True):
        if value.is_valid:
            yield place, spill.rows_of(pa.ipc.read_record_batch(pa.py_buffer(value.as_py()), columns))


def _rows(given: dict[str, pa.Array], number: int) -> pa.RecordBatch:
    return pa.RecordBatch.from_arrays(
        [given.get(field.name, pa.nulls(number, field.type)) for field in READ], schema=READ
    )
