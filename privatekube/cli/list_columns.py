"""The columns of lists of blocks and of claims: their texts, what they are sorted by, and which of them fit."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from rich.cells import cell_len

from privatekube import errors, plain_text
from privatekube.resources.list_rows import BlockRow, ClaimRow
from privatekube.resources.meta import format_time

T = TypeVar("T", BlockRow, ClaimRow)
NAME = "name"
_NAMESPACE = "namespace"
_DROPPED_FIRST = ("age", "opened", "dataset", "blocks", "waiting", "committed", _NAMESPACE)
"""The columns that a narrow terminal does without, in this order; names are never cut."""
_ONLY_WIDE = ("created", "alarm", "data", "user", "team", "purpose", "deadline")


@dataclass(frozen=True, slots=True)
class Column(Generic[T]):
    """A column.

    Args:
        text: returns the text of a row's cell.
        key: returns what rows are sorted by; None for the text.
    """

    text: Callable[[T], str]
    key: Callable[[T], float | str] | None = None


Columns = Mapping[str, Column[T]]
Texts = Mapping[str, Sequence[str]]
"""The texts of a table by column, as they are shown."""


def _time(unix_ms: int | None) -> str:
    return "" if unix_ms is None else format_time(unix_ms)


def _age_seconds(row: BlockRow | ClaimRow) -> float:
    return 0.0 if row.creation_time_ms is None else max(0.0, time.time() - row.creation_time_ms / 1000)  # clocks differ


def _age(row: BlockRow | ClaimRow) -> str:
    if row.creation_time_ms is None:
        return ""
    seconds = int(_age_seconds(row))
    for size, unit in ((86400, "d"), (3600, "h"), (60, "m")):
        if seconds >= size:
            return f"{seconds // size}{unit}"
    return f"{seconds}s"


OF_BLOCKS: Columns[BlockRow] = {
    _NAMESPACE: Column(lambda row: row.namespace),
    NAME: Column(lambda row: row.name),
    "dataset": Column(lambda row: row.dataset),
    "left": Column(lambda row: row.left, lambda row: row.most_left),
    "committed": Column(lambda row: f"{row.committed_share:.0%}", lambda row: row.committed_share),
    "waiting": Column(lambda row: str(row.waiting), lambda row: row.waiting),
    "alarm": Column(lambda row: row.alarm),
    "data": Column(lambda row: row.data_source),
    "created": Column(lambda row: _time(row.creation_time_ms), lambda row: row.creation_time_ms or 0),
    "age": Column(_age, _age_seconds),
}
OF_CLAIMS: Columns[ClaimRow] = {
    _NAMESPACE: Column(lambda row: row.namespace),
    NAME: Column(lambda row: row.name),
    "state": Column(lambda row: row.state),
    "demand": Column(lambda row: row.demand),
    "blocks": Column(lambda row: str(row.blocks), lambda row: row.blocks),
    "opened": Column(lambda row: "yes" if row.data_opened else "no"),
    "reason": Column(lambda row: row.reason),
    "user": Column(lambda row: row.user),
    "team": Column(lambda row: row.team),
    "purpose": Column(lambda row: row.purpose),
    "deadline": Column(lambda row: _time(row.deadline_ms)),
    "created": Column(lambda row: _time(row.creation_time_ms), lambda row: row.creation_time_ms or 0),
    "age": Column(_age, _age_seconds),
}


def texts(rows: Sequence[T], columns: Columns[T], *, wide: bool = True) -> Texts:
    """Return the texts of rows by column; without `wide`, of the columns that a narrow terminal may have."""
    shown = {name: column.text for name, column in columns.items() if wide or name not in _ONLY_WIDE}
    return {name: [plain_text.escaped(text(row)) for row in rows] for name, text in shown.items()}


def key(name: str, columns: Columns[T]) -> Callable[[T], float | str]:
    """Return what rows are sorted by in the order of a column.

    Raises:
        InvalidInput: there is no such column.
    """
    if name not in columns:
        raise errors.invalid("--sort-by", name, "is not a column", f"use one of {', '.join(columns)}")
    return columns[name].key or columns[name].text


def fitting(shown: Texts, width: int) -> Texts:
    """Return the columns that fit a terminal, or as few as can be.

    A namespace that all rows share is left out before a name would have to be wrapped.
    """
    fitting = dict(shown)
    several = len(set(shown[_NAMESPACE])) > 1
    widths = {name: width_of(name, column) for name, column in shown.items()}
    for dropped in _DROPPED_FIRST:
        if sum(widths[name] for name in fitting) <= width:
            break
        if dropped in fitting and not (several and dropped == _NAMESPACE):
            del fitting[dropped]
    return fitting


def width_of(name: str, column: Sequence[str]) -> int:
    """Return how many characters a column takes, with one on each side."""
    return 2 + max(map(cells, (name, *column)))


def cells(text: str) -> int:
    """Return how many characters of a terminal a plain text takes."""
    return len(text) if text.isascii() else cell_len(text)
