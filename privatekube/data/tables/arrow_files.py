"""Read columns of Parquet and Arrow files, batch by batch: their types are in the file."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.ipc
import pyarrow.parquet

from privatekube.data.tables.batch import Batch, Wanted, require_columns, with_absent

ROWS = 20_000
"""How many records are read at once."""
_ARROW_FILE = b"ARROW1"


def parquet(path: Path, wanted: Wanted) -> Iterator[Batch]:
    """Read columns of a Parquet file of this machine."""
    with pa.parquet.ParquetFile(path) as file:
        require_columns(wanted, file.schema_arrow.names)
        present = [name for name in wanted.names if name in file.schema_arrow.names]
        n_rows = 0
        for batch in file.iter_batches(batch_size=ROWS, columns=present):
            n_rows += batch.num_rows
            yield _batch(batch, wanted, n_rows / max(1, file.metadata.num_rows))


def arrow(path: Path, wanted: Wanted) -> Iterator[Batch]:
    """Read columns of a file or a stream of Arrow's IPC format."""
    with path.open("rb") as start:
        is_file = start.read(len(_ARROW_FILE)) == _ARROW_FILE
    with pa.memory_map(str(path)) as stream:
        if is_file:
            reader = pa.ipc.open_file(stream)
            parts: Iterator[pa.RecordBatch] = (reader.get_batch(number) for number in range(reader.num_record_batches))
        else:
            reader = pa.ipc.open_stream(stream)
            parts = iter(reader)
        require_columns(wanted, reader.schema.names)
        for batch in parts:
            for start_row in range(0, batch.num_rows, ROWS):
                yield _batch(batch.slice(start_row, ROWS), wanted, stream.tell() / max(1, stream.size()))


def _batch(batch: pa.RecordBatch, wanted: Wanted, share: float) -> Batch:
    present = {name: batch.column(name) for name in wanted.names if name in batch.schema.names}
    return Batch(with_absent(present, batch.num_rows, wanted), batch.num_rows, is_typed=True, share=share)
