"""DpEvents, which describe what a mechanism did, and their JSON.

The classes are those of dp_accounting. A Grant states planned events and a Spend states used ones in this JSON, so that
the charge is computed from what ran. Neighbouring data sets differ by adding or removing one privacy unit.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from dp_accounting import dp_event as dp_events
from dp_accounting.dp_event import DpEvent as DpEvent  # noqa: PLC0414 - the name to use outside this package

from privatekube import errors

Json = dict[str, Any]


def poisson_gaussian(sampling_rate: float, noise_multiplier: float, steps: int) -> DpEvent:
    """Return the event of DP-SGD: Gaussian mechanisms, each on an independent Poisson sample of the units.

    Args:
        sampling_rate: the probability with which each unit is in the sample of a step, independently of the others.
        noise_multiplier: standard deviation of the noise, in units of the L2 sensitivity (the clipping norm).
        steps: the number of noisy steps, fixed without looking at the data.

    Raises:
        InvalidInput: the rate is not in (0, 1], the noise multiplier is not positive, or there are no steps.
    """
    if not 0 < sampling_rate <= 1:
        raise errors.invalid("sampling_rate", sampling_rate, "must lie in (0, 1]", "set a fraction of the units")
    if not 0 < noise_multiplier < math.inf:
        raise errors.invalid("noise_multiplier", noise_multiplier, "must be positive", "noise cannot be switched off")
    if steps < 1:
        raise errors.invalid("steps", steps, "must be at least 1", "train for one epoch or more")
    gaussian = dp_events.GaussianDpEvent(noise_multiplier)
    sampled = gaussian if sampling_rate == 1 else dp_events.PoissonSampledDpEvent(sampling_rate, gaussian)
    return dp_events.SelfComposedDpEvent(sampled, steps)


def discrete_laplace(scale: float, sensitivity: int) -> DpEvent:
    """Return the event of integer counts plus discrete Laplace noise: pure DP with epsilon = sensitivity / scale.

    Args:
        scale: noise parameter b; P(x) is proportional to exp(-|x| / b).
        sensitivity: the L1 sensitivity: how much one unit changes the counts at most, summed over all of them.

    Raises:
        InvalidInput: the scale is not positive, or the sensitivity is below 1.
    """
    if not 0 < scale < math.inf:
        raise errors.invalid("scale", scale, "must be positive", "noise cannot be switched off")
    if sensitivity < 1:
        raise errors.invalid("sensitivity", sensitivity, "must be at least 1", "state how far one unit moves a count")
    return dp_events.DiscreteLaplaceDpEvent(noise_parameter=1 / scale, sensitivity=sensitivity)


def composition(*parts: DpEvent) -> DpEvent:
    """Return the sequential composition of `parts` on the same data."""
    return dp_events.ComposedDpEvent(list(parts))


def to_json(event: DpEvent) -> Json:
    """Return `event` as JSON.

    Raises:
        InvalidInput: no mechanism of this library has such an event.

    >>> to_json(discrete_laplace(2.0, 1))
    {'type': 'discrete_laplace', 'noise_parameter': 0.5, 'sensitivity': 1}
    """
    match event:
        case dp_events.ComposedDpEvent():
            return {"type": "composed", "events": [to_json(part) for part in event.events]}
        case dp_events.SelfComposedDpEvent():
            return {"type": "self_composed", "count": event.count, "event": to_json(event.event)}
        case dp_events.PoissonSampledDpEvent():
            inner = to_json(event.event)
            return {"type": "poisson_sampled", "sampling_probability": event.sampling_probability, "event": inner}
        case dp_events.GaussianDpEvent():
            return {"type": "gaussian", "noise_multiplier": event.noise_multiplier}
        case dp_events.DiscreteLaplaceDpEvent():
            return {
                "type": "discrete_laplace",
                "noise_parameter": event.noise_parameter,
                "sensitivity": event.sensitivity,
            }
    raise errors.InvalidInput(f"event: {type(event).__name__} has no JSON form; use the mechanisms of this project")


def from_json(document: object) -> DpEvent:
    """Return the event that `to_json` described; every number is checked.

    Raises:
        InvalidInput: the type is unknown, a field is missing or unknown, or a number is out of range.
    """
    if not isinstance(document, Mapping):
        raise errors.invalid("event", document, "must be an object", "write it with events.to_json")
    try:
        return _rebuild(dict(document))
    except (KeyError, TypeError, ValueError) as error:
        raise errors.InvalidInput(f"event: {dict(document)!r} is malformed ({error}); write it with to_json") from error


def _rebuild(fields: Json) -> DpEvent:
    match fields:
        case {"type": "composed", "events": list(parts), **rest} if not rest:
            return composition(*(from_json(part) for part in parts))
        case {"type": "self_composed", "count": int(count), "event": inner, **rest} if not rest and count >= 1:
            return dp_events.SelfComposedDpEvent(from_json(inner), count)
        case {"type": "poisson_sampled", "sampling_probability": float(rate), "event": inner, **rest} if (
            not rest and 0 < rate <= 1
        ):
            return dp_events.PoissonSampledDpEvent(rate, from_json(inner))
        case {"type": "gaussian", "noise_multiplier": float(noise), **rest} if not rest and 0 < noise < math.inf:
            return dp_events.GaussianDpEvent(noise)
        case {"type": "discrete_laplace", "noise_parameter": float(rate), "sensitivity": int(bound), **rest} if (
            not rest and 0 < rate < math.inf and bound >= 1
        ):
            return dp_events.DiscreteLaplaceDpEvent(rate, bound)
    raise ValueError("unknown type, unknown field or number out of range")
