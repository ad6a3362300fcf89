"""What blocks of a table declare in public is the same with and without any one record."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from privatekube.resources.block import PrivateDataBlock
from tests.data.tables import builders

ONE = builders.rows(1)[0] | {"admitted": "2024-11-01"}
DAYS = {"first": "2024-11-01", "last": "2024-12-31"}


def declared(folder: Path, table: Sequence[dict[str, Any]]) -> list[PrivateDataBlock]:
    """Cut a table, and return its blocks without what is random or a commitment."""
    folder.mkdir()
    written = builders.cut(folder, table, {"users": 3, "days": DAYS})
    return [
        replace(
            block,
            meta=replace(block.meta, annotations=dict.fromkeys(block.meta.annotations, "")),
            spec=replace(block.spec, data_source=block.spec.data_source.replace(str(folder), "")),
        )
        for item in written
        for block in item.blocks
    ]


@pytest.mark.parametrize(
    "record",
    [
        ONE | {"patient": "someone else", "admitted": "2024-12-31T23:59:59"},
        ONE | {"admitted": "1999-01-01"},
        ONE | {"age": "old"},
        ONE | {"patient": None},
        ONE | {"ward": "Z", "height": 9.0},
        ONE,
    ],
)
def test_one_record_more_changes_nothing_that_is_declared(tmp_path: Path, record: dict[str, Any]) -> None:
    table = builders.rows(40)
    assert declared(tmp_path / "with", [*table, record]) == declared(tmp_path / "without", table)


def test_a_block_is_made_of_each_slice_and_bucket_also_an_empty_one(tmp_path: Path) -> None:
    blocks = declared(tmp_path / "one", builders.rows(1))
    assert len(blocks) == 6
    assert {block.meta.name for block in blocks} >= {"visits-2024-11-01-0", "visits-2024-12-01-2"}
