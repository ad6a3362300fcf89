"""The features of a table as one matrix, scaled by what is public alone."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from privatekube import errors
from privatekube.data.tables.layout import Category, Layout
from privatekube.data.tables.table import Table


def names(layout: Layout) -> tuple[str, ...]:
    """Return the name of each column of `matrix`: a number's own, or `column=key`.

    >>> ward = Category(type="category", keys=("A", "B"))
    >>> names(Layout(has_time=False, features={"ward": ward}, texts={}, label=None))
    ('ward=A', 'ward=B')
    """
    return tuple(name for column, kind in layout.features.items() for name in _names(column, kind))


def matrix(table: Table) -> npt.NDArray[np.float32]:
    """Return the features of all records, float32 [N, F].

    A number is scaled by its public range to [0, 1]. A category becomes one column for each public key, 1 where the
    record has it and 0 elsewhere. Neither depends on the data, so scaling costs no budget.
    """
    columns = [column for name in table.layout.features for column in _columns(table, name)]
    return np.stack(columns, axis=1).astype(np.float32) if columns else np.empty((len(table), 0), np.float32)


def labels(table: Table) -> npt.NDArray[np.int64]:
    """Return the class of each record, int64 [N]: the index of its label among the public keys.

    Raises:
        InvalidInput: the table has no label.
    """
    label = table.layout.label
    if label is None:
        raise errors.InvalidInput("label: the table has none; declare one in its schema")
    return table.values[label.column].astype(np.int64)


def padded(table: Table, column: str, *, length: int) -> npt.NDArray[np.int64]:
    """Return the first tokens of each text as a rectangle, int64 [N, length].

    Args:
        table: the records.
        column: a text.
        length: how many tokens; shorter texts are filled on the right.

    Returns:
        Token ids plus 1, and 0 where a text has ended: vocabularies of any tokenizer may use all ids from 0 on.

    Raises:
        InvalidInput: no such text, or a length below 1.
    """
    if column not in table.texts:
        known = ", ".join(table.texts) or "there is none"
        raise errors.invalid("text", column, f"is not a text of the table ({known})", "name one of its schema")
    if length < 1:
        raise errors.invalid("length", length, "must be at least 1", "set how many tokens to read")
    tokens = table.texts[column]
    filled = np.arange(length) < tokens.lengths[:, None]
    rectangle = np.zeros(filled.shape, np.int64)
    rectangle[filled] = tokens.ids[(tokens.offsets[:-1, None] + np.arange(length))[filled]] + 1
    return rectangle


def _names(column: str, kind: object) -> list[str]:
    return [f"{column}={key}" for key in kind.keys] if isinstance(kind, Category) else [column]


def _columns(table: Table, name: str) -> Iterator[npt.NDArray[np.float64]]:
    kind, values = table.layout.features[name], table.values[name]
    if isinstance(kind, Category):
        yield from (np.asarray(values == index, np.float64) for index in range(len(kind.keys)))
    else:
        low, high = kind.range
        yield (values - low) / (high - low)
