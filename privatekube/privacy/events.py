"""DpEvents, which describe what a mechanism did, and their JSON.

The classes are those of dp_accounting. A Grant states planned events and a Spend states used ones in this JSON, so that
the charge is computed from what ran. Neighbouring data sets differ by adding or removing one privacy unit.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from dp_accounting import dp_event as dp_events
from dp_accounting.dp_event import DpEvent as DpEvent  # noqa: PLC0414 - the name to use outside this package

from privatekube import errors

Json = dict[str, Any]

_MOST_TRIALS = 1e6
_LARGEST_SHAPE = 1e3
_ROUNDING = 1e-12


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


def gaussian(noise_multiplier: float) -> DpEvent:
    """Return the event of one release of real values plus Gaussian noise, on all units.

    Args:
        noise_multiplier: standard deviation of the noise over the L2 sensitivity of the values.

    Raises:
        InvalidInput: the noise multiplier is not positive.
    """
    return dp_events.GaussianDpEvent(_noise("noise_multiplier", noise_multiplier))


def laplace(noise_multiplier: float) -> DpEvent:
    """Return the event of one release of real values plus Laplace noise: pure DP, epsilon = 1 / noise_multiplier.

    Args:
        noise_multiplier: parameter b of the noise over the L1 sensitivity of the values.

    Raises:
        InvalidInput: the noise multiplier is not positive.
    """
    return dp_events.LaplaceDpEvent(_noise("noise_multiplier", noise_multiplier))


def pure(epsilon: float) -> DpEvent:
    """Return an event that bounds the cost of every `epsilon`-DP mechanism, such as the exponential mechanism.

    It is discrete Laplace noise of rate epsilon on a count of sensitivity 1: its sign is randomized response, of which
    every epsilon-DP mechanism is a post-processing.

    Source: Kairouz, Oh, Viswanath, "The Composition Theorem for Differential Privacy" (2015), Theorem 2.3.

    Raises:
        InvalidInput: epsilon is not positive.
    """
    return dp_events.DiscreteLaplaceDpEvent(_noise("epsilon", epsilon), 1)


def zcdp(rho: float, xi: float = 0.0) -> DpEvent:
    """Return the event of a mechanism of which only zero-concentrated DP is known: Renyi epsilon xi + rho * order.

    Raises:
        InvalidInput: rho is not positive, or xi is negative.
    """
    if not 0 <= xi < math.inf:
        raise errors.invalid("xi", xi, "must be 0 or more", "change it")
    return dp_events.ZCDpEvent(_noise("rho", rho), xi)


def select_from_many(trial: DpEvent, *, mean_trials: float, shape: float) -> DpEvent:
    """Return the event of repeated trials of which only the best one is released.

    The number of trials is drawn before the first one from a truncated negative binomial distribution: shape 1 is the
    geometric distribution, shape 0 the logarithmic one. Source: Papernot and Steinke, "Hyperparameter Tuning with Renyi
    Differential Privacy" (2022), arXiv:2110.03620, Definition 1.

    Args:
        trial: what one trial releases, the score by which it is compared included.
        mean_trials: the mean number of trials, from 1 to a million.
        shape: of the distribution, from 0 to a thousand.

    Raises:
        InvalidInput: a number is out of range.
    """
    if not 1 <= mean_trials <= _MOST_TRIALS:
        raise errors.invalid("mean_trials", mean_trials, f"must lie in [1, {_MOST_TRIALS:g}]", "change it")
    if not 0 <= shape <= _LARGEST_SHAPE:
        bound = f"must lie in [0, {_LARGEST_SHAPE:g}]"
        raise errors.invalid("shape", shape, bound, "1 is the geometric distribution, 0 the logarithmic one")
    return dp_events.RepeatAndSelectDpEvent(trial, float(mean_trials), float(shape))


def composition(*parts: DpEvent) -> DpEvent:
    """Return the sequential composition of `parts` on the same data."""
    return dp_events.ComposedDpEvent(list(parts))


def repeated(event: DpEvent, count: int) -> DpEvent:
    """Return the event of `count` runs of the same mechanism; the event itself for one run."""
    return event if count == 1 else dp_events.SelfComposedDpEvent(event, count)


def _noise(name: str, value: float) -> float:
    if not 0 < value < math.inf:
        raise errors.invalid(name, value, "must be positive", "noise cannot be switched off")
    return float(value)


def is_close(first: DpEvent, second: DpEvent) -> bool:
    """Whether two events are the same, up to the rounding of their numbers.

    >>> is_close(gaussian(0.3), gaussian(0.1 + 0.2)), is_close(gaussian(0.3), laplace(0.3))
    (True, False)
    """
    return _is_close(to_json(first), to_json(second))


def _is_close(first: Any, second: Any) -> bool:
    if isinstance(first, dict) and isinstance(second, dict):
        return first.keys() == second.keys() and all(_is_close(first[key], second[key]) for key in first)
    if isinstance(first, list) and isinstance(second, list):
        return len(first) == len(second) and all(map(_is_close, first, second))
    if isinstance(first, float) and isinstance(second, float):
        return math.isclose(first, second, rel_tol=_ROUNDING)
    return bool(first == second)


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
    return _other_to_json(event)


def _other_to_json(event: DpEvent) -> Json:
    match event:
        case dp_events.LaplaceDpEvent():
            return {"type": "laplace", "noise_multiplier": event.noise_multiplier}
        case dp_events.ZCDpEvent():
            return {"type": "zcdp", "rho": event.rho, "xi": event.xi}
        case dp_events.RepeatAndSelectDpEvent():
            trials = {"mean": event.mean, "shape": event.shape, "event": to_json(event.event)}
            return {"type": "repeat_and_select", **trials}
    raise errors.InvalidInput(f"event: {type(event).__name__} has no JSON form; use the mechanisms of this project")


def from_json(document: object) -> DpEvent:
    """Return the event that `to_json` described; every number is checked.

    Raises:
        InvalidInput: the type is unknown, a field is missing or unknown, or a number is out of range; names the field.

    >>> from_json({"type": "composed", "events": [{"type": "laplace", "noise_multiplier": "2"}]})
    Traceback (most recent call last):
    privatekube.errors.InvalidInput: event.events.0.noise_multiplier: '2' must be a number; see docs/plans.md
    """
    return _read(document, "event")


_FIELDS: Mapping[str, Mapping[str, type]] = {
    "composed": {"events": list},
    "self_composed": {"count": int, "event": dict},
    "poisson_sampled": {"sampling_probability": float, "event": dict},
    "gaussian": {"noise_multiplier": float},
    "discrete_laplace": {"noise_parameter": float, "sensitivity": int},
    "laplace": {"noise_multiplier": float},
    "zcdp": {"rho": float, "xi": float},
    "repeat_and_select": {"mean": float, "shape": float, "event": dict},
}
"""The fields of each type of event, and the type of each field."""
_TYPES = {list: "a list of events", int: "a whole number of at least 1", float: "a number"}


def _read(document: object, where: str) -> DpEvent:
    if not isinstance(document, Mapping):
        raise errors.invalid(where, document, "must be an object", "write it with events.to_json")
    kind = document.get("type")
    fields = _FIELDS.get(kind) if isinstance(kind, str) else None
    if fields is None:
        raise errors.invalid(f"{where}.type", kind, f"is not one of {', '.join(_FIELDS)}", "choose one of them")
    for name in document:
        if name != "type" and name not in fields:
            raise errors.InvalidInput(f"{where}.{name}: is not a field of {kind}; it has {', '.join(fields)}")
    values = {name: _field(document, name, of_type, where) for name, of_type in fields.items()}
    try:
        return _MADE[str(kind)](**values)
    except errors.InvalidInput as error:
        raise errors.InvalidInput(f"{where}.{error}") from error


def _field(document: Mapping[str, Any], name: str, of_type: type, where: str) -> Any:
    """Return a field in its type, and events within it as events."""
    place = f"{where}.{name}"
    if name not in document:
        raise errors.InvalidInput(f"{place}: missing; give it a value")
    value = document[name]
    if of_type is dict:
        return _read(value, place)
    is_number = isinstance(value, (int, float) if of_type is float else of_type) and not isinstance(value, bool)
    if not is_number or (of_type is int and value < 1):
        raise errors.invalid(place, value, f"must be {_TYPES[of_type]}", "see docs/plans.md")
    if of_type is list:
        return [_read(part, f"{place}.{position}") for position, part in enumerate(value)]
    return of_type(value)


def _sampled(sampling_probability: float, event: DpEvent) -> DpEvent:
    if not 0 < sampling_probability <= 1:
        bound = "must lie in (0, 1]"
        raise errors.invalid("sampling_probability", sampling_probability, bound, "set a fraction of the units")
    return dp_events.PoissonSampledDpEvent(sampling_probability, event)


_MADE: Mapping[str, Callable[..., DpEvent]] = {
    "composed": lambda events: composition(*events),
    "self_composed": lambda count, event: dp_events.SelfComposedDpEvent(event, count),
    "poisson_sampled": _sampled,
    "gaussian": gaussian,
    "discrete_laplace": lambda noise_parameter, sensitivity: dp_events.DiscreteLaplaceDpEvent(
        _noise("noise_parameter", noise_parameter), sensitivity
    ),
    "laplace": laplace,
    "zcdp": zcdp,
    "repeat_and_select": lambda mean, shape, event: select_from_many(event, mean_trials=mean, shape=shape),
}
"""Makes the event of each type of its fields, whose numbers are checked there."""
