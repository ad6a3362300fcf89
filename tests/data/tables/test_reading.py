"""A table is read as numpy arrays, as a DataFrame and as a dataset of torch, scaled by what is public alone."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from privatekube import errors
from privatekube.data.tables import features, frame
from privatekube.data.tables.table import Table
from privatekube.training import table_dataset
from tests.data.tables import builders

ROWS = [
    {
        "patient": 1,
        "admitted": "2024-03-01T12:00:00",
        "age": 30,
        "height": 2.5,
        "ward": "3",
        "note": "l été other",
        "returned": True,
    },
    {
        "patient": 2,
        "admitted": "2024-03-02T12:00:00",
        "age": 120,
        "height": 0.0,
        "ward": "A",
        "note": "",
        "returned": False,
    },
]


@pytest.fixture
def table(tmp_path: Path) -> Table:
    opened = builders.table_of(tmp_path, ROWS)
    table: Table = opened.all
    return table


def test_numbers_are_scaled_by_their_range_and_categories_are_one_column_for_each_key(table: Table) -> None:
    assert features.names(table.layout) == ("age", "height", "ward=A", "ward=B", "ward=3")
    assert features.matrix(table).dtype == np.float32
    assert features.matrix(table).tolist() == [[0.25, 1, 0, 0, 1], [1, 0, 1, 0, 0]]
    assert features.labels(table).tolist() == [0, 1]


def test_the_scale_of_one_record_does_not_depend_on_the_others(table: Table) -> None:
    alone = table.select(np.array([0]))
    assert features.matrix(alone).tolist() == features.matrix(table)[:1].tolist()


def test_tokens_are_padded_with_what_is_no_token(table: Table) -> None:
    assert features.padded(table, "note", length=2).tolist() == [[5, 6], [0, 0]]
    assert features.padded(table, "note", length=4).tolist() == [[5, 6, 1, 0], [0, 0, 0, 0]]


def test_a_table_without_features_or_label_says_so(tmp_path: Path, table: Table) -> None:
    opened = builders.table_of(tmp_path, ROWS, {"features": None, "label": None})
    bare = opened.all
    assert features.matrix(bare).shape == (2, 0)
    with pytest.raises(errors.InvalidInput, match="label: the table has none"):
        features.labels(bare)
    with pytest.raises(errors.InvalidInput, match=r"text: 'age' is not a text of the table \(note\)"):
        features.padded(table, "age", length=1)
    with pytest.raises(errors.InvalidInput, match="length: 0 must be at least 1"):
        features.padded(table, "note", length=0)


def test_a_frame_has_the_columns_of_the_schema(table: Table) -> None:
    read = frame.frame(table)
    assert list(read.columns) == ["user", "time", "age", "height", "ward", "returned", "note"]
    assert read["time"].astype(str).tolist() == ["2024-03-01 12:00:00+00:00", "2024-03-02 12:00:00+00:00"]
    assert read["ward"].tolist() == ["3", "A"]
    assert read["ward"].cat.categories.tolist() == ["A", "B", "3"]
    assert [tokens.tolist() for tokens in read["note"]] == [[4, 5, 0], []]


def test_without_pandas_a_frame_names_its_extra(table: Table, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(errors.MissingExtra, match=r"this needs the extra dataframes: pip install"):
        frame.frame(table)


def test_a_dataset_of_torch_has_features_texts_and_label(table: Table) -> None:
    dataset = table_dataset.dataset(table, texts={"note": 2})
    assert len(dataset) == 2
    values, note, label = dataset[0]
    assert (values.tolist(), note.tolist(), label.item()) == ([0.25, 1, 0, 0, 1], [5, 6], 0)
