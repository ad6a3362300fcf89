"""Mechanisms on counts, with OpenDP's exact samplers; each returns its value together with its DpEvent.

Neighbouring data sets differ by adding or removing one privacy unit; no mechanism here samples. OpenDP draws its noise
from the operating system's entropy.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

import opendp.prelude as opendp

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


def _laplace_measurement(scale: float) -> opendp.Measurement:
    opendp.enable_features("contrib")
    space = opendp.vector_domain(opendp.atom_domain(T="i64")), opendp.l1_distance(T="i64")
    return space >> opendp.m.then_laplace(scale=scale)
