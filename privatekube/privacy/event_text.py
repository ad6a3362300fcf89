"""DpEvents as text for people, from the JSON form that `events.to_json` writes; needs no accounting library.

The JSON of an event is for machines: it is in the receipt, and in the ledger with `-o json`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from privatekube import errors


def discrete_laplace(scale: float, sensitivity: int) -> str:
    """Describe discrete Laplace noise on counts.

    >>> discrete_laplace(20, 1)
    'discrete Laplace, scale 20, sensitivity 1'
    """
    return f"discrete Laplace, scale {scale:.4g}, sensitivity {sensitivity}"


def poisson_gaussian(sampling_rate: float, noise_multiplier: float, steps: int) -> str:
    """Describe the noisy steps of DP-SGD.

    >>> poisson_gaussian(0.2, 10.0625, 75)
    'Gaussian, noise multiplier 10.06, 75 steps at sampling rate 0.2'
    """
    number = "1 step" if steps == 1 else f"{steps:,} steps"
    return f"Gaussian, noise multiplier {noise_multiplier:.4g}, {number} at sampling rate {sampling_rate:.4g}"


def describe(event: Mapping[str, Any]) -> str:
    """Describe an event: what noise, how much of it, and on which samples.

    Args:
        event: as JSON, see `events.to_json`.

    Raises:
        InvalidInput: it is not the JSON of an event.

    >>> describe({"type": "discrete_laplace", "noise_parameter": 0.05, "sensitivity": 1})
    'discrete Laplace, scale 20, sensitivity 1'
    """
    match event:
        case {"type": "composed", "events": [*parts]}:
            return " + ".join(map(describe, parts)) or "nothing"
        case {"type": "discrete_laplace", "noise_parameter": float(rate), "sensitivity": int(bound)} if rate > 0:
            return discrete_laplace(1 / rate, bound)
        case {"type": "self_composed", "count": int(steps), "event": Mapping() as step}:
            return _gaussian(step, steps=steps) or f"{steps:,} times ({describe(step)})"
    text = _gaussian(event, steps=1)
    if text is None:
        raise errors.invalid("event", event, "is not the JSON of a mechanism", "write it with events.to_json")
    return text


def stated(what: str, event: Mapping[str, Any]) -> str:
    """Return the text with which a claimant states in the ledger what ran: a name, and the event as JSON.

    >>> stated("counts", {"type": "discrete_laplace", "noise_parameter": 0.5, "sensitivity": 1})
    'counts: {"type":"discrete_laplace","noise_parameter":0.5,"sensitivity":1}'
    """
    return f"{what}: {json.dumps(event, separators=(',', ':'))}"


def readable(statement: str) -> str:
    """Return what a claimant stated, with an event that follows a name as text; anything else as it is.

    >>> readable('counts: {"type":"discrete_laplace","noise_parameter":0.5,"sensitivity":1}')
    'counts: discrete Laplace, scale 2, sensitivity 1'
    >>> readable("noisy histogram")
    'noisy histogram'
    """
    what, _, document = statement.partition(": ")
    try:
        return f"{what}: {describe(json.loads(document))}"
    except (ValueError, RecursionError, errors.InvalidInput):  # a claimant may state anything
        return statement


def _gaussian(step: Mapping[str, Any], *, steps: int) -> str | None:
    """Describe noisy steps, each of which is the event `step`; None if they are not those of DP-SGD."""
    match step:
        case {
            "type": "poisson_sampled",
            "sampling_probability": float(rate),
            "event": {"type": "gaussian", "noise_multiplier": float(noise)},
        }:
            return poisson_gaussian(rate, noise, steps)
        case {"type": "gaussian", "noise_multiplier": float(noise)}:
            return poisson_gaussian(1.0, noise, steps)
    return None
