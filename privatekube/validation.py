"""Bounded types of arguments and settings, and the first fault of a value that does not fit them."""

from __future__ import annotations

from typing import Annotated

import pydantic


def first_fault(error: pydantic.ValidationError) -> str:
    """The first fault of a validation as one line: name, value, bound."""
    fault = error.errors(include_url=False)[0]
    name = ".".join(str(part) for part in fault["loc"]) or "input"
    if fault["type"] == "missing":
        return f"{name}: missing; give it a value"
    if fault["type"] == "extra_forbidden":
        return f"{name}: unknown; remove it or correct its name"
    value = repr(fault["input"])
    bound = fault["msg"].removeprefix("Value error, ").replace("Input should", "must", 1)
    return f"{name}: {value if len(value) <= 80 else value[:77] + '...'} {bound}; change it"


Text = Annotated[str, pydantic.Field(min_length=1)]
"""A string argument that must not be empty."""


def _block_count(value: object) -> object:
    text = str(value)
    if text != "all" and not (text.isascii() and text.isdigit() and int(text) >= 1):
        raise ValueError("must be 'all' or a whole number of at least 1")
    return text


Epsilon = Annotated[float, pydantic.Field(gt=0, allow_inf_nan=False)]


OpenShare = Annotated[float, pydantic.Field(gt=0, lt=1)]


Delta = OpenShare


Rate = Annotated[float, pydantic.Field(gt=0, le=1)]


Positive = Annotated[float, pydantic.Field(gt=0, allow_inf_nan=False)]


Count = Annotated[int, pydantic.Field(ge=1)]


VocabularySize = Annotated[int, pydantic.Field(ge=8)]


Seed = Annotated[int, pydantic.Field(ge=0, lt=2**63)]


Name = Annotated[str, pydantic.Field(pattern=r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$", max_length=200)]


BlockCount = Annotated[str, pydantic.BeforeValidator(_block_count)]


Conditions = list[dict[str, str]]
