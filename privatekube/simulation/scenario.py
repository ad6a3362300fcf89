"""Scenario files: blocks and claims with the times at which they come; JSON, gzipped or not.

| field | meaning |
|---|---|
| `kind` | begins with `offline`: one decision about all blocks and claims; otherwise they arrive at their times |
| `accounting` | `epsilon` or `renyi`; with `renyi`, `alphas` are the orders |
| `block_capacity` | a number, or one per order |
| `blocks` | `{"id", "arrival"}`, the arrival in seconds |
| `timeout_s` | how long a claim waits, in seconds; without a limit if it is missing |
| `claim_fields`, `claims` | the names of the columns, and a row per claim: `id`, `arrival_s`, `first_block`, \
`num_blocks`, and `epsilon` or `curve`; optional `weight` of its team (1), and `deadline_s` in seconds (none) |
| `curves` | the curves that claims refer to by index: one number per order each |
| `demand_rule` | for an epsilon in Renyi accounting: how it is converted to a curve |
| `results` | of other schedulers, by name; ignored |
"""

from __future__ import annotations

import gzip
import json
import math
import re
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from privatekube import errors
from privatekube.privacy.budget import EpsilonDelta, PrivacyBudget, RenyiCurve, require_amount
from privatekube.resources.quota import MOST_WEIGHT

_GZIP = b"\x1f\x8b"
_GAUSSIAN = re.compile(r"claim epsilon e -> Gaussian sigma=sqrt\(2 ln\(1\.25/([0-9.e-]+)\)\)/e;")


@dataclass(frozen=True, slots=True)
class SimulatedBlock:
    """A block: its id, when it arrives, in seconds, and its budget."""

    id: int | str
    arrival_seconds: float
    capacity: PrivacyBudget


@dataclass(frozen=True, slots=True)
class SimulatedClaim:
    """A claim: its id, arrival in seconds, blocks by their index, demand on each, weight of its team, and deadline."""

    id: int | str
    arrival_seconds: float
    blocks: Sequence[int]
    demand: PrivacyBudget
    weight: float = 1.0
    deadline_seconds: float = math.inf


@dataclass(frozen=True, slots=True)
class Scenario:
    """Blocks and claims, both in order of arrival.

    Args:
        offline: all blocks and claims are there from the start.
        timeout_seconds: how long a claim waits; None for no limit.
    """

    name: str
    offline: bool
    timeout_seconds: float | None
    blocks: tuple[SimulatedBlock, ...]
    claims: tuple[SimulatedClaim, ...]


def read(path: Path) -> Scenario:
    """Return the scenario of a file.

    Raises:
        InvalidInput: the file cannot be read, or is not a scenario; the message names the field or claim.
    """
    return parse(document(path), path.name.split(".")[0])


def document(path: Path) -> Any:
    """Return the JSON of a scenario file.

    Raises:
        InvalidInput: the file cannot be read, or is not JSON.
    """
    try:
        content = path.read_bytes()
        return json.loads(gzip.decompress(content) if content.startswith(_GZIP) else content)
    except OSError as error:
        raise errors.invalid(
            "scenario", str(path), f"cannot be read ({error.strerror})", "name another file"
        ) from error
    except (ValueError, EOFError, zlib.error) as error:
        raise errors.invalid("scenario", str(path), f"is not JSON ({error})", "name a scenario file") from error


def parse(content: Any, name: str = "scenario") -> Scenario:
    """Return the scenario that this JSON describes.

    Args:
        content: the parsed JSON; see the table above.
        name: the name of the scenario if `content` has none.

    Raises:
        InvalidInput: the message names the field or claim, its value and its bound.
    """
    if not isinstance(content, Mapping):
        raise errors.InvalidInput("scenario: must be a JSON object with blocks and claims")
    orders = _orders(content)
    default = content.get("block_capacity")
    blocks = tuple(
        SimulatedBlock(
            _field(fields, "id", f"blocks[{index}]"),
            _seconds(fields, "arrival", f"blocks[{index}]"),
            _budget(fields.get("capacity", default), orders, f"blocks[{index}].capacity"),
        )
        for index, fields in enumerate(_items(content, "blocks", Mapping))
    )
    if list(blocks) != sorted(blocks, key=lambda block: block.arrival_seconds):
        raise errors.InvalidInput("blocks: must be in the order of their arrival; sort them")
    limit = None if content.get("timeout_s") is None else _seconds(content, "timeout_s", "scenario")
    offline = str(content.get("kind", "online")).startswith("offline")
    return Scenario(str(content.get("name", name)), offline, limit, blocks, _claims(content, orders, len(blocks)))


def _claims(content: Mapping[str, Any], orders: tuple[float, ...], n_blocks: int) -> tuple[SimulatedClaim, ...]:
    fields = [str(field) for field in _items(content, "claim_fields", str)]
    curves = [
        require_amount(f"curves[{index}]", _budget(values, orders, f"curves[{index}]"))
        for index, values in enumerate(content.get("curves", ()))
    ]
    rule = _rule(content, orders)
    claims, seen = [], set()
    for index, row in enumerate(_items(content, "claims", Sequence)):
        if len(row) != len(fields):
            raise errors.InvalidInput(f"claims[{index}]: has {len(row)} fields, claim_fields has {len(fields)}")
        values, where = dict(zip(fields, row, strict=True)), f"claims[{index}]"
        first, count = _integer(values, "first_block", where, 0), _integer(values, "num_blocks", where, 1)
        if first + count > n_blocks:
            raise errors.InvalidInput(f"{where}: asks for blocks {first} to {first + count - 1} of {n_blocks}")
        if "curve" in values:
            demand = curves[_integer(values, "curve", where, 0, len(curves) - 1)]
        else:
            demand = rule(_seconds(values, "epsilon", where))
        claim_id = _field(values, "id", where)
        if claim_id in seen:
            raise errors.InvalidInput(f"{where}: the id {claim_id!r} is given twice; give each claim an id of its own")
        seen.add(claim_id)
        arrival_seconds, weight = _seconds(values, "arrival_s", where), _weight(values, where)
        deadline_seconds = math.inf if values.get("deadline_s") is None else _seconds(values, "deadline_s", where)
        blocks = range(first, first + count)
        claims.append(SimulatedClaim(claim_id, arrival_seconds, blocks, demand, weight, deadline_seconds))
    return tuple(sorted(claims, key=lambda claim: claim.arrival_seconds))


def _weight(values: Mapping[str, Any], where: str) -> float:
    weight = _seconds(values, "weight", where) if "weight" in values else 1.0
    if not MOST_WEIGHT >= weight >= 1 / MOST_WEIGHT:
        bound = f"must be {1 / MOST_WEIGHT:g} to {MOST_WEIGHT:g}"
        raise errors.invalid(f"{where}.weight", weight, bound, "state such a number")
    return weight


def _orders(content: Mapping[str, Any]) -> tuple[float, ...]:
    accounting = content.get("accounting", "epsilon")
    if accounting not in ("epsilon", "renyi"):
        raise errors.invalid("accounting", accounting, "is unknown", "use epsilon or renyi")
    return tuple(_items(content, "alphas", int | float)) if accounting == "renyi" else ()


def _rule(content: Mapping[str, Any], orders: tuple[float, ...]) -> Any:
    """Return the function that converts an epsilon to a demand; None if no claim states an epsilon."""
    if not orders:
        return EpsilonDelta
    text = str(content.get("demand_rule", ""))
    match = _GAUSSIAN.match(text)
    if match is None:
        if "curve" in content.get("claim_fields", ()):
            return None
        raise errors.invalid("demand_rule", text, "is unknown", "state curves, or the Gaussian rule of the examples")
    scale = 2 * math.log(1.25 / float(match[1]))

    def gaussian(epsilon: float) -> PrivacyBudget:
        return RenyiCurve(orders, tuple(alpha * epsilon**2 / (2 * scale) for alpha in orders))

    return gaussian


def _budget(values: Any, orders: tuple[float, ...], where: str) -> PrivacyBudget:
    numbers = values if isinstance(values, list) else [values]
    if not all(isinstance(number, int | float) and not isinstance(number, bool) for number in numbers):
        raise errors.invalid(where, values, "is not a number or a list of numbers", "state one per order")
    if not orders:
        if len(numbers) > 2:
            raise errors.invalid(where, values, "has too many numbers", "state epsilon, or epsilon and delta")
        return require_amount(where, EpsilonDelta(*numbers))
    try:
        return RenyiCurve(orders, tuple(numbers * (len(orders) if len(numbers) == 1 else 1)))
    except errors.InvalidBudget as error:
        raise errors.InvalidBudget(f"{where}: {error}") from error


def _items(content: Mapping[str, Any], name: str, kind: Any) -> list[Any]:
    value = content.get(name)
    if not isinstance(value, list) or not value or not all(isinstance(item, kind) for item in value):
        raise errors.InvalidInput(
            f"{name}: must be a list of at least one value of the right type; see docs/scheduling.md"
        )
    return value


def _field(values: Mapping[str, Any], name: str, where: str) -> Any:
    if name not in values:
        raise errors.InvalidInput(f"{where}: has no {name}; state it")
    return values[name]


def _seconds(values: Mapping[str, Any], name: str, where: str) -> float:
    value = _field(values, name, where)
    if not isinstance(value, int | float) or isinstance(value, bool) or not math.isfinite(value) or value < 0:
        raise errors.invalid(f"{where}.{name}", value, "must be a finite number of 0 or more", "state such a number")
    return float(value)


def _integer(values: Mapping[str, Any], name: str, where: str, least: int, most: int | None = None) -> int:
    value = _field(values, name, where)
    if not isinstance(value, int) or isinstance(value, bool) or value < least or (most is not None and value > most):
        bound = f"must be a whole number of at least {least}" + (f" and at most {most}" if most is not None else "")
        raise errors.invalid(f"{where}.{name}", value, bound, "state such a number")
    return value
