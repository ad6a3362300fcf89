"""A run within one program on a table that a schema declares."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from privatekube import errors
from privatekube.cli import blocks
from privatekube.client import connect as stores
from privatekube.interactive import connect
from privatekube.interactive.client import RunClient
from privatekube.privacy import renyi_filter
from privatekube.resources.block import Dimension, PrivateDataBlock
from privatekube.resources.meta import CONTENT_DIGEST, ObjectMeta
from tests.interactive import builders

SCHEMA = """
dataset: visits
user: patient
time: {column: day}
days: {first: 2024-01-01, last: 2024-01-02}
slice: day
unit: event
features: {ward: {type: category, keys: [A, B]}}
"""
ROWS = "patient,day,ward\n1,2024-01-01,A\n2,2024-01-01,B\n1,2024-01-02,A\n3,2024-01-02,C\n"


@pytest.fixture
def client(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[RunClient]:
    """Return a client of a store with two blocks of a table in the namespace ns."""
    monkeypatch.setenv(stores.STORE, f"sqlite:///{tmp_path}/state.db")
    (tmp_path / "visits.csv").write_text(ROWS)
    (tmp_path / "schema.yaml").write_text(SCHEMA)
    blocks.create(
        [str(tmp_path / "visits.csv")], tmp_path / "schema.yaml", namespace="ns", data_dir=str(tmp_path / "data")
    )
    with connect.connect() as client:
        yield client


def test_a_table_is_opened_merged_and_counted_by_its_public_keys(client: RunClient) -> None:
    with client.claim("visits", epsilon=1.0, delta=1e-9, namespace="ns") as run:
        data = builders.opened_table(run)
        keys = data.table.layout.features["ward"].keys  # type: ignore[union-attr]  # it is a category
        labels = [keys[index] for index in data.table.values["ward"]]
        counts = run.count("wards", labels, keys=keys, epsilon=1.0)
    assert sorted(labels) == ["A", "A", "B"]
    assert list(counts) == ["A", "B"]
    assert run.receipt is not None
    assert len(run.receipt.committed) == 2


def test_a_table_is_opened_once(client: RunClient) -> None:
    with client.claim("visits", epsilon=1.0, delta=1e-9, namespace="ns") as run:
        run.open()
        with pytest.raises(errors.InvalidInput, match="has opened its data before"):
            run.open()


def refuse(client: RunClient, dataset: str) -> None:
    with client.claim(dataset, epsilon=1.0, delta=1e-9, namespace="ns") as run:
        run.open()


def test_blocks_of_a_table_and_of_reviews_in_one_run_cost_nothing(client: RunClient, tmp_path: Path) -> None:
    reviews = builders.block(tmp_path, budget=renyi_filter.capacity(builders.BUDGET))
    client.create_blocks([replace(reviews, spec=replace(reviews.spec, dataset="visits"))])
    with pytest.raises(errors.InvalidInput, match="blocks: are of reviews and of a table; add a condition"):
        refuse(client, "visits")
    assert client.ledger() == []


@pytest.mark.parametrize(
    ("declared", "message", "is_paid"),
    [
        ({"unit": Dimension("unit", string_value="event")}, "is that of the files, not", False),
        ({"maxContribution": Dimension("maxContribution", numeric_value="1")}, "max_contribution", True),
    ],
)
def test_a_table_that_is_not_what_its_block_declares_is_refused(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    declared: dict[str, Dimension],
    message: str,
    is_paid: bool,
) -> None:
    monkeypatch.setenv(stores.STORE, f"sqlite:///{tmp_path}/made.db")
    (tmp_path / "visits.csv").write_text("patient,day,ward\n1,2024-01-01,A\n1,2024-01-01,B\n")
    (tmp_path / "schema.yaml").write_text(SCHEMA.replace("unit: event", "unit: user-day\nmax_contribution: 2"))
    folder = str(tmp_path / "data")
    blocks.create([str(tmp_path / "visits.csv")], tmp_path / "schema.yaml", namespace="ns", data_dir=folder)
    with connect.connect() as client:
        (first, _) = client.list_blocks()
    dimensions = tuple(declared.get(dimension.attribute, dimension) for dimension in first.spec.dimensions)
    assert dimensions != first.spec.dimensions
    annotations = {CONTENT_DIGEST: str(first.content_digest)}
    with connect.connect(f"sqlite:///{tmp_path}/state.db") as client:
        meta = ObjectMeta(first.meta.name, "ns", annotations=annotations)
        client.create_blocks([PrivateDataBlock(meta, replace(first.spec, dimensions=dimensions))])
        with pytest.raises(errors.InvalidInput, match=message):
            refuse(client, "visits")
        assert bool(client.ledger()) == is_paid
