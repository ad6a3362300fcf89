"""What the owner of a table declares about it, read from YAML: its columns, its days, its privacy unit.

Everything here is public and declared; nothing is read off the data.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, Self

import pydantic

from privatekube import config, errors, validation
from privatekube.data import day_range, partition
from privatekube.data.partition import Slice
from privatekube.data.tables.layout import ColumnName, Feature, Label, Part
from privatekube.privacy.unit import PrivacyUnit
from privatekube.resources import declared_data

DATASET = r"^[a-z0-9]([-a-z0-9]{0,40}[a-z0-9])?$"
"""The name of a dataset: it begins the names of its blocks, which a cluster bounds."""
MOST_TOKENS = 512
"""How many tokens of a text are kept by default."""


class Time(Part):
    """The column of the time of a record.

    Args:
        column: its name.
        unit: of numbers: seconds (`s`), `ms`, `us`, `ns` or days (`day`) since 1970.
        format: of text, as Python's strptime reads it. Without unit and format, text is ISO 8601, and columns of dates
            or timestamps are what they are. What has no time zone is in UTC.
    """

    column: ColumnName
    unit: Literal["s", "ms", "us", "ns", "day"] | None = None
    format: str | None = None

    @pydantic.model_validator(mode="after")
    def _require_one_form(self) -> Self:
        if self.unit is not None and self.format is not None:
            raise ValueError("has a unit, which numbers have, and a format, which text has: give one of the two")
        return self


class Days(Part):
    """The public range of days.

    Args:
        first, last: a date YYYY-MM-DD, or a number of days since 2013-01-01; both inclusive.
    """

    first: Annotated[str, pydantic.BeforeValidator(str)]
    last: Annotated[str, pydantic.BeforeValidator(str)]

    @property
    def slice(self) -> Slice:
        """The range.

        Raises:
            InvalidInput: not a day, or the last is before the first.
        """
        first, last = day_range.number("days.first", self.first), day_range.number("days.last", self.last)
        if last < first:
            raise errors.invalid("days.last", self.last, f"is before days.first {self.first}", "swap them")
        return Slice(first, last)


class Text(Part):
    """A column of text.

    Args:
        words: file of a public word list, one word a line; words are cut by the rules of Unicode.
        tokenizer: file of a public tokenizer, as the library `tokenizers` saves it, in place of `words`.
        tokens: most tokens of a text; later ones are left out.
    """

    words: validation.Text | None = None
    tokenizer: validation.Text | None = None
    tokens: validation.Count = MOST_TOKENS

    @pydantic.model_validator(mode="after")
    def _require_one_vocabulary(self) -> Self:
        if (self.words is None) == (self.tokenizer is None):
            raise ValueError("needs a public vocabulary: give either words or tokenizer")
        return self


class Schema(Part):
    """A table as private data.

    Args:
        dataset: name by which claims select its blocks.
        user: column of the user's id: text or a whole number. Records without one are left out.
        time: None for a table without times: its unit is then not a user-day, and it is one slice.
        record: columns that tell the records of one user at one time apart, such as an order number, besides the
            columns that are read. Of exact copies in all of these, one stays.
        days: the public range of days; records of other days are left out.
        slice: days in a block: day, week, month or all.
        users: number of buckets that users are spread over.
        record_name: what the data calls a record, such as visit; the privacy card says so.
        unit: the privacy unit: event (one record), user-day, or user (all days).
        max_contribution: records of a unit that are kept in a block.
        features: numbers with their public range, categories with their public keys, by column.
        text: columns of text.
        label: the column that is to be predicted.
    """

    dataset: Annotated[str, pydantic.Field(pattern=DATASET)]
    user: ColumnName
    time: Time | None = None
    record: tuple[ColumnName, ...] = ()
    days: Days
    slice: Literal["day", "week", "month", "all"] | None = None
    users: validation.Count = 1
    unit: PrivacyUnit
    max_contribution: validation.Count | None = None
    record_name: Annotated[str, pydantic.Field(pattern=declared_data.RECORD_NAME)] = declared_data.A_RECORD
    features: dict[ColumnName, Feature] = pydantic.Field(default_factory=dict)
    text: dict[ColumnName, Text] = pydantic.Field(default_factory=dict)
    label: Label | None = None

    @pydantic.model_validator(mode="after")
    def _require_distinct_columns(self) -> Self:
        roles = [self.user, *self.features, *self.text, *self.record]
        roles += [] if self.label is None else [self.label.column]
        roles += [] if self.time is None else [self.time.column]
        for name in roles:
            if roles.count(name) > 1:
                raise ValueError(f"column {name!r} has two roles; give it one")
        return self

    @pydantic.model_validator(mode="after")
    def _require_time(self) -> Self:
        if self.time is None and (self.unit is PrivacyUnit.USER_DAY or self.slice not in (None, partition.ALL_DAYS)):
            raise ValueError("time is missing; name its column, or set unit to event or user and slice to all")
        return self

    @property
    def kind_of_slice(self) -> str:
        """Days in a block; all where records have no time or users are protected over all days."""
        whole = self.time is None and self.slice is None
        return partition.ALL_DAYS if whole else partition.kind_of_slice(self.slice, self.unit)

    @property
    def contribution_bound(self) -> int:
        """How many records of a unit are kept in a block.

        Raises:
            InvalidInput: a bound for events.
        """
        return partition.contribution_bound(self.unit, self.max_contribution)

    @property
    def slices(self) -> list[Slice]:
        """The slices of the declared days.

        Raises:
            InvalidInput: too many blocks, slices that would spread a user over several, or not a range of days.
        """
        partition.require_slices(self.kind_of_slice, self.unit)
        return partition.slices(self.kind_of_slice, self.days.slice, n_buckets=self.users)

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns of the source that are read, each once."""
        time = [] if self.time is None else [self.time.column]
        label = [] if self.label is None else [self.label.column]
        return (self.user, *time, *self.features, *label, *self.text, *self.record)


def read(path: Path) -> Schema:
    """Read a schema; files that it names are relative to its folder.

    Raises:
        InvalidInput: no such file, not a YAML mapping, a key that is unknown, missing or given twice, or a value out of
            bounds; one line.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     file = Path(folder) / "schema.yaml"
        ...     _ = file.write_text('''
        ...         dataset: visits
        ...         user: patient
        ...         days: {first: 2024-01-01, last: 2024-12-31}
        ...         unit: user
        ...         features: {age: {type: integer, range: [0, 120]}}
        ...         ''')
        ...     read(file).columns
        ('patient', 'age')
    """
    try:
        schema = Schema.model_validate(config.read_mapping(path))
    except pydantic.ValidationError as error:
        raise errors.InvalidInput(f"{path.name}: {validation.first_fault(error)}") from None
    try:
        _ = schema.contribution_bound, schema.slices
    except errors.InvalidInput as error:
        raise errors.InvalidInput(f"{path.name}: {error}") from None
    return schema.model_copy(update={"text": {name: _beside(path, text) for name, text in schema.text.items()}})


def _beside(path: Path, text: Text) -> Text:
    files = {"words": text.words, "tokenizer": text.tokenizer}
    return text.model_copy(update={name: str(path.parent / file) for name, file in files.items() if file is not None})
