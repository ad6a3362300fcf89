"""What the owner of a table declares about it, read from YAML: its columns, its days, its privacy unit.

Everything here is public and declared; nothing is read off the data.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Literal, Self

import pydantic

from privatekube import config, errors, validation
from privatekube.data import day_range, partition
from privatekube.data.partition import Slice
from privatekube.data.tables.layout import ColumnName, Feature, Label, Part
from privatekube.privacy.unit import PrivacyUnit
from privatekube.resources import declared_data

DatasetName = Annotated[
    str, validation.spelled(r"[a-z0-9]([-a-z0-9]{0,40}[a-z0-9])?", "at most 42 lower-case letters, digits and '-'")
]
"""The name of a dataset: it begins the names of its blocks, which a cluster bounds."""
RecordName = Annotated[
    str,
    validation.spelled(declared_data.RECORD_NAME, "at most 40 letters, digits, spaces, '-' and '_', first a letter"),
]
"""What the data calls a record."""
ENGLISH = "english"
"""In place of a file of words: the shipped list."""
MOST_TOKENS = 512
"""How many tokens of a text are kept by default."""


Unit = Literal["s", "ms", "us", "ns", "day"]
Day = Annotated[str, pydantic.BeforeValidator(str)]
"""A date YYYY-MM-DD, or a number of days since 2013-01-01."""


class Time(Part):
    """The column of the time of a record.

    Args:
        column: its name.
        unit: of numbers: seconds (`s`), `ms`, `us`, `ns` or days (`day`) since 1970.
        units: by further names of the column in files, where these are in another unit.
        range: the first and the last day that a time can be of; others are damaged, or in another unit.
        format: of text, as Python's strptime reads it. Without unit and format, text is ISO 8601, and columns of dates
            or timestamps are what they are. What has no time zone is in UTC.
    """

    column: ColumnName
    unit: Unit | None = None
    units: dict[ColumnName, Unit] = pydantic.Field(default_factory=dict)
    range: tuple[Day, Day] | None = None
    format: str | None = None

    @pydantic.model_validator(mode="after")
    def _require_one_form(self) -> Self:
        if self.unit is not None and self.format is not None:
            raise ValueError("has a unit, which numbers have, and a format, which text has: give one of the two")
        return self

    @property
    def days(self) -> Slice | None:
        """The days that a time can be of; None for all.

        Raises:
            InvalidInput: not days, or the last is before the first.
        """
        return None if self.range is None else _slice("time.range", "time.range", *self.range)


class Days(Part):
    """The public range of days.

    Args:
        first, last: a date YYYY-MM-DD, or a number of days since 2013-01-01; both inclusive.
    """

    first: Day
    last: Day

    @property
    def slice(self) -> Slice:
        """The range.

        Raises:
            InvalidInput: not a day, or the last is before the first.
        """
        return _slice("days.first", "days.last", self.first, self.last)


def _slice(name_of_first: str, name_of_last: str, first: str, last: str) -> Slice:
    days = day_range.number(name_of_first, first), day_range.number(name_of_last, last)
    if days[1] < days[0]:
        raise errors.invalid(name_of_last, last, f"is before {name_of_first} {first}", "swap them")
    return Slice(*days)


def _require_pattern(text: str) -> str:
    try:
        re.compile(text)
    except re.error as error:
        raise ValueError("is not a regular expression of Python") from error
    return text


class Text(Part):
    """A column of text.

    Args:
        words: file of a public word list, one word a line; words are cut by the rules of Unicode. Or `english`: the
            shipped list of 10,000 words, cut as runs of the letters a to z.
        tokenizer: file of a public tokenizer, as the library `tokenizers` saves it, in place of `words`.
        tokens: most tokens of a text; later ones are left out.
        markup: `html` for texts whose tags are dropped and whose entities become characters.
        drop: a regular expression of what is dropped from texts before that.
        optional: whether files may lack the column; its texts are then empty.
    """

    words: validation.Text | None = None
    tokenizer: validation.Text | None = None
    tokens: validation.Count = MOST_TOKENS
    markup: Literal["html"] | None = None
    drop: Annotated[str, pydantic.AfterValidator(_require_pattern)] | None = None
    optional: bool = False

    @pydantic.model_validator(mode="after")
    def _require_one_vocabulary(self) -> Self:
        if (self.words is None) == (self.tokenizer is None):
            raise ValueError("needs a public vocabulary: give either words or tokenizer")
        return self


Names = Annotated[
    tuple[ColumnName, ...],
    pydantic.Field(min_length=1),
    pydantic.BeforeValidator(lambda names: (names,) if isinstance(names, str) else names),
]


class Schema(Part):
    """A table as private data.

    Args:
        dataset: name by which claims select its blocks.
        user: column of the user's id: text or a whole number. Records without one are left out.
        time: None for a table without times: its unit is then not a user-day, and it is one slice.
        record: columns of ids that tell the records of one user at one time apart, such as an order number, besides
            the columns that are read. Of exact copies in all of these, one stays.
        days: the public range of days; records of other days are left out.
        slice: days in a block: day, week, month or all.
        users: number of buckets that users are spread over.
        record_name: what the data calls a record, such as visit; the privacy card says so.
        unit: the privacy unit: event (one record), user-day, or user (all days).
        max_contribution: records of a unit that are kept in a block.
        features: numbers with their public range, categories with their public keys, by column.
        text: columns of text.
        label: the column that is to be predicted.
        names: names of columns in the files, where these are others, or several in files of several layouts: the first
            one that a record has a value of counts.
        file_name: a category, whose value is the name of the record's file without its ending, and whose keys are the
            names of all files. It does not tell records apart: a copy in another file is a copy.
        format: how the files are written, where their endings do not say so.
    """

    dataset: DatasetName
    user: ColumnName
    time: Time | None = None
    record: tuple[ColumnName, ...] = ()
    days: Days
    slice: Literal["day", "week", "month", "all"] | None = None
    users: validation.Count = 1
    unit: PrivacyUnit
    max_contribution: validation.Count | None = None
    record_name: RecordName = declared_data.A_RECORD
    features: dict[ColumnName, Feature] = pydantic.Field(default_factory=dict)
    text: dict[ColumnName, Text] = pydantic.Field(default_factory=dict)
    label: Label | None = None
    names: dict[ColumnName, Names] = pydantic.Field(default_factory=dict)
    file_name: ColumnName | None = None
    format: Literal["csv", "tsv", "jsonl", "parquet", "arrow"] | None = None

    @pydantic.model_validator(mode="after")
    def _require_distinct_columns(self) -> Self:
        roles = [*self.columns, *([] if self.file_name is None else [self.file_name])]
        read = [name for column in self.columns for name in self.names_of(column)]
        for names in (roles, read):
            for name in names:
                if names.count(name) > 1:
                    raise ValueError(f"column {name!r} has two roles; give it one")
        for name in self.names:
            if name not in self.columns:
                raise ValueError(f"names: {name!r} is not a column of the schema; give it a role, or remove it")
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
        """The columns that are read, each once."""
        time = [] if self.time is None else [self.time.column]
        label = [] if self.label is None else [self.label.column]
        return (self.user, *time, *self.features, *label, *self.text, *self.record)

    def names_of(self, column: str) -> tuple[str, ...]:
        """Return the names that a column may have in a file."""
        return self.names.get(column, (column,))


def read(path: Path, stated: Mapping[str, object] = MappingProxyType({})) -> Schema:
    """Read a schema; files that it names are relative to its folder.

    Args:
        path: of the YAML file.
        stated: keys that are stated elsewhere, and take the place of those of the file.

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
        schema = Schema.model_validate({**config.read_mapping(path), **stated})
    except pydantic.ValidationError as error:
        raise errors.InvalidInput(f"{path.name}: {validation.first_fault(error)}") from None
    try:
        _ = schema.contribution_bound, schema.slices, schema.time and schema.time.days
    except errors.InvalidInput as error:
        raise errors.InvalidInput(f"{path.name}: {error}") from None
    return schema.model_copy(update={"text": {name: _beside(path, text) for name, text in schema.text.items()}})


def _beside(path: Path, text: Text) -> Text:
    files = {"words": None if text.words == ENGLISH else text.words, "tokenizer": text.tokenizer}
    return text.model_copy(update={name: str(path.parent / file) for name, file in files.items() if file is not None})
