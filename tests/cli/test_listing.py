"""Lists fit the terminal, are sorted by value, follow what changes, and never cut a name."""

from __future__ import annotations

import csv
import io
import itertools
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from privatekube import errors
from privatekube.cli import list_columns, listing
from privatekube.cli.list_columns import Texts
from privatekube.client import connect
from privatekube.privacy.budget import EpsilonDelta
from privatekube.resources.block import BlockStatus, PrivateDataBlock
from privatekube.resources.list_rows import BlockRow, ClaimRow
from privatekube.resources.requester import Requester
from tests import builders, command_line

LONG = "amazon-reviews-of-2013-01-0"


def committed(name: str, share: float) -> PrivateDataBlock:
    """Return a block of which a claim has committed a share."""
    whole = EpsilonDelta(1.0, 1e-7)
    status = BlockStatus(whole * 0.0, whole * (1 - share), committed={"ns/c": whole * share})
    return replace(builders.block(name, whole), status=status)


def texts(*blocks: PrivateDataBlock) -> Texts:
    return list_columns.texts([BlockRow.of(block) for block in blocks], list_columns.OF_BLOCKS)


@given(st.integers(40, 200), st.lists(st.integers(1, 60), min_size=1, max_size=4, unique=True))
def test_a_table_fits_or_has_only_what_cannot_be_left_out(width: int, lengths: list[int]) -> None:
    rows = [BlockRow.of(builders.block("x" * length)) for length in lengths]
    narrow = list_columns.texts(rows, list_columns.OF_BLOCKS, wide=False)
    shown = list_columns.fitting(narrow, width)
    used = sum(2 + max(len(name), *map(len, column)) for name, column in shown.items())
    assert used <= width or list(shown) == ["name", "left"]
    assert list(shown) == [name for name in list_columns.OF_BLOCKS if name in shown]


def test_eighty_columns_show_long_names_whole(capsys: pytest.CaptureFixture[str]) -> None:
    blocks = [committed(f"{LONG}{number}", 0.5) for number in range(9)]
    narrow = list_columns.texts([BlockRow.of(block) for block in blocks], list_columns.OF_BLOCKS, wide=False)
    Console(width=80).print(listing.table(list_columns.fitting(narrow, 80)))
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 10
    assert all(len(line) <= 80 for line in lines)
    assert {block.meta.name for block in blocks} == {
        word for line in lines[1:] for word in line.split() if word.startswith(LONG)
    }


@pytest.mark.parametrize("names", [["a", "bb"], ["日本", "b" * 60]], ids=["short", "wide characters"])
def test_a_table_that_fits_is_printed_like_one_that_is_wrapped(
    names: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    shown = {**texts(*[builders.block("b")] * len(names)), "data": names}
    Console(width=200).print(listing.table(shown))
    wrapped = capsys.readouterr().out
    listing.print_table(shown, Console(width=200))
    assert capsys.readouterr().out == wrapped


def test_a_namespace_is_shown_where_there_are_several() -> None:
    other = builders.block("b" * 60)
    shown = texts(builders.block("a"), replace(other, meta=replace(other.meta, namespace="o")))
    assert "namespace" in list_columns.fitting(shown, 60)


def test_lists_are_sorted_by_value_and_not_by_text() -> None:
    rows = [BlockRow.of(block) for block in (committed("a", 0.5), committed("b", 0.06), committed("c", 1.0))]
    rows.sort(key=list_columns.key("committed", list_columns.OF_BLOCKS))
    assert [row.name for row in rows] == ["b", "a", "c"]
    with pytest.raises(errors.InvalidInput, match="--sort-by: 'colour' is not a column; use one of namespace, name"):
        list_columns.key("colour", list_columns.OF_BLOCKS)


def test_names_and_csv_are_for_programs(capsys: pytest.CaptureFixture[str]) -> None:
    claim = builders.claim("c")
    why = replace(claim, spec=replace(claim.spec, requester=Requester(user="ann", team="ads", purpose="=1+1")))
    listing.show([ClaimRow.of(why)], list_columns.OF_CLAIMS, listing.Format.NAME)
    assert capsys.readouterr().out == "ns/c\n"
    listing.show([ClaimRow.of(why)], list_columns.OF_CLAIMS, listing.Format.CSV)
    (row,) = csv.DictReader(io.StringIO(capsys.readouterr().out))
    assert (row["name"], row["user"], row["team"], row["purpose"]) == ("c", "ann", "ads", "'=1+1")


def test_no_text_of_a_user_controls_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    row = ClaimRow.of(builders.claim("c"))._replace(user="ann\x1b[2J")
    listing.show([row], list_columns.OF_CLAIMS, listing.Format.WIDE)
    assert "ann\\x1b[2J" in capsys.readouterr().out


def test_watching_shows_each_change_once(capsys: pytest.CaptureFixture[str]) -> None:
    rows = [BlockRow.of(builders.block(name)) for name in ("a", "b")]
    states = [rows[:1], rows, rows, [rows[0], rows[1]._replace(waiting=1)]]
    rounds = itertools.count()

    def pause() -> None:
        if next(rounds) == len(states) - 1:
            raise KeyboardInterrupt

    steps = iter(states)
    with pytest.raises(KeyboardInterrupt):
        listing.watch(lambda: next(steps), list_columns.OF_BLOCKS, pause=pause)
    shown = [line.split()[1] for line in capsys.readouterr().out.splitlines() if "namespace" not in line]
    assert shown == ["a", "b", "b"]


def test_bad_options_of_a_list_are_one_line(tmp_path: Path) -> None:
    uri = f"sqlite:///{tmp_path}/state.db"
    with connect.connect(uri) as client:
        client.create_blocks([builders.block("a")])

    def run(*words: str, status: int = 2) -> str:
        done = command_line.privatekube(*words, folder=tmp_path, environment={connect.STORE: uri})
        assert done.returncode == status, done.stderr
        return done.stderr if status else done.stdout

    assert run("get", "blocks", "-n", "none") == "error: namespace none: has no blocks; see privatekube get blocks -A\n"
    assert "--sort-by" in run("get", "pb", "--sort-by", "colour")
    assert "--all-namespaces" in run("get", "pb", "-A", "-n", "ns")
    assert "--watch" in run("get", "pb", "-w", "-o", "json")
    assert run("get", "pb", "a", "-o", "name", status=0) == "ns/a\n"
    assert run("get", "pb", "-A", "-o", "name", status=0) == "ns/a\n"
    assert "Usage" in run("get", "-h", status=0)
