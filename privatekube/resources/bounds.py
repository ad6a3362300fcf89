"""Bounds of what users write in blocks and claims, so that no object grows without limit.

The definitions of the kinds have the same ones; a test compares them. Here they hold on every store, and for objects
that were written before a definition had them.
"""

from __future__ import annotations

from collections.abc import Sized

from privatekube import errors, validation

NAME, TEXT, NUMBER, OPERATION = 253, 2048, 64, 32
"""Characters of a name, of a text, of a number as text, and of the operation of a condition."""
BLOCK_ID = 2 * NAME + 1
"""Characters of the id of a block, `namespace/name`."""
ORDERS = 64
"""Orders of a Renyi curve."""
REQUESTS, CONDITIONS, NAMED_BLOCKS, MECHANISMS, FILES, OWNERS = 256, 32, 10_000, 64, 16, 64
"""Requests of a claim; and in a request the conditions, blocks named, mechanisms, and files registered; its owners."""
MAP_ENTRIES = 1024
"""Entries of a map of amounts in a request; more blocks than that are named in groups."""
DIMENSIONS = 64
"""Dimensions of a block."""
LONGEST_MS = 10 * 366 * 86_400_000
"""The longest time to wait, or to postpone a settlement by: ten years, in milliseconds."""
LATEST_MS = 253_402_300_799_999
"""The latest time: the end of the year 9999, in unix milliseconds."""


def require_text(name: str, text: str | None, most: int, *, least: int = 0) -> None:
    """Check the length of a text; None is allowed.

    Raises:
        InvalidInput: it is too long or too short, or is not text; the message has `name`.
    """
    if text is not None:
        validation.require_type(name, text, str)
        require_size(name, text, most, "characters", least=least)


def require_size(name: str, items: Sized, most: int, what: str, *, least: int = 0) -> None:
    """Check the number of items.

    Raises:
        InvalidInput: there are too many or too few, or they are not a collection; the message has `name`.

    >>> require_size("conditions", [1, 2, 3], 2, "conditions")
    Traceback (most recent call last):
    privatekube.errors.InvalidInput: conditions: '3 conditions' must be 0 to 2; change it
    """
    validation.require_type(name, items, Sized)
    if not least <= len(items) <= most:
        raise errors.invalid(name, f"{len(items)} {what}", f"must be {least} to {most}", "change it")


def require_time(name: str, value: int | None, latest: int) -> None:
    """Check a time or a number of milliseconds; None is allowed.

    Raises:
        InvalidInput: it is negative or above `latest`; the message has `name`.
    """
    if value is not None and not 0 <= value <= latest:
        raise errors.invalid(name, value, f"must be 0 to {latest}", "change it")
