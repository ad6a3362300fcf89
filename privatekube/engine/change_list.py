"""The changes of a draft in the order in which they are written, with the barriers between them."""

from __future__ import annotations

from privatekube.engine import changes
from privatekube.engine.changes import Answer, Barrier, Write
from privatekube.engine.journal import Journal


class ChangeList:
    """Changes, each after all earlier ones of another type or of the same object.

    Args:
        journal: takes changes back.
    """

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._changes: dict[int, Write | Barrier] = {}
        self._places: dict[object, int] = {}
        """The place of the last change of each object."""
        self._barriers: dict[int, None] = {}
        """The places of the barriers."""

    def add(self, change: Write) -> None:
        """Add a change, after a barrier if it is of another type than the last one, or of an object since the barrier.

        Of two answers to one claim with nothing in between, the second includes the first and replaces it.
        """
        key, end = changes.key(change), len(self._changes)
        before, place = self._changes.get(end - 1), self._places.get(key, -1)
        is_repeated = place > next(reversed(self._barriers), -1)
        if is_repeated and isinstance(change, Answer) and isinstance(before, Answer):
            self._journal.put(self._changes, place, change)
            return
        if is_repeated or (before is not None and type(before) is not type(change)):
            self._journal.put(self._barriers, end, None)
            self._journal.put(self._changes, end, Barrier())
            end += 1
        self._journal.put(self._places, key, end)
        self._journal.put(self._changes, end, change)

    def all(self) -> tuple[Write | Barrier, ...]:
        """Return the changes and the barriers."""
        return tuple(self._changes.values())
