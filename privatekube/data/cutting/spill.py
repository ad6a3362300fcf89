"""Keep records outside memory, sorted by block, in Arrow files, and load those of some blocks."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.ipc

from privatekube.data.tables import strings
from privatekube.data.tables.rows import Encoded
from privatekube.data.tables.table import INDEX, Tokens
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
    batch = _by_block(batch_of(rows, block))
    with local_files.replacing(path, overwrite=True, mode=0o600) as file, pa.ipc.new_file(file, batch.schema) as writer:
        writer.write_batch(batch)


def load(paths: Iterable[Path], first: int, last: int, *, none: Encoded) -> Iterator[Encoded]:
    """Yield the records of each of consecutive blocks, in the order of the files and of the records in them.

    Args:
        paths: of the files.
        first: number of the first block.
        last: number of the last one.
        none: no records.
    """
    empty = batch_of(none, np.empty(0, np.int32))
    batch = _by_block(pa.concat_batches([empty, *(_copy_of_blocks(path, first, last) for path in paths)]))
    bounds = np.searchsorted(batch.column(_BLOCK).to_numpy(), np.arange(first, last + 2))
    for start, end in itertools.pairwise(bounds.tolist()):
        yield rows_of(batch.slice(start, end - start))


def rows_by_block(paths: Iterable[Path], n_blocks: int) -> npt.NDArray[np.int64]:
    """Return how many records each block has, int64 [blocks]."""
    counts = np.zeros(n_blocks, np.int64)
    for path in paths:
        counts += np.bincount(_mapped(path).column(_BLOCK).to_numpy(), minlength=n_blocks)
    return counts


def _mapped(path: Path) -> pa.RecordBatch:
    with pa.memory_map(str(path)) as file:  # what is mapped stays so while the batch is in use
        return pa.ipc.open_file(file).get_batch(0)


def _copy_of_blocks(path: Path, first: int, last: int) -> pa.RecordBatch:
    """Return the records of some blocks as a copy: a file stays mapped no longer than it is read."""
    batch = _mapped(path)
    start, end = np.searchsorted(batch.column(_BLOCK).to_numpy(), [first, last + 1])
    return batch.take(pa.array(np.arange(start, end)))


def _by_block(batch: pa.RecordBatch) -> pa.RecordBatch:
    return batch.take(pa.array(np.argsort(batch.column(_BLOCK).to_numpy(), kind="stable")))


def batch_of(rows: Encoded, block: npt.NDArray[np.int32]) -> pa.RecordBatch:
    """Return records, and the number of the block of each, as columns of Arrow."""
    columns = {_BLOCK: pa.array(block)}
    columns |= {"user": pa.array(rows.user), "time": pa.array(rows.time), "file": pa.array(rows.file)}
    columns |= {name: pa.array(np.ascontiguousarray(rows.hashes[:, half])) for half, name in enumerate(_HASHES)}
    columns |= {f"{_VALUES}{name}": pa.array(column) for name, column in rows.values.items()}
    columns |= {f"{_RECORD}{name}": pa.array(column) for name, column in rows.record.items()}
    for name, tokens in rows.texts.items():
        columns[f"{_TEXT}{name}"] = _bytes(tokens)
    return pa.RecordBatch.from_arrays(list(columns.values()), names=list(columns))


def rows_of(batch: pa.RecordBatch) -> Encoded:
    """Return the records of a batch of `batch_of`."""

    def columns(prefix: str) -> dict[str, npt.NDArray[Any]]:
        names = [name for name in batch.schema.names if name.startswith(prefix)]
        return {name.removeprefix(prefix): batch.column(name).to_numpy() for name in names}

    texts = [name for name in batch.schema.names if name.startswith(_TEXT)]
    return Encoded(
        batch.column("user").to_numpy(),
        batch.column("time").to_numpy(),
        batch.column("file").to_numpy(),
        columns(_VALUES),
        columns(_RECORD),
        {name.removeprefix(_TEXT): _tokens(batch.column(name)) for name in texts},
        np.stack([batch.column(name).to_numpy() for name in _HASHES], axis=1),
    )


def _bytes(tokens: Tokens) -> pa.LargeBinaryArray:
    """Return the tokens of each text as bytes, which Arrow selects several times faster than lists."""
    buffers = [None, pa.py_buffer(tokens.offsets * INDEX.itemsize), pa.py_buffer(np.ascontiguousarray(tokens.ids))]
    return pa.Array.from_buffers(pa.large_binary(), len(tokens), buffers)


def _tokens(texts: pa.LargeBinaryArray) -> Tokens:
    offsets, data = strings.layout(texts)
    ids = np.frombuffer(data[offsets[0] : offsets[-1]], INDEX)
    return Tokens(ids, (offsets - offsets[0]) // INDEX.itemsize)
