"""What each column of a schema is for, and how its values are read from the columns of a file."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from privatekube import errors
from privatekube.data.tables import strings, values
from privatekube.data.tables.batch import Batch
from privatekube.data.tables.layout import Category, Number
from privatekube.data.tables.schema import Schema, Time
from privatekube.data.tables.values import Column

IsTyped = Callable[[pa.DataType], bool]


@dataclass(frozen=True)
class Role:
    """A column that each record must have a value of.

    Args:
        name: of the column in the schema.
        describes: what it must be, for messages.
        readers: by name in a file, what returns its values as numbers; the first name that a record has counts.
        is_typed: whether a type of Arrow may be right for it.
    """

    name: str
    describes: str
    readers: Mapping[str, Callable[[pa.Array], Column]]
    is_typed: IsTyped

    def read(self, batch: Batch, location: str) -> Column:
        """Return the values of some records.

        Raises:
            InvalidInput: the file declares a type that cannot be right.
        """
        read, is_given = None, np.zeros(batch.size, np.bool_)
        for name, reader in self.readers.items():
            array = batch.columns[name]
            if batch.is_typed:
                _require_type(name, array.type, self.is_typed, self.describes, location)
            if read is not None and (is_given.all() or array.null_count == batch.size):
                continue
            given = np.asarray(array.is_valid())
            column = reader(array)
            read = column if read is None else column.where(given & ~is_given, read)
            is_given |= given
        assert read is not None  # noqa: S101 - a column has a name
        return read


@dataclass(frozen=True, eq=False)
class Texts:
    """A column of texts.

    Args:
        values: N texts; one that is missing is empty.
        fits: bool [N], whether the value is text or missing.
        n_given: how many records have a text.
    """

    values: pa.LargeStringArray
    fits: npt.NDArray[np.bool_]
    n_given: int


def of(schema: Schema) -> list[Role]:
    """Return the roles of all columns but texts, in the order of the schema."""
    return list(_roles(schema))


def texts(batch: Batch, names: Sequence[str], location: str) -> Texts:
    """Return the texts of some records.

    Args:
        batch: the records.
        names: of the column in a file; the first one that a record has counts.
        location: of the file, for messages.

    Raises:
        InvalidInput: the file declares a type that is not text.
    """
    read, fits, n_given = strings.of([""] * batch.size), np.ones(batch.size, np.bool_), 0
    for name in reversed(names):
        array = batch.columns[name]
        if batch.is_typed:
            _require_type(name, array.type, _is_text, "text", location)
        not_text = batch.not_text.get(name, np.zeros(batch.size, np.bool_))
        given = np.asarray(array.is_valid()) & ~not_text
        if given.any():
            found = values.texts(array)
            is_damaged = np.asarray(found.is_null())
            read = (
                found
                if found.null_count == 0 and given.all()
                else pc.if_else(pa.array(given), found.fill_null(""), read)
            )
            fits[given] = ~is_damaged[given]
            n_given += int((given & ~is_damaged).sum())
        fits[not_text] = False
    return Texts(read, fits, n_given)


def _roles(schema: Schema) -> Iterator[Role]:
    def role(name: str, describes: str, read: Callable[[pa.Array], Column], is_typed: IsTyped) -> Role:
        return Role(name, describes, dict.fromkeys(schema.names_of(name), read), is_typed)

    yield role(schema.user, "the id of a user", values.ids, _is_key)
    if schema.time is not None:
        yield _time(schema.time, schema.names_of(schema.time.column))
    for name, feature in schema.features.items():
        yield role(
            name, _described(feature), _reader(feature), _is_key if isinstance(feature, Category) else _is_number
        )
    if schema.label is not None:
        label = Category(type="category", keys=schema.label.keys)
        yield role(schema.label.column, _described(label), _reader(label), _is_key)
    for name in schema.record:
        yield role(name, "an id", values.ids, _is_key)


def _time(time: Time, names: Sequence[str]) -> Role:
    units = {name: time.units.get(name, time.unit) for name in names}
    form = "an ISO 8601 time" if time.format is None else f"a time as {time.format}"
    known = list(dict.fromkeys(unit for unit in units.values() if unit is not None))
    described = f"a time in {' or '.join(known)} since 1970" if known else form
    described += f" from {time.range[0]} to {time.range[1]}" if time.range is not None else ""
    readers = {name: _time_reader(time, unit) for name, unit in units.items()}
    return Role(time.column, described, readers, _is_number if known else _is_time)


def _time_reader(time: Time, unit: str | None) -> Callable[[pa.Array], Column]:
    return lambda array: values.times(array, unit=unit, form=time.format, days=time.days)


def _reader(kind: Number | Category) -> Callable[[pa.Array], Column]:
    return lambda array: values.values(array, kind)


def _described(kind: Number | Category) -> str:
    if isinstance(kind, Category):
        return "one of its keys"
    described = "a number" if kind.type == "number" else "a whole number"
    return described if kind.outside == "clamp" else f"{described} from {kind.range[0]:g} to {kind.range[1]:g}"


def _require_type(name: str, kind: pa.DataType, is_right: IsTyped, described: str, location: str) -> None:
    """Check the type that a file declares for a column; a column of bytes or of nothing has none."""
    plain = kind.value_type if pa.types.is_dictionary(kind) else kind
    if not (pa.types.is_binary(plain) or pa.types.is_null(plain) or is_right(plain)):
        raise errors.InvalidInput(
            f"schema: column {name!r} of {location} is {plain}, which cannot be {described}; correct the schema"
        )


def _is_text(kind: Any) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def _is_number(kind: Any) -> bool:
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind))


def _is_key(kind: Any) -> bool:
    return _is_text(kind) or _is_number(kind) or bool(pa.types.is_boolean(kind))


def _is_time(kind: Any) -> bool:
    return _is_text(kind) or bool(pa.types.is_timestamp(kind) or pa.types.is_date(kind))
