"""Keep records outside memory, sorted by block, in Arrow files, and load those of some blocks."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.ipc

from privatekube.data.tables.rows import Encoded
from privatekube.data.tables.table import Tokens
from privatekube.storage import local_files

_BLOCK, _VALUES, _RECORD, _TEXT = "block", "values/", "record/", "text/"
_HASHES = ("hash/0", "hash/1")


def write(path: Path, rows: Encoded, block: npt.NDArray[np.int32]) -> None:
    """Write some records to a new file that its owner alone can read.

    Args:
        path: the file.
        rows: the records.
        block: the number of each one's block, int32 [N].

    Raises:
        InvalidInput: it cannot be written.
    """
    order = np.argsort(block, kind="stable")
    batch = _batch(rows.select(order), block[order])
    with local_files.replacing(path, overwrite=True, mode=0o600) as file, pa.ipc.new_file(file, batch.schema) as writer:
        writer.write_batch(batch)


def load(paths: Iterable[Path], first: int, last: int, *, none: Encoded) -> Encoded:
    """Return the records of consecutive blocks, in the order of the files and of the records in them.

    Args:
        paths: of the files.
        first: number of the first block.
        last: number of the last one.
        none: no records.
    """
    parts = [none]
    for path in paths:
        batch = _mapped(path)
        start, end = np.searchsorted(batch.column(_BLOCK).to_numpy(), [first, last + 1])
        if start < end:
            parts.append(_rows(batch.slice(start, end - start)))
    return Encoded.concatenate(parts)


def rows_by_block(paths: Iterable[Path], n_blocks: int) -> npt.NDArray[np.int64]:
    """Return how many records each block has, int64 [blocks]."""
    counts = np.zeros(n_blocks, np.int64)
    for path in paths:
        counts += np.bincount(_mapped(path).column(_BLOCK).to_numpy(), minlength=n_blocks)
    return counts


def _mapped(path: Path) -> pa.RecordBatch:
    with pa.memory_map(str(path)) as file:  # what is mapped stays so while the batch is in use
        return pa.ipc.open_file(file).get_batch(0)


def _batch(rows: Encoded, block: npt.NDArray[np.int32]) -> pa.RecordBatch:
    columns = {_BLOCK: pa.array(block)}
    columns |= {"user": pa.array(rows.user), "time": pa.array(rows.time), "file": pa.array(rows.file)}
    columns |= {name: pa.array(np.ascontiguousarray(rows.hashes[:, half])) for half, name in enumerate(_HASHES)}
    columns |= {f"{_VALUES}{name}": pa.array(column) for name, column in rows.values.items()}
    columns |= {f"{_RECORD}{name}": pa.array(column) for name, column in rows.record.items()}
    for name, tokens in rows.texts.items():
        columns[f"{_TEXT}{name}"] = pa.LargeListArray.from_arrays(pa.array(tokens.offsets), pa.array(tokens.ids))
    return pa.RecordBatch.from_arrays(list(columns.values()), names=list(columns))


def _rows(batch: pa.RecordBatch) -> Encoded:
    """Return the records of a batch as a copy: a file stays mapped no longer than it is read."""

    def copies(prefix: str) -> dict[str, npt.NDArray[Any]]:
        names = [name for name in batch.schema.names if name.startswith(prefix)]
        return {name.removeprefix(prefix): _copy(batch.column(name)) for name in names}

    texts = [name for name in batch.schema.names if name.startswith(_TEXT)]
    return Encoded(
        _copy(batch.column("user")),
        _copy(batch.column("time")),
        _copy(batch.column("file")),
        copies(_VALUES),
        copies(_RECORD),
        {name.removeprefix(_TEXT): _tokens(batch.column(name)) for name in texts},
        np.stack([batch.column(name).to_numpy() for name in _HASHES], axis=1),
    )


def _tokens(lists: pa.LargeListArray) -> Tokens:
    offsets = lists.offsets.to_numpy()
    return Tokens(np.array(lists.values.to_numpy()[offsets[0] : offsets[-1]]), offsets - offsets[0])


def _copy(array: pa.Array) -> npt.NDArray[Any]:
    return np.array(array.to_numpy())
