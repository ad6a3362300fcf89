"""A journal of changes of dictionaries, to take them back: values are immutable, so the replaced ones are enough."""

from __future__ import annotations

from typing import Any, TypeVar

K = TypeVar("K")
V = TypeVar("V")


class Journal:
    """Records what it replaces.

    >>> journal, amounts = Journal(), {"a": 1}
    >>> mark = journal.mark()
    >>> journal.put(amounts, "a", 2)
    >>> journal.put(amounts, "b", 3)
    >>> journal.roll_back(mark)
    >>> amounts
    {'a': 1}
    """

    def __init__(self) -> None:
        self._replaced: list[tuple[dict[Any, Any], Any, tuple[Any, ...]]] = []

    def mark(self) -> int:
        """Return the present state, for `roll_back`."""
        return len(self._replaced)

    def put(self, mapping: dict[K, V], key: K, value: V) -> None:
        """Set one key of a dictionary."""
        self._record(mapping, key)
        mapping[key] = value

    def remove(self, mapping: dict[K, V], key: K) -> None:
        """Remove one key of a dictionary, if it is there."""
        self._record(mapping, key)
        mapping.pop(key, None)

    def roll_back(self, mark: int) -> None:
        """Take back all changes since `mark`; a key that was removed since then comes last."""
        while len(self._replaced) > mark:
            mapping, key, before = self._replaced.pop()
            if before:
                (mapping[key],) = before
            else:
                mapping.pop(key, None)

    def _record(self, mapping: dict[K, V], key: K) -> None:
        self._replaced.append((mapping, key, (mapping[key],) if key in mapping else ()))
