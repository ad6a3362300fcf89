"""The grid of a hyper-parameter search: settings that do not change what a trial costs, each with a few values."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from typing import Any

import pydantic

from privatekube import errors, validation

SEARCHED = ("learning_rate", "max_grad_norm", "optimizer", "embedding_dim", "hidden_dim", "max_text_len")
"""What a search may try. Sampling rate and steps are not among them: every trial is of the same DpEvent."""

MOST_COMBINATIONS = 64
"""A grid with more has most of its combinations never tried by the few trials that a budget pays for."""

_GRID = "hyperparameters"


def typed(grid: object, settings: type[pydantic.BaseModel]) -> object:
    """Return a grid whose values have the types of their settings.

    Args:
        grid: values by setting, as the arguments of a run have them; anything that is not a mapping stays as it is.
        settings: declares the settings.

    Raises:
        InvalidInput: a setting cannot be searched, a value is out of its bounds or given twice, or the combinations are
            too many.
    """
    if not isinstance(grid, Mapping):
        return grid
    values = {str(name): _values(str(name), given, settings) for name, given in grid.items()}
    number = math.prod(map(len, values.values()))
    if number > MOST_COMBINATIONS:
        bound = f"combinations are more than {MOST_COMBINATIONS}"
        raise errors.invalid(_GRID, number, bound, "list fewer values")
    return values


def combinations(grid: Mapping[str, Sequence[validation.Scalar]]) -> tuple[dict[str, validation.Scalar], ...]:
    """Return each combination of the values of a grid; of an empty one, the one without values.

    >>> combinations({"learning_rate": [1.0, 2.0], "optimizer": ["sgd"]})
    ({'learning_rate': 1.0, 'optimizer': 'sgd'}, {'learning_rate': 2.0, 'optimizer': 'sgd'})
    """
    return tuple(dict(zip(grid, values, strict=True)) for values in itertools.product(*grid.values()))


def _values(name: str, given: object, settings: type[pydantic.BaseModel]) -> list[Any]:
    if name not in SEARCHED:
        raise errors.invalid(_GRID, name, f"is not one of {', '.join(SEARCHED)}", "remove it")
    if not isinstance(given, Sequence) or isinstance(given, str) or not given:
        raise errors.invalid(f"{_GRID}: {name}", given, "is not a list of values", "write [1.0, 2.0]")
    kind = pydantic.TypeAdapter(settings.model_fields[name].rebuild_annotation())
    values = [_typed(name, value, kind) for value in given]
    for value in values:
        if values.count(value) > 1:
            raise errors.invalid(f"{_GRID}: {name}", value, "is listed twice", "list each value once")
    return values


def _typed(name: str, value: object, kind: pydantic.TypeAdapter[Any]) -> Any:
    where = f"{_GRID}: {name}"
    if isinstance(value, bool):
        raise errors.invalid(where, value, "is a boolean, not a number or text", "write the value itself")
    try:
        return kind.validate_python(value)
    except pydantic.ValidationError as error:
        bound, _, remedy = validation.bound_of(error.errors(include_url=False)[0]).rpartition("; ")
        raise errors.invalid(where, value, bound, remedy) from None
