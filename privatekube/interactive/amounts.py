"""The arguments of mechanisms: checked numbers, and columns of records as plain values."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Hashable, Iterable
from itertools import islice
from typing import TypeVar

from privatekube import errors

T = TypeVar("T")
Key = TypeVar("Key", bound=Hashable)

_MOST_KEYS = 1_000_000


def positive(name: str, value: object) -> float:
    """Return a number that must be finite and above 0.

    Raises:
        InvalidInput: it is not; the message has `name`.
    """
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < math.inf:
        raise errors.invalid(name, value, "must be a finite number above 0", "state what this mechanism may cost")
    return float(value)


def public_keys(keys: Iterable[Key]) -> list[Key]:
    """Return the keys to release.

    Raises:
        InvalidInput: there are none or too many, or they are not a collection of values that can be counted.
    """
    if not isinstance(keys, Iterable) or isinstance(keys, str | bytes):
        raise errors.invalid("keys", keys, "must be a list of the public keys", "pass one, such as range(5)")
    public = list(islice(plain(keys), _MOST_KEYS + 1))
    if len(public) > _MOST_KEYS:
        raise errors.InvalidInput(
            f"keys: are more than {_MOST_KEYS:,}; release fewer counts, such as of ranges of keys"
        )
    if not public or not all(isinstance(key, Hashable) for key in public):
        raise errors.invalid("keys", public, "must be one or more values that can be counted", "pass numbers or texts")
    return public


def column(values: Iterable[T], *, number_of_records: int) -> list[T]:
    """Return the values of a column of the opened records.

    A unit with more values than records would move the result farther than its noise covers.

    Raises:
        InvalidInput: it is not a column, or it has more values than there are records; their number is private.
    """
    listed = list(islice(plain(values), number_of_records + 1))
    if len(listed) > number_of_records:
        raise errors.InvalidInput("column: has more values than there are records; pass at most one for each record")
    return listed


def occurrences(labels: Iterable[Key]) -> Counter[Key]:
    """Return how often each label occurs.

    Raises:
        InvalidInput: they cannot be counted.
    """
    try:
        return Counter(plain(labels))
    except TypeError:
        raise errors.InvalidInput("column: holds values that cannot be counted; pass numbers or texts") from None


def numbers(values: Iterable[float]) -> list[float]:
    """Return numbers as Python's floats.

    Raises:
        InvalidInput: they are not numbers; they are not quoted.
    """
    try:
        return [float(value) for value in plain(values)]
    except (TypeError, ValueError):
        raise errors.InvalidInput("values: are not all numbers; pass a list of numbers") from None


def plain(column: Iterable[T]) -> Iterable[T]:
    """Return the values of a column, those of an array or a data frame's series as Python's own.

    Raises:
        InvalidInput: it is not a column; its content is not quoted.
    """
    values = getattr(column, "tolist", lambda: column)()
    if not isinstance(values, Iterable) or isinstance(values, str | bytes):
        raise errors.InvalidInput(f"column: a {type(column).__name__} is not one; pass one value for each record")
    return values
