"""Parquet files are cut into parts of about one size, whatever their row groups."""

from __future__ import annotations

import pickle
from pathlib import Path

import pyarrow.parquet
import pytest

from privatekube.data.tables import files
from privatekube.data.tables.reading import Reader
from tests.data.tables import builders


@pytest.mark.parametrize(("group_rows", "n_parts"), [(1000, 20), (500, 20), (250, 4), (10, 20)])
def test_a_file_of_few_large_row_groups_or_of_many_small_ones_is_several_parts(
    tmp_path: Path, group_rows: int, n_parts: int
) -> None:
    path = tmp_path / "t.parquet"
    table = builders.arrow(builders.rows(1000))
    pyarrow.parquet.write_table(table, path, row_group_size=group_rows)
    groups = pyarrow.parquet.ParquetFile(path).metadata
    size = sum(groups.row_group(number).total_byte_size for number in range(groups.num_row_groups))
    wanted = Reader(builders.read_schema(tmp_path)).wanted(str(path))
    parts = [pickle.loads(pickle.dumps(part)) for part in files.pieces(path, wanted, most_bytes=size // 20)]  # noqa: S301
    assert n_parts - 3 <= len(parts) <= n_parts + 3
    assert [part.share for part in parts] == sorted(part.share for part in parts)
    assert parts[-1].share == 1
    read = [batch.columns["patient"] for part in parts for batch in files.batches(part, wanted)]
    assert [value for column in read for value in column.to_pylist()] == table.column("patient").to_pylist()
