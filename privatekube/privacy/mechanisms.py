"""Mechanisms on counts and real values, with OpenDP's exact samplers; each returns its value with its DpEvent.

Neighbouring data sets differ by adding or removing one privacy unit; no mechanism here samples. OpenDP draws its noise
from the operating system's entropy.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from opendp import domains, measurements, measures, metrics, mod  # the prelude would load scikit-learn, too

from privatekube import errors
from privatekube.privacy import events
from privatekube.privacy.events import DpEvent

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")


@dataclass(frozen=True, slots=True)
class Released(Generic[Value]):
    """A noisy value, and the event that describes its release."""

    value: Value
    event: DpEvent


def noisy_histogram(
    counts: Mapping[Key, int], keys: Sequence[Key], *, scale: float, sensitivity: int
) -> Released[dict[Key, int]]:
    """Add discrete Laplace noise to the counts of a public set of keys, zeros included.

    Args:
        counts: the exact count of each key present; a missing key counts 0.
        keys: the public keys to release, fixed without looking at the data.
        scale: parameter b of the discrete Laplace noise.
        sensitivity: how much one unit can change the counts, summed over all keys (L1); bounded beforehand.

    Returns:
        A noisy count for each key, which may be negative, with its event: pure DP, epsilon = sensitivity / scale.

    Raises:
        InvalidInput: the scale or the sensitivity is not positive, a key is given twice, or `counts` has another key.
    """
    event = events.discrete_laplace(scale, sensitivity)
    if len(set(keys)) != len(keys):
        raise errors.InvalidInput("keys: a key is given twice; release each key once")
    if not set(counts) <= set(keys):
        raise errors.InvalidInput("keys: the data has a key outside the public set; declare all keys beforehand")
    noisy = _laplace_measurement(scale)([int(counts.get(key, 0)) for key in keys])
    return Released(dict(zip(keys, noisy, strict=True)), event)


def noisy_count(count: int, *, scale: float, sensitivity: int) -> Released[int]:
    """Add discrete Laplace noise to one count; see `noisy_histogram`."""
    released = noisy_histogram({"count": count}, ["count"], scale=scale, sensitivity=sensitivity)
    return Released(released.value["count"], released.event)


def noisy_laplace(values: Sequence[float], *, scale: float, sensitivity: float) -> Released[list[float]]:
    """Add Laplace noise to real values, without the rounding by which floating-point noise reveals them.

    Args:
        values: finite.
        scale: parameter b of the noise.
        sensitivity: how far one unit moves the values, summed over all of them (L1); bounded beforehand.

    Returns:
        The noisy values with their event: pure DP, epsilon = sensitivity / scale.

    Raises:
        InvalidInput: the scale or the sensitivity is not positive, or a value is not finite.
    """
    event = events.laplace(_noise_multiplier(scale, sensitivity))
    return Released(_noisy(measurements.then_laplace(scale=scale), metrics.l1_distance(T=float), values), event)


def noisy_gaussian(values: Sequence[float], *, scale: float, sensitivity: float) -> Released[list[float]]:
    """Add Gaussian noise to real values; see `noisy_laplace`.

    Args:
        values: finite.
        scale: standard deviation of the noise.
        sensitivity: how far one unit moves the values (L2); bounded beforehand.

    Returns:
        The noisy values with their event.

    Raises:
        InvalidInput: the scale or the sensitivity is not positive, or a value is not finite.
    """
    event = events.gaussian(_noise_multiplier(scale, sensitivity))
    return Released(_noisy(measurements.then_gaussian(scale=scale), metrics.l2_distance(T=float), values), event)


def noisy_choice(scores: Mapping[Key, float], *, scale: float, sensitivity: float) -> Released[Key]:
    """Choose the option whose score is largest once exponential noise is added to each.

    It costs what the exponential mechanism costs, whose probabilities are proportional to exp(score / scale), and its
    choice is never worse on average. Source: McKenna and Sheldon, "Permute-and-Flip" (2020), arXiv:2010.12603.

    Args:
        scores: of each public option, finite; the options are fixed without looking at the data.
        scale: of the noise.
        sensitivity: how far one unit moves a single score at most; bounded beforehand.

    Returns:
        The option with its event: pure DP, epsilon = 2 * sensitivity / scale.

    Raises:
        InvalidInput: the scale or the sensitivity is not positive, a score is not finite, or there is no option.
    """
    if not 0 < scale < math.inf:
        raise errors.invalid("scale", scale, "must be positive", "noise cannot be switched off")
    event = events.pure(2 / _noise_multiplier(scale, sensitivity))
    if not scores:
        raise errors.InvalidInput("scores: has no option; give the public options with their scores")
    noise = measurements.then_noisy_max(measures.max_divergence(), scale=scale)
    (chosen,) = _noisy(noise, metrics.linf_distance(T=float), list(scores.values()))
    return Released(list(scores)[int(chosen)], event)


def _noise_multiplier(scale: float, sensitivity: float) -> float:
    if not 0 < sensitivity < math.inf:
        raise errors.invalid("sensitivity", sensitivity, "must be positive", "state how far one unit moves the values")
    return scale / sensitivity


def _noisy(then: Any, metric: Any, values: Sequence[float]) -> list[float]:
    """Draw noise on values; the sampler works on whole multiples of the smallest float."""
    if not all(map(math.isfinite, values)):
        raise errors.InvalidInput("values: one is not a finite number; bound what is released beforehand")
    mod.enable_features("contrib")
    space = domains.vector_domain(domains.atom_domain(T=float, nan=False)), metric
    noisy = (space >> then)(list(values))
    return [float(value) for value in noisy] if isinstance(noisy, list) else [float(noisy)]


def _laplace_measurement(scale: float) -> mod.Measurement:
    mod.enable_features("contrib")
    space = domains.vector_domain(domains.atom_domain(T="i64")), metrics.l1_distance(T="i64")
    return space >> measurements.then_laplace(scale=scale)
