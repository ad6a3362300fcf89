"""Turn a column of a source into numbers, and say which of its values do not fit.

Values are read alike whatever the format: `7` of a CSV file, of a JSON object and of a Parquet column are the same.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from privatekube.data import partition
from privatekube.data.columns import FIRST_DAY_SECONDS, SECONDS_PER_DAY
from privatekube.data.partition import Slice
from privatekube.data.tables import strings
from privatekube.data.tables.layout import Category, Number, text_of_key
from privatekube.data.tables.table import dtype_of

_SECONDS = {"s": (1, 1), "ms": (1, 1000), "us": (1, 10**6), "ns": (1, 10**9), "day": (86_400, 1)}
"""Of each unit, by how much to multiply and to divide a number to get seconds."""
_MOST_SECONDS = 2**48
"""No time is later; a larger number is not one."""

Parse = Callable[[Any], int | float]


@dataclass(frozen=True, eq=False)
class Column:
    """A column as numbers.

    Args:
        values: [N]; 0 where the source's value does not fit.
        fits: bool [N].
        clamped: bool [N], whether the value was moved to the nearer end of the range.
    """

    values: npt.NDArray[Any]
    fits: npt.NDArray[np.bool_]
    clamped: npt.NDArray[np.bool_]

    def where(self, chosen: npt.NDArray[np.bool_], other: Column) -> Column:
        """Return these values where they are chosen, and the others elsewhere."""
        return Column(
            np.where(chosen, self.values, other.values),
            np.where(chosen, self.fits, other.fits),
            np.where(chosen, self.clamped, other.clamped),
        )


def ids(array: pa.Array) -> Column:
    """Return the keyed hash of each id, int64 [N]."""
    if pa.types.is_string(array.type):
        return _ids_of_text(array)
    return _mapped(array, lambda value: partition.keyed_hash(text_of(value)), np.dtype(np.int64))


def _ids_of_text(array: pa.Array) -> Column:
    encoded = array.dictionary_encode()
    fits = np.asarray(pc.greater(pc.binary_length(array), 0).fill_null(False))
    hashes = partition.keyed_hashes(encoded.dictionary.cast(pa.binary()).to_pylist())
    places = encoded.indices.fill_null(0).to_numpy(zero_copy_only=False)
    found = np.where(fits, hashes[places], 0) if len(hashes) else np.zeros(len(array), np.int64)
    return Column(found, fits, np.zeros_like(fits))


def times(array: pa.Array, *, unit: str | None, form: str | None, days: Slice | None) -> Column:
    """Return the unix seconds of each value, int64 [N].

    Args:
        array: dates, timestamps, numbers or text.
        unit: of numbers; None for the others.
        form: of text, as strptime reads it; None for ISO 8601.
        days: that a time can be of; None for all.
    """
    read = _times(array, unit, form)
    if days is not None:
        first, last = FIRST_DAY_SECONDS + SECONDS_PER_DAY * np.array([days.start_day, days.end_day + 1])
        read = replace(read, fits=read.fits & (read.values >= first) & (read.values < last))
    return read


def _times(array: pa.Array, unit: str | None, form: str | None) -> Column:
    if pa.types.is_temporal(array.type):
        return _mapped(_seconds(array), _whole, np.dtype(np.int64))
    if unit is not None:
        factor, divisor = _SECONDS[unit]
        if pa.types.is_integer(array.type):
            return _whole_times(array, factor, divisor)
        return _mapped(array, lambda value: _bounded(_whole(value) * factor // divisor), np.dtype(np.int64))
    if form is None and (read := _iso_times(array)) is not None:
        return read
    return _mapped(array, lambda value: _bounded(_moment(text_of(value), form)), np.dtype(np.int64))


def _whole_times(array: pa.Array, factor: int, divisor: int) -> Column:
    given = np.asarray(array.is_valid())
    numbers = array.cast(pa.int64(), safe=False).fill_null(0).to_numpy(zero_copy_only=False)
    most = _MOST_SECONDS * divisor // factor
    fits = given & (numbers >= -most) & (numbers <= most)
    seconds = np.where(fits, numbers, 0) * factor // divisor
    return Column(seconds, fits, np.zeros_like(fits))


def _iso_times(array: pa.Array) -> Column | None:
    """Return the times of texts that are all as Arrow reads ISO 8601, in UTC; None if one is not."""
    try:
        moments = array.cast(pa.string()).cast(pa.timestamp("us")).cast(pa.int64())
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        return None
    fits = np.asarray(moments.is_valid())
    seconds = moments.fill_null(0).to_numpy(zero_copy_only=False) // 10**6
    return Column(seconds, fits, np.zeros_like(fits))


def values(array: pa.Array, kind: Number | Category) -> Column:
    """Return the numbers of a feature or label: moved into the public range, or the indices of the public keys."""
    if isinstance(kind, Category):
        index = {key: number for number, key in enumerate(kind.keys)}
        return _mapped(array, lambda value: index[text_of(value)], dtype_of(kind))
    read = _numbers(array, is_whole=kind.type == "integer")
    low, high = kind.range
    outside = read.fits & ((read.values < low) | (read.values > high))
    within = np.clip(read.values, low, high).astype(dtype_of(kind))
    if kind.outside == "leave_out":
        return Column(within, read.fits & ~outside, np.zeros_like(outside))
    return Column(within, read.fits, outside)


def _numbers(array: pa.Array, *, is_whole: bool) -> Column:
    """Return the numbers that a column has; at once where Arrow reads all of it."""
    try:
        text = array.cast(pa.string()) if pa.types.is_binary(array.type) else array
        numbers = None if pa.types.is_decimal(text.type) else text.cast(pa.float64(), safe=False)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        numbers = None
    if numbers is None or pa.types.is_boolean(array.type):
        parse = (lambda value: float(_whole(value))) if is_whole else _number
        return _mapped(array, parse, np.dtype(np.float64))
    given = np.asarray(numbers.is_valid())
    read = numbers.fill_null(0).to_numpy(zero_copy_only=False)
    fits = given & np.isfinite(read)
    fits &= (read == np.floor(read)) if is_whole else True
    return Column(np.where(fits, read, 0.0) + 0.0, fits, np.zeros_like(fits))  # which makes 0 of -0


def text_of(value: object) -> str:
    """Return a value as text.

    Raises:
        ValueError: it is missing, or a number that is not whole.

    >>> text_of(7), text_of(7.0), text_of("7"), text_of(b"7")
    ('7', '7', '7', '7')
    """
    if isinstance(value, bytes):
        value = value.decode()
    if isinstance(value, float | Decimal):
        value = _whole(value)
    text = text_of_key(value)
    text.encode()  # half of a surrogate pair is not text
    return text


def texts(array: pa.Array) -> pa.LargeStringArray:
    """Return the values of a column of text; null for one that is missing, damaged, or of another type."""
    if pa.types.is_string(array.type) or pa.types.is_large_string(array.type):
        try:
            array.validate(full=True)
        except pa.ArrowInvalid:  # what a file declares to be text need not be UTF-8
            return texts(array.cast(pa.large_binary()))
        return array.cast(strings.TEXT)
    return strings.of([_text_or_none(value) for value in array.to_pylist()])


def _text_or_none(value: object) -> str | None:
    if isinstance(value, str):
        return value
    try:
        return value.decode() if isinstance(value, bytes) else None
    except UnicodeDecodeError:
        return None


def _mapped(array: pa.Array, parse: Parse, dtype: np.dtype[Any]) -> Column:
    """Parse each distinct value of a column once."""
    encoded = array if isinstance(array, pa.DictionaryArray) else array.dictionary_encode()
    parsed = [_parsed(parse, value) for value in encoded.dictionary.to_pylist()]
    fits = np.array([value is not None for value in parsed] + [False])
    numbers = np.array([0 if value is None else value for value in parsed] + [0], dtype)
    indices = encoded.indices.cast(pa.int64()).fill_null(len(parsed)).to_numpy(zero_copy_only=False)
    return Column(numbers[indices], fits[indices], np.zeros(len(indices), np.bool_))


def _parsed(parse: Parse, value: Hashable) -> int | float | None:
    try:
        return parse(value)
    except (ValueError, TypeError, OverflowError, KeyError, ArithmeticError):
        return None


def _number(value: Any) -> float:
    number = float(value.decode() if isinstance(value, bytes) else value)
    if isinstance(value, bool) or not math.isfinite(number):
        raise ValueError("is not a number")
    return number


def _whole(value: Any) -> int:
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    try:
        return int(value) if isinstance(value, bytes | str) else _of_float(value)
    except ValueError:
        return _of_float(value)


def _of_float(value: Any) -> int:
    number = _number(value)
    if not number.is_integer():
        raise ValueError("is not a whole number")
    return int(number)


def _bounded(seconds: int) -> int:
    if abs(seconds) > _MOST_SECONDS:
        raise ValueError("is not a time")
    return seconds


def _moment(text: str, form: str | None) -> int:
    moment = datetime.fromisoformat(text) if form is None else datetime.strptime(text, form)
    aware = moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
    return math.floor(aware.timestamp())


def _seconds(array: pa.Array) -> pa.Array:
    """Return dates and timestamps as whole unix seconds, rounded down."""
    kind = array.type
    if pa.types.is_date32(kind):
        seconds = array.cast(pa.int32()).cast(pa.int64()).to_numpy(zero_copy_only=False) * 86_400
    else:
        per_second = 1000 if pa.types.is_date64(kind) else _SECONDS[kind.unit][1]
        seconds = array.cast(pa.int64()).fill_null(0).to_numpy(zero_copy_only=False) // per_second
    return pa.array(seconds, pa.int64(), mask=array.is_null().to_numpy(zero_copy_only=False))
