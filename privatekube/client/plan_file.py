"""The plan of a run on disk: YAML with its steps, or with the budget that it demands without a plan.

    steps:
      - {name: statistics, mechanism: discrete_laplace, sensitivity: 1, per: record, share: 0.05}
      - {name: train, mechanism: dp_sgd, sampling_rate: 0.2, epochs: $epochs, part: train, share: free}
      - {name: evaluate, mechanism: discrete_laplace, sensitivity: 1, per: record, part: test, share: free}
    disjoint: [train, test]

A value `$name` is that argument of the run. Without a plan: `demand: {epsDel: {epsilon: 1, delta: 1e-9}}`, or a Renyi
curve, as in the manifest of a claim; see docs/plans.md.
"""

from __future__ import annotations

import contextlib
import inspect
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from privatekube import config, errors, validation
from privatekube.privacy import budget, events
from privatekube.privacy.budget import PrivacyBudget
from privatekube.privacy.plan import ALL, Plan, PlannedStep
from privatekube.privacy.planned_mechanisms import MECHANISMS, Event, Mechanism, SelectFromMany
from privatekube.resources.wire import common

FREE = "free"
"""The share of a step that gets what the others leave."""

_ARGUMENT = re.compile(r"\$([A-Za-z_][A-Za-z0-9_]*)")
_NUMBER = re.compile(r"[-+]?\d+(\.\d*)?[eE][-+]?\d+")
_TEXT = "plan"
_KEYS = ("steps", "disjoint", "demand")
_STEP_KEYS = ("name", "mechanism", "part", "share", "releases")


def read(path: Path, arguments: Mapping[str, object] | None = None) -> Plan | PrivacyBudget:
    """Read a plan, or the budget that is demanded without one.

    Args:
        path: of the YAML file.
        arguments: values by the names that the file may use as `$name`.

    Raises:
        InvalidInput: the file cannot be read, or is not a plan; one line has the file, the step and the fault.
    """
    return _of(config.read_mapping(path), path.name, arguments or {})


def parse(text: str, arguments: Mapping[str, object] | None = None) -> Plan | PrivacyBudget:
    """Return the plan that is a text; see `read`."""
    return _of(config.parse_mapping(text, _TEXT), _TEXT, arguments or {})


def _of(document: Mapping[str, Any], where: str, arguments: Mapping[str, object]) -> Plan | PrivacyBudget:
    with _prefixed(where):
        filled = {key: _filled(value, arguments) for key, value in document.items()}
        _require_known(filled, _KEYS)
        if ("steps" in filled) == ("demand" in filled):
            raise errors.InvalidInput("steps, demand: give one of them: a plan, or the budget to claim without one")
        if "demand" in filled:
            return _demand(filled)
        steps, disjoint = _items(filled, "steps"), _items(filled, "disjoint")
        return Plan(tuple(_step(step, position) for position, step in enumerate(steps, 1)), tuple(map(str, disjoint)))


def _demand(document: Mapping[str, Any]) -> PrivacyBudget:
    if "disjoint" in document:
        raise errors.InvalidInput("disjoint: has no meaning without steps; remove it")
    amount = common.budget_from_wire(document["demand"], "demand")
    if amount is None:
        raise errors.invalid(
            "demand", document["demand"], "is not a budget", "write epsDel or renyi, see docs/plans.md"
        )
    return budget.require_amount("demand", amount)


def _step(document: object, position: int) -> PlannedStep:
    if not isinstance(document, Mapping):
        raise errors.invalid(f"step {position}", document, "is not a mapping", "write `name: value` lines")
    if "name" not in document:
        raise errors.InvalidInput(f"step {position}: name: missing; give it a value")
    with _prefixed(f"step {document['name']}"):
        others = {key: value for key, value in document.items() if key not in _STEP_KEYS}
        return PlannedStep(
            name=document["name"],
            mechanism=_mechanism(document.get("mechanism"), others, beside=_STEP_KEYS),
            part=document.get("part", ALL),
            share=_share(document.get("share", FREE)),
            releases=document.get("releases"),
        )


def _share(value: Any) -> float | None:
    if value is None:
        raise errors.invalid("share", value, "is empty", f"write a fraction of epsilon, or {FREE}")
    return None if value == FREE else value


def _mechanism(name: object, values: Mapping[str, Any], *, beside: tuple[str, ...]) -> Mechanism:
    """Return a mechanism from its values; `beside` are the keys that may stand beside them."""
    if not isinstance(name, str) or name not in MECHANISMS:
        raise errors.invalid("mechanism", name, f"is unknown; known are {', '.join(MECHANISMS)}", "choose one of them")
    kind = MECHANISMS[name]
    if kind is Event:
        _require_all(values, (*beside, "event"), required=("event",))
        return Event(events.from_json(values["event"]))
    known = inspect.signature(kind).parameters
    required = [key for key, parameter in known.items() if parameter.default is parameter.empty]
    _require_all(values, (*beside, *known), required=required)
    if kind is SelectFromMany:
        trial = tuple(_trial(item) for item in _items(values, "trial"))
        return SelectFromMany(**{**values, "trial": trial})
    return kind(**values)


def _trial(document: object) -> Mechanism:
    if not isinstance(document, Mapping):
        raise errors.invalid("trial", document, "is not a mechanism", "write `mechanism: name` and its values")
    values = {key: item for key, item in document.items() if key != "mechanism"}
    return _mechanism(document.get("mechanism"), values, beside=("mechanism",))


def _items(document: Mapping[str, Any], key: str) -> list[Any]:
    value = document.get(key, [])
    if not isinstance(value, list):
        raise errors.invalid(key, value, "is not a list", "write one item a line, each after a '-'")
    return value


def _require_all(values: Mapping[str, Any], known: Iterable[str], *, required: Iterable[str]) -> None:
    _require_known(values, tuple(known))
    for key in required:
        if key not in values:
            raise errors.InvalidInput(f"{key}: missing; give it a value")


def _require_known(document: Mapping[str, Any], known: tuple[str, ...]) -> None:
    for key in document:
        if key not in known:
            hint = validation.hint(key, known, otherwise=f"known are {', '.join(known)}")
            raise errors.InvalidInput(f"{key}: unknown; {hint}")


def _filled(value: Any, arguments: Mapping[str, object]) -> Any:
    """Return a YAML value in which each `$name` is that argument, and text that is a number is that number.

    PyYAML reads `1e-9`, without a dot, as text.
    """
    if isinstance(value, dict):
        return {key: _filled(item, arguments) for key, item in value.items()}
    if isinstance(value, list):
        return [_filled(item, arguments) for item in value]
    if isinstance(value, str) and _NUMBER.fullmatch(value):
        return float(value)
    match = _ARGUMENT.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        return value
    if match[1] not in arguments:
        known = ", ".join(arguments) or "none"
        raise errors.InvalidInput(f"{value}: is not an argument of the run; known are {known}")
    return arguments[match[1]]


@contextlib.contextmanager
def _prefixed(where: str) -> Iterator[None]:
    try:
        yield
    except errors.InvalidInput as error:
        raise errors.InvalidInput(f"{where}: {error}") from error
