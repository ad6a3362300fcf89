"""`privatekube blocks`: a table of your own becomes blocks; the same data never gets a second budget."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import typer

import demo_blocks
from privatekube import errors
from privatekube.cli import block_options, blocks
from privatekube.client import connect
from privatekube.data import any_block
from privatekube.data.tables.block_file import TableBlock
from privatekube.privacy.budget import EpsilonDelta
from privatekube.resources import summary
from privatekube.resources.requests import AllocateRequest, BudgetDemand
from privatekube.storage import uris
from tests import command_line
from tests.data.tables import builders
from tests.storage.bucket import served

ROOT = Path(__file__).resolve().parents[2]
slow = pytest.mark.slow


def create(folder: Path, *options: str, status: int = 0) -> str:
    """Run the command in a folder and return what it prints."""
    done = command_line.privatekube("blocks", "create", *options, folder=folder, environment={})
    assert done.returncode == status, done.stderr
    assert "Traceback" not in done.stderr
    return done.stderr


def prepare(folder: Path, table: list[dict[str, Any]], changes: Mapping[str, Any] | None = None) -> None:
    builders.write_csv(folder / "t.csv", table)
    builders.read_schema(folder, changes)


def spend(folder: Path, epsilon: float, dataset: str = "visits") -> None:
    with connect.connect(f"sqlite:///{folder}/.privatekube/state.db") as client:
        demand = BudgetDemand(constant=EpsilonDelta(epsilon, 1e-9))
        client.allocate("team", "c", AllocateRequest(dataset=dataset, expected_budget=demand), timeout_seconds=9)
        client.mark_opened("team/c")
        client.consume("team/c")


TABLE = ("--source", "t.csv", "--schema", "schema.yaml", "--namespace", "team", "--accounting", "epsdel")
YEAR = {"slice": "all", "users": 2}


def test_blocks_of_a_cluster_go_where_client_secrets_say_and_others_into_the_own_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    connection = "host: https://kubeflow.example.org\n"
    (tmp_path / "client_secrets.yaml").write_text(f"{connection}data: s3://team/blocks\n")
    monkeypatch.delenv(connect.STORE, raising=False)
    assert block_options.data_dir_of(None, local_files=False) == block_options.FOLDER
    monkeypatch.setenv(connect.STORE, "kubernetes")
    assert block_options.data_dir_of(None, local_files=False) == "s3://team/blocks"
    assert block_options.data_dir_of("gs://b/x", local_files=False) == "gs://b/x"
    assert block_options.data_dir_of(None, local_files=True) == block_options.FOLDER
    (tmp_path / "client_secrets.yaml").write_text(connection)
    with pytest.raises(errors.InvalidInput, match=r"no pod of the cluster can read; name .* as data in client_secrets"):
        block_options.data_dir_of(None, local_files=False)


@slow
def test_a_table_becomes_blocks_that_state_their_data_and_budget(tmp_path: Path) -> None:
    prepare(tmp_path, [*builders.rows(60), builders.rows(1)[0] | {"patient": None}], YEAR)
    printed = create(tmp_path, *TABLE, "--report", "report.json")
    assert printed == "created 2 blocks of epsilon 10, delta 1e-07 in team\n"
    with connect.connect(f"sqlite:///{tmp_path}/.privatekube/state.db") as client:
        registered = client.list_blocks("team")
    parts = []
    for block in registered:
        read = any_block.read_block(block.spec.data_source.removeprefix("file://"), digest=block.content_digest)
        assert isinstance(read, TableBlock)
        parts.append(read)
    assert [part.cut.bucket for part in parts] == [0, 1]
    assert set(parts[0].table.user.tolist()).isdisjoint(parts[1].table.user.tolist())
    assert sum(len(part.table) for part in parts) == 60
    report = json.loads((tmp_path / "report.json").read_text())["files"][str(tmp_path / "t.csv")]
    assert (report["kept"], report["not_records"]["column patient: not the id of a user"]) == (60, 1)


@slow
def test_what_is_printed_is_the_same_with_and_without_a_bad_record(tmp_path: Path) -> None:
    printed = []
    for name, table in (("one", builders.rows(9)), ("other", [*builders.rows(9), builders.rows(1)[0] | {"age": "x"}])):
        (tmp_path / name).mkdir()
        prepare(tmp_path / name, table, YEAR)
        printed.append(create(tmp_path / name, *TABLE))
    assert printed[0] == printed[1]
    assert "records without a user, or that do not fit the schema, are left out" in printed[0]


@slow
def test_another_cut_of_a_table_is_refused_and_starts_with_what_was_committed(tmp_path: Path) -> None:
    prepare(tmp_path, builders.rows(60), YEAR)
    create(tmp_path, *TABLE)
    spend(tmp_path, 4.0)
    again = {"dataset": "again", "slice": "month", "users": 1, "text": None, "unit": "user-day"}
    prepare(tmp_path, builders.rows(60)[:50], again)
    line = create(tmp_path, *TABLE, status=2)
    assert len(line.splitlines()) == 1
    assert "is registered as team/visits-2024-01-01-0, and a budget is never refreshed" in line
    with connect.connect(f"sqlite:///{tmp_path}/.privatekube/state.db") as client:
        for block in client.list_blocks("team"):
            client.delete_block("team", block.meta.name)
    create(tmp_path, *TABLE)
    with connect.connect(f"sqlite:///{tmp_path}/.privatekube/state.db") as client:
        left = [summary.left_amount(block) for block in client.list_blocks("team")]
    assert {round(budget.epsilon, 6) for budget in left if isinstance(budget, EpsilonDelta)} == {6.0}


@slow
def test_a_folder_of_files_is_one_table_and_a_second_time_is_fine_if_that_is_said(tmp_path: Path) -> None:
    (tmp_path / "parts").mkdir()
    table = builders.rows(30)
    builders.write_csv(tmp_path / "parts" / "a.csv", table[:20])
    builders.write_json_lines(tmp_path / "parts" / "b.jsonl", table[15:])
    (tmp_path / "parts" / "README").write_text("not a table")
    builders.read_schema(tmp_path, YEAR)
    options = ("--source", "parts", *TABLE[2:])
    assert create(tmp_path, *options).startswith("created 2 blocks")
    assert "created 0 blocks of epsilon 10, delta 1e-07 in team; 2 existed already" in create(
        tmp_path, *options, "--exist-ok"
    )
    assert create(tmp_path, *options, status=2).startswith("error: ")


@slow
def test_a_table_and_its_blocks_may_be_in_a_bucket_of_s3(tmp_path: Path) -> None:
    prepare(tmp_path, builders.rows(20), YEAR)
    with served("s3") as bucket:
        uris.publish(tmp_path / "t.csv", f"{bucket}/raw/t.csv")
        options = ("--source", f"{bucket}/raw/", *TABLE[2:], "--data-dir", f"{bucket}/blocks")
        assert create(tmp_path, *options).startswith("created 2 blocks")
        assert "2 existed already" in create(tmp_path, *options, "--exist-ok")
        with connect.connect(f"sqlite:///{tmp_path}/.privatekube/state.db") as client:
            sources = [block.spec.data_source for block in client.list_blocks()]
        assert sorted(sources) == uris.list_files(f"{bucket}/blocks/team/visits")
    assert not (tmp_path / ".privatekube" / "blocks").exists()


def test_blocks_of_a_cluster_are_not_written_to_a_folder_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PRIVATEKUBE_STORE", "kubernetes://anywhere")
    with pytest.raises(errors.InvalidInput, match=r"data-dir: '/blocks' is a folder .*; name a gs:// or s3:// prefix"):
        block_options.data_dir_of("/blocks", local_files=False)
    assert block_options.data_dir_of("/blocks", local_files=True) == "/blocks"
    monkeypatch.setenv("PRIVATEKUBE_STORE", "sqlite:///state.db")
    assert block_options.data_dir_of("/blocks", local_files=False) == "/blocks"


@slow
def test_both_commands_refuse_a_folder_of_this_machine_before_they_read_or_connect(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepare(tmp_path, builders.rows(1), YEAR)
    monkeypatch.setenv("PRIVATEKUBE_STORE", "kubernetes://nowhere")
    line = create(tmp_path, *TABLE, status=2)
    assert line.startswith("error: data-dir: '.privatekube/blocks' is a folder of this machine")
    assert len(line.splitlines()) == 1
    with pytest.raises(errors.InvalidInput, match="data-dir: 'here' is a folder of this machine"):
        demo_blocks.create(days=1, data_dir="here")


@slow
@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (("--schema", "nowhere.yaml"), "nowhere.yaml: cannot be read"),
        (("--source", "nowhere.csv"), "nowhere.csv does not exist"),
        (("--source", "schema.yaml"), "does not end in one of .csv"),
        (("--source", "empty"), "has no file that ends in one of"),
        (("--report", "gs://b/x"), "report: 'gs://b/x' is not a local file"),
        (("--namespace", "My Team"), "namespace: 'My Team' must be at most 42 lower-case"),
        (("--epsilon", "0"), "epsilon: 0.0 must be greater than 0"),
    ],
)
def test_bad_input_is_one_line_and_nothing_is_left(tmp_path: Path, options: tuple[str, ...], expected: str) -> None:
    prepare(tmp_path, builders.rows(3), YEAR)
    (tmp_path / "empty").mkdir()
    given = dict(zip(TABLE[::2], TABLE[1::2], strict=True)) | {options[0]: options[1]}
    line = create(tmp_path, *(word for pair in given.items() for word in pair), status=2)
    assert line.startswith("error: ")
    assert len(line.splitlines()) == 1
    assert expected in line
    assert not (tmp_path / ".privatekube" / "blocks").exists()


@slow
def test_blocks_are_listed_and_deleted_by_the_same_command(tmp_path: Path) -> None:
    prepare(tmp_path, builders.rows(9), YEAR)
    create(tmp_path, *TABLE)
    for options, expected in (
        (["list"], "visits-2024-01-01-1"),
        (["delete", "--namespace", "team", "visits-2024-01-01-1"], "deleted 1 block; what was committed on its data"),
        (["delete", "--namespace", "team", "--all"], "deleted 1 block; what was committed on its data"),
        (["delete", "--namespace", "team"], "delete: needs either names of blocks or --all"),
    ):
        done = command_line.privatekube("blocks", *options, folder=tmp_path, environment={})
        assert expected in done.stdout + done.stderr


def test_every_option_is_explained() -> None:
    text = (ROOT / "docs" / "data.md").read_text()
    create_command = typer.main.get_command(blocks.app).commands["create"]  # type: ignore[attr-defined]  # a group
    names = [name for option in create_command.params for name in option.opts if name != "--help"]
    assert len(names) > 8
    assert [name for name in names if not re.search(rf"`{name}[` ]", text)] == []
