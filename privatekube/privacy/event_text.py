"""DpEvents as text for people, from the JSON form that `events.to_json` writes; needs no accounting library.

The JSON of an event is for machines: it is in the receipt, and in the ledger with `-o json`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from privatekube import errors

NAMES = {
    "discrete_laplace": "discrete Laplace",
    "exponential": "exponential mechanism",
    "gaussian": "Gaussian",
    "laplace": "Laplace",
}
"""The mechanisms that a plan gives a scale, in words."""


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


def best_of(mean_trials: float, shape: float, trial: str) -> str:
    """Describe repeated trials of which only the best is released.

    >>> best_of(10, 1, "Laplace, noise multiplier 3")
    'best of 10 trials on average (negative binomial, shape 1), each (Laplace, noise multiplier 3)'
    """
    return f"best of {mean_trials:g} trials on average (negative binomial, shape {shape:g}), each ({trial})"


def planned(mechanism: str, parameters: Mapping[str, Any]) -> str | None:
    """Describe a planned mechanism by its parameters, see `planned_mechanisms`; None for one that is an event.

    >>> planned("gaussian", {"scale": 6.0, "sensitivity": 2.0, "queries": 3})
    'Gaussian, scale 6, sensitivity 2, 3 queries'
    """
    match parameters:
        case {"scale": scale, "sensitivity": sensitivity, "queries": queries}:
            more = f", {queries:,} queries" if queries > 1 else ""
            return f"{NAMES[mechanism]}, scale {scale:.4g}, sensitivity {sensitivity:g}{more}"
        case {"sampling_rate": rate, "noise_multiplier": noise, "steps": steps}:
            return poisson_gaussian(rate, noise, steps)
        case {"mean_trials": mean, "shape": shape, "trial": trial}:
            parts = (planned(each["mechanism"], each) or "" for each in trial)
            return best_of(mean, shape, " + ".join(parts))
    return None


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
    text = _gaussian(event, steps=1) or _other(event)
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


def _other(event: Mapping[str, Any]) -> str | None:
    match event:
        case {"type": "laplace", "noise_multiplier": float(noise)}:
            return f"Laplace, noise multiplier {noise:.4g}"
        case {"type": "zcdp", "rho": float(rho), "xi": float(xi)}:
            return f"zero-concentrated DP, rho {rho:.4g}" + (f", xi {xi:.4g}" if xi else "")
        case {"type": "repeat_and_select", "mean": float(mean), "shape": float(shape), "event": Mapping() as trial}:
            return best_of(mean, shape, describe(trial))
    return None
