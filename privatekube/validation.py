"""Bounded types of arguments and settings, each declared once, and the one-line message for a value out of bounds.

Pydantic checks them wherever they annotate a field of a model or a parameter of a component:

>>> class Training(pydantic.BaseModel):
...     n_epochs: Count
>>> try:
...     Training(n_epochs=0)
... except pydantic.ValidationError as error:
...     print(first_fault(error))
n_epochs: 0 must be greater than or equal to 1; change it
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping, Sequence
from types import UnionType
from typing import Annotated

import pydantic
import pydantic_core

from privatekube import errors, plain_text

TEAM_PATTERN = "[A-Za-z0-9]([-._A-Za-z0-9]{0,61}[A-Za-z0-9])?"
TEAM_IN_WORDS = "1 to 63 letters, digits, '-', '_' or '.', and begin and end with a letter or digit"
"""The name of a team, as a pattern and in words."""
LABEL = "at most 63 lower-case letters, digits and '-'"
"""A name in Kubernetes (RFC 1123 label), in words."""
_SHOWN_CHARACTERS = 80
UNKNOWN_KEY = "unknown_key"
"""The fault of a mapping with a key that is not known, in pydantic's terms."""
_LIST = "must be a list; write one item a line, each after a '-'"
_MAPPING = "must be a mapping; write `name: value` lines"
_BOUNDS = {
    "missing": "missing; give it a value",
    "extra_forbidden": "unknown; remove it or correct its name",
    "dict_type": _MAPPING,
    "model_type": _MAPPING,
    "list_type": _LIST,
    "tuple_type": _LIST,
    "bool_type": "must be true or false; change it",
}
"""What pydantic says of types in the words of Python, by its name of the fault."""


def first_fault(error: pydantic.ValidationError) -> str:
    """Return the first fault of a validation as one line: name, value, bound, what to do."""
    fault = error.errors(include_url=False)[0]
    if fault["type"] == "json_invalid":
        return f"is not JSON ({fault['ctx']['error']}); restore the original"
    name = ".".join(str(part) for part in fault["loc"]) or "input"
    bound = bound_of(fault)
    if fault["type"] in {"missing", "extra_forbidden"}:
        return f"{name}: {bound}"
    if fault["type"] == UNKNOWN_KEY:
        return ".".join((*map(str, fault["loc"]), bound))
    if not fault["loc"] and fault["type"] == "value_error":  # a rule over several values, which its text names
        return bound
    if fault["type"] == "union_tag_invalid":
        return f"{name}: {fault['ctx']['tag']!r} is not one of {fault['ctx']['expected_tags']}; choose one"
    return f"{name}: {_shown(fault['input'], bound)}"


def _shown(value: object, bound: str) -> str:
    """Return a value and its bound, or that there is none, as YAML reads a name without a value."""
    if value is None:
        return "has no value; give it one"
    text = repr(value)
    return f"{text if len(text) <= _SHOWN_CHARACTERS else text[: _SHOWN_CHARACTERS - 3] + '...'} {bound}"


def bound_of(fault: pydantic_core.ErrorDetails) -> str:
    """Return which bound a value is out of, and what to do: `must ...; ...`, without the value."""
    if fault["type"] in _BOUNDS:
        return _BOUNDS[fault["type"]]
    bound = re.sub(r"^(Value error, |\w+ should (?=\w))", _must, fault["msg"])
    bound = re.sub(r" after validation, not \d+$", "", bound)
    return bound if "; " in bound else f"{bound}; change it"


def hint(name: object, known: Iterable[str], *, otherwise: str) -> str:
    """Return what to do about an unknown name: the known one that is like it, else `otherwise`.

    >>> hint("epsilom", ["epsilon", "delta"], otherwise="remove it")
    'did you mean epsilon?'
    """
    close = difflib.get_close_matches(str(name), known, n=1)
    return f"did you mean {close[0]}?" if close else otherwise


def require_known_keys(values: object, known: Iterable[str]) -> None:
    """Refuse a mapping with an unknown key as `first_fault` writes it, with the known one that is like it.

    Raises:
        PydanticCustomError: it has one.

    >>> class Range(pydantic.BaseModel):
    ...     first: int
    ...     @pydantic.model_validator(mode="before")
    ...     @classmethod
    ...     def _require_known(cls, values: object) -> object:
    ...         require_known_keys(values, cls.model_fields)
    ...         return values
    >>> try:
    ...     Range(fisrt=1)
    ... except pydantic.ValidationError as error:
    ...     print(first_fault(error))
    fisrt: unknown; did you mean first?
    """
    for key in values if isinstance(values, Mapping) else ():
        if key not in known:
            remedy = hint(key, known, otherwise=f"known are {', '.join(known)}")
            shown = str(key)[:_SHOWN_CHARACTERS]
            raise pydantic_core.PydanticCustomError(
                UNKNOWN_KEY, "{key}: unknown; {remedy}", {"key": shown, "remedy": remedy}
            )


def spelled(pattern: str, words: str) -> pydantic.AfterValidator:
    """Return a validator of text that must match a pattern as a whole, whose message says so in words.

    >>> class Profile(pydantic.BaseModel):
    ...     namespace: Annotated[str, spelled(r"[-a-z0-9]+", LABEL)]
    >>> try:
    ...     Profile(namespace="My team")
    ... except pydantic.ValidationError as error:
    ...     print(first_fault(error))
    namespace: 'My team' must be at most 63 lower-case letters, digits and '-'; change it
    """

    def require(text: str) -> str:
        if re.fullmatch(pattern, text) is None:
            raise ValueError(f"must be {words}")
        return text

    return pydantic.AfterValidator(require)


def require_type(name: str, value: object, kind: type | UnionType) -> None:
    """Check the type of an argument, where a caller without a type checker may pass anything.

    Raises:
        InvalidInput: it is another one; the value is not quoted, which may be anything.

    >>> require_type("claim_id", 5, str)
    Traceback (most recent call last):
    privatekube.errors.InvalidInput: claim_id: must be of the type str, not int; pass one
    """
    if not isinstance(value, kind):
        expected = kind.__name__ if isinstance(kind, type) else str(kind)
        given = type(value).__name__
        raise errors.InvalidInput(f"{name}: must be of the type {expected}, not {given}; pass one")


def require_types(name: str, values: object, kind: type) -> None:
    """Check that an argument is a list, or the like, whose items are of a type.

    Raises:
        InvalidInput: it is not, or an item is of another type.
    """
    require_type(name, values, Sequence)
    for item in values if isinstance(values, Sequence) else ():
        require_type(name, item, kind)


def _must(match: re.Match[str]) -> str:
    return "" if match[0].startswith("Value error") else "must "


def _plain(text: str) -> str:
    if not plain_text.is_plain(text):
        raise ValueError("has a character that is not plain text; leave it out")
    return text


def _block_count(value: object) -> object:
    text = str(value)
    if text != "all" and not (text.isascii() and text.isdigit() and int(text) >= 1):
        raise ValueError("must be 'all' or a whole number of at least 1")
    return text


def parse_bytes(value: object) -> int:
    """Return an amount of memory in bytes.

    >>> parse_bytes("8Gi"), parse_bytes("500M")
    (8589934592, 500000000)
    """
    match = re.fullmatch(r"(\d{1,15})([KMGT]i?)?", str(value))
    if match is None:
        raise ValueError("must be a number of bytes, or one with a unit, such as 8Gi or 500M")
    unit = match[2] or ""
    base = 1024 if unit.endswith("i") else 1000
    return int(match[1]) * int(base ** " KMGT".index(unit[:1] or " "))


Bytes = Annotated[int, pydantic.BeforeValidator(parse_bytes)]
"""An amount of memory in bytes, written as Kubernetes does: 8Gi, 500M or 1000000."""

Text = Annotated[str, pydantic.Field(min_length=1)]
"""A string that is not empty."""

Line = Annotated[str, pydantic.Field(pattern=r"^[^\x00-\x1f\x7f]+$", max_length=1000)]
"""Text of one line, that is not empty."""

PlainLine = Annotated[Line, pydantic.AfterValidator(_plain)]
"""Text of one line without characters that control how it is shown."""

Team = Annotated[str, spelled(f"{TEAM_PATTERN}|{plain_text.NOT_STATED}", TEAM_IN_WORDS)]
"""The name of a team, or `not stated`."""

Name = Annotated[str, pydantic.Field(pattern=r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$", max_length=200)]
"""A name that Kubernetes accepts: lower-case letters, digits, '-' and '.'."""

RunId = Name
"""The id of a run: its claim and the folder that it publishes to are named after it, so it has no '/'."""

StepName = Annotated[str, pydantic.Field(pattern=r"^[A-Za-z][A-Za-z0-9_-]{0,62}$")]
"""A name of a step or of a part of the units in a plan."""

Positive = Annotated[float, pydantic.Field(gt=0, allow_inf_nan=False)]
"""A finite number above 0."""

Rate = Annotated[float, pydantic.Field(ge=1e-6, le=1)]
"""A Poisson sampling rate: from a millionth, below which training would take too many steps, to 1."""

OpenShare = Annotated[float, pydantic.Field(gt=0, lt=1)]
"""A number above 0 and below 1."""

Count = Annotated[int, pydantic.Field(ge=1, le=2**53)]
"""A whole number of at least 1, up to the largest one that a float and JSON hold exactly."""

Seconds = Annotated[int, pydantic.Field(ge=1, le=10 * 366 * 86_400)]
"""A number of seconds from 1, up to ten years."""

ClippingNorm = Annotated[float, pydantic.Field(ge=1e-6, le=1e6, allow_inf_nan=False)]
"""A norm that gradients are clipped to; float32 gradients of far smaller or larger norms lose their precision."""

Seed = Annotated[int, pydantic.Field(ge=0, lt=2**63)]
"""A seed of a random generator: a whole number from 0, below 2**63."""

Epsilon = Annotated[float, pydantic.Field(gt=0, le=1000, allow_inf_nan=False)]
"""The epsilon of (epsilon, delta)-DP; beyond a thousand it promises nothing."""

Delta = OpenShare
"""The delta of (epsilon, delta)-DP."""

ClaimedDelta = Annotated[float, pydantic.Field(ge=0, lt=1)]
"""The delta of a claim: 0 where only pure mechanisms run."""

BlockCount = Annotated[str, pydantic.BeforeValidator(_block_count)]
"""A number of blocks as text: a whole number of at least 1, or `all` for every matching block."""

Conditions = list[dict[str, str]]
"""Conditions on the dimensions of blocks, each as in an allocate request."""

Scalar = bool | int | Annotated[float, pydantic.Field(allow_inf_nan=False)] | str
"""A JSON value without parts, other than null."""

SettingName = Annotated[str, pydantic.Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,62}$")]
"""A name of a setting, which a plan may use as `$name`."""

Grid = dict[SettingName, list[Scalar]]
"""Settings by name, each with the values that a search may draw."""

Settings = dict[SettingName, Scalar | Grid]
"""What a pipeline lets its users set beside the arguments of every run, by name."""

VocabularySize = Annotated[int, pydantic.Field(ge=8, lt=2**31)]
"""A number of token ids, which are int32: at least 8, a few of which are reserved."""
