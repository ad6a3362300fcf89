"""Tables in HTML for notebooks, in which all text is escaped."""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence


def table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Return a table with a header.

    >>> table(["name"], [["<b>"]])
    '<table><thead><tr><th>name</th></tr></thead><tbody><tr><td>&lt;b&gt;</td></tr></tbody></table>'
    """
    head = "".join(f"<th>{html.escape(title)}</th>" for title in header)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(map(_row, rows))}</tbody></table>"


def facts(rows: Iterable[tuple[str, object]]) -> str:
    """Return a table of names and values, without a header.

    >>> facts([("epsilon", 1.0)])
    '<table><tbody><tr><th>epsilon</th><td>1.0</td></tr></tbody></table>'
    """
    lines = (f"<tr><th>{html.escape(name)}</th><td>{html.escape(str(value))}</td></tr>" for name, value in rows)
    return f"<table><tbody>{''.join(lines)}</tbody></table>"


def _row(values: Sequence[object]) -> str:
    return f"<tr>{''.join(f'<td>{html.escape(str(value))}</td>' for value in values)}</tr>"
