"""The columns of a table as a block has them, and what is public about each: ranges, keys and vocabularies."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal, Self

import pydantic

from privatekube import validation

FORMAT = "privatekube-table/1"
"""Name and version of the canonical content and of the file format."""


class Part(pydantic.BaseModel):
    """A part of a layout or a schema: frozen, and without unknown names."""

    model_config = pydantic.ConfigDict(frozen=True, extra="forbid")

    @pydantic.model_validator(mode="before")
    @classmethod
    def _require_known_keys(cls, values: object) -> object:
        validation.require_known_keys(values, cls.model_fields)
        return values


def text_of_key(key: object) -> str:
    """Return a key as text; data is compared with this.

    >>> text_of_key(True), text_of_key(3), text_of_key("A")
    ('true', '3', 'A')
    """
    if isinstance(key, bool):
        return "true" if key else "false"
    if isinstance(key, int | str) and str(key):
        return str(key)
    raise ValueError("must be text, a whole number, or true or false; put it in quotes")


def _require_distinct(keys: tuple[str, ...]) -> tuple[str, ...]:
    if len(set(keys)) < len(keys):
        repeated = next(key for key in keys if keys.count(key) > 1)
        raise ValueError(f"has {repeated!r} twice")
    return keys


ColumnName = Annotated[
    str,
    pydantic.Field(max_length=200),
    validation.spelled(r"[^./\x00-\x1f\x7f]|[^/\x00-\x1f\x7f]{2,}", "one line of text without '/', and not '.'"),
]
"""The name of a column, which also names it in the block file: HDF5 gives a dot and slashes a meaning."""

Key = Annotated[str, pydantic.BeforeValidator(text_of_key)]
Keys = Annotated[tuple[Key, ...], pydantic.Field(min_length=1), pydantic.AfterValidator(_require_distinct)]
"""The public values of a column, as text, each once."""

Finite = Annotated[float, pydantic.Field(allow_inf_nan=False, ge=-(2.0**53), le=2.0**53)]
"""A number that a float holds exactly where it is whole."""


class Number(Part):
    """A column of numbers.

    Args:
        type: `number` for float64, `integer` for int64.
        range: the smallest and the largest value, public.
        outside: what happens to others: `clamp` moves them to the nearer end, `leave_out` leaves out their records.
            No part of a block, which has no such values.
    """

    type: Literal["number", "integer"]
    range: tuple[Finite, Finite]
    outside: Literal["clamp", "leave_out"] = pydantic.Field("clamp", exclude=True)

    @pydantic.model_validator(mode="after")
    def _require_order(self) -> Self:
        low, high = self.range
        if not low < high:
            raise ValueError(f"range must be [low, high] with low below high, not [{low:g}, {high:g}]")
        if self.type == "integer" and not (low.is_integer() and high.is_integer()):
            raise ValueError("range must be of whole numbers where the type is integer")
        return self


class Category(Part):
    """A column with few values, as int32 indices into its keys.

    Args:
        type: `category`.
        keys: all values, public; records with others are left out.
    """

    type: Literal["category"]
    keys: Keys


_KINDS: Mapping[str, type[Number | Category]] = {"number": Number, "integer": Number, "category": Category}


def _of_its_kind(value: object) -> object:
    """Read a mapping as the feature of its type: a choice by pydantic would name a fault `age.integer.range`."""
    kind = _KINDS.get(str(value.get("type"))) if isinstance(value, Mapping) else None
    return value if kind is None else kind.model_validate(value)


Feature = Annotated[
    Annotated[Number | Category, pydantic.Field(discriminator="type")], pydantic.BeforeValidator(_of_its_kind)
]


class Label(Part):
    """The column that is to be predicted, as int32 indices into its keys.

    Args:
        column: its name.
        keys: all classes, public; records with others are left out.
    """

    column: ColumnName
    keys: Keys


class Words(Part):
    """A column of text, as lists of token ids.

    Args:
        tokeniser: name of the rule that cuts text into tokens.
        vocabulary_digest: digest of the public vocabulary.
        ids: token ids are below this.
        tokens: most tokens of a text; later ones are left out.
    """

    tokeniser: str
    vocabulary_digest: str
    ids: validation.Count
    tokens: validation.Count


class Layout(Part):
    """The columns of a block of a table.

    Args:
        has_time: whether records have a time; without one, it is 0 for all of them.
        features: numbers and categories, by column.
        texts: by column.
        label: None if the table has none.
    """

    has_time: bool
    features: dict[ColumnName, Feature]
    texts: dict[ColumnName, Words]
    label: Label | None

    @property
    def kinds(self) -> dict[str, Number | Category]:
        """The columns with one value a record, by name in the order of the file: the features, then the label."""
        label = {} if self.label is None else {self.label.column: Category(type="category", keys=self.label.keys)}
        return {**self.features, **label}
