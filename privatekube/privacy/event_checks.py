"""Check DpEvents that somebody else made: the classes of dp_accounting accept any number.

A negative or missing noise would make the sum of several costs smaller than its parts.
"""

from __future__ import annotations

from dp_accounting import dp_event as dp_events

from privatekube import errors
from privatekube.privacy import events, numbers
from privatekube.privacy.events import DpEvent

_MOST_RUNS = 2**53


def require_mechanism(event: DpEvent) -> None:
    """Check that an event has a mechanism, and that every number of it states noise.

    Raises:
        InvalidInput: a composition is empty, a number is out of range, or this library does not know the event.

    >>> require_mechanism(events.laplace(2.0))
    >>> try:
    ...     require_mechanism(events.composition())
    ... except errors.InvalidInput as error:
    ...     print(error)
    event: has no mechanism; state what ran
    """
    match event:
        case dp_events.ComposedDpEvent():
            if not event.events:
                raise errors.InvalidInput("event: has no mechanism; state what ran")
            for part in event.events:
                require_mechanism(part)
        case dp_events.SelfComposedDpEvent():
            numbers.require_count("count", event.count, most=_MOST_RUNS)
            require_mechanism(event.event)
        case dp_events.PoissonSampledDpEvent():
            numbers.require_number("sampling_probability", event.sampling_probability, least=1e-12, most=1)
            require_mechanism(event.event)
        case _:
            _require_noise(event)


def _require_noise(event: DpEvent) -> None:
    """Check one mechanism, by the functions that make it."""
    match event:
        case dp_events.GaussianDpEvent():
            events.gaussian(event.noise_multiplier)
        case dp_events.LaplaceDpEvent():
            events.laplace(event.noise_multiplier)
        case dp_events.DiscreteLaplaceDpEvent():
            events.pure(event.noise_parameter)
            numbers.require_count("sensitivity", event.sensitivity, most=_MOST_RUNS)
        case dp_events.ZCDpEvent():
            events.zcdp(event.rho, event.xi)
        case dp_events.RepeatAndSelectDpEvent():
            require_mechanism(event.event)
            events.select_from_many(event.event, mean_trials=event.mean, shape=event.shape)
        case _:
            events.to_json(event)  # refuses what is not known
