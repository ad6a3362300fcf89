"""One page of a long list, and the numbers of the others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar("T")
ROWS = 100
"""How many rows a page has."""


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """The rows of one page.

    Args:
        rows: of this page.
        number: of this page, from 1.
        last: number of the last page.
        total: how many rows there are on all pages.
    """

    rows: tuple[T, ...]
    number: int
    last: int
    total: int


def page(rows: Sequence[T], number: int, *, size: int = ROWS) -> Page[T]:
    """Return a page of some rows: the nearest one, where there is no page of that number.

    >>> page("abcde", 9, size=2)
    Page(rows=('e',), number=3, last=3, total=5)
    """
    last = max(1, -(-len(rows) // size))
    chosen = min(max(1, number), last)
    return Page(tuple(rows[(chosen - 1) * size : chosen * size]), chosen, last, len(rows))
