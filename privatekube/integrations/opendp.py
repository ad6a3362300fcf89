"""OpenDP: the privacy map of a measurement as a DpEvent, and a release that costs no more than was planned.

    counts = space >> then_laplace(scale=20.0)
    planned = opendp.event(counts, d_in=1)                            # before the claim
    released = opendp.released(counts, data, d_in=1, planned=planned)   # after it: the noisy value, and what it cost

Neighbouring data sets differ by adding or removing one privacy unit. The input distance states how far that moves the
input of the measurement: how many rows a unit has at most, or the sensitivity of values that were computed before.
"""

from __future__ import annotations

from typing import Any

from privatekube import errors

with errors.naming_extra():
    import opendp.prelude as library
    from opendp.mod import OpenDPException, UnknownTypeException

    from privatekube.privacy import events
    from privatekube.privacy.events import DpEvent
    from privatekube.privacy.mechanisms import Released

_METRICS = frozenset(
    ("SymmetricDistance", "InsertDeleteDistance", "AbsoluteDistance", "L1Distance", "L2Distance", "LInfDistance")
)
"""Metrics in which a unit that is added or removed is some distance away; in others only one that is replaced is."""

FOREIGN_ERRORS = (OpenDPException, UnknownTypeException, TypeError, ValueError, OverflowError)
"""What OpenDP raises for a distance, or for data, that does not fit."""


def event(measurement: library.Measurement, *, d_in: float) -> DpEvent:
    """Return an event that bounds the cost of a measurement, by its privacy map.

    Args:
        measurement: of pure DP or zero-concentrated DP.
        d_in: how far a privacy unit that is added or removed moves the input, in the metric of the measurement.

    Raises:
        InvalidInput: the measurement is of another measure or metric, its delta is above 0, or d_in is not a distance.

    Example:
        >>> library.enable_features("contrib")
        >>> space = library.atom_domain(T="i64"), library.absolute_distance(T="i64")
        >>> event(library.m.make_laplace(*space, scale=2.0), d_in=1) == events.pure(0.5)
        True
    """
    metric = str(measurement.input_metric)
    if metric.partition("(")[0] not in _METRICS:
        raise errors.invalid("metric", metric, "does not bound a unit that is added or removed", "use another")
    measure = measurement.output_measure
    if measure == library.max_divergence():
        return events.pure(float(_mapped(measurement, d_in)))
    if measure == library.zero_concentrated_divergence():
        return events.zcdp(float(_mapped(measurement, d_in)))
    if measure == library.approximate(library.max_divergence()):
        return events.pure(_exact(measurement, d_in))
    if measure == library.approximate(library.zero_concentrated_divergence()):
        return events.zcdp(_exact(measurement, d_in))
    raise errors.invalid("measure", str(measure), "has no event", "use a measurement of pure or zero-concentrated DP")


def released(measurement: library.Measurement, data: object, *, d_in: float, planned: DpEvent) -> Released[Any]:
    """Draw the noisy value of a measurement that costs no more than was planned.

    Args:
        measurement: see `event`.
        data: its input; one privacy unit moves it by `d_in` at most, which the caller has bounded.
        d_in: the planned input distance.
        planned: the event that was claimed, as `event` returns it.

    Returns:
        The value, with the event that was planned.

    Raises:
        InvalidInput: the measurement costs more, or something that cannot be compared; nothing was drawn then. Or the
            data does not fit the measurement; the message does not quote it.
    """
    _require_within(event(measurement, d_in=d_in), planned)
    try:
        value = measurement(data)
    except FOREIGN_ERRORS:
        raise errors.InvalidInput("data: does not fit the domain of the measurement; check its type") from None
    return Released(value, planned)


def _mapped(measurement: library.Measurement, d_in: float) -> Any:
    try:
        return measurement.map(d_in)
    except FOREIGN_ERRORS as error:
        metric = str(measurement.input_metric)
        raise errors.invalid("d_in", d_in, f"is not a distance of {metric}", "state how far a unit moves it") from error


def _exact(measurement: library.Measurement, d_in: float) -> float:
    """Return what an approximate measurement costs whose delta is 0."""
    cost, delta = _mapped(measurement, d_in)
    if delta > 0:
        raise errors.invalid("delta", delta, "has no event", "release before a delta is fixed")
    return float(cost)


def _require_within(used: DpEvent, planned: DpEvent) -> None:
    """Check that a cost is at most the planned one, of the same kind.

    The cost of `events.pure(epsilon)`, which bounds every epsilon-DP mechanism, grows with epsilon; and that of
    `events.zcdp(rho)` with rho.
    """
    ran, most = events.to_json(used), events.to_json(planned)
    numbers = {"discrete_laplace": "noise_parameter", "zcdp": "rho"}
    name = numbers[ran["type"]]
    if {**ran, name: None} != {**most, name: None}:
        raise errors.invalid("measurement", ran, f"cannot be compared with the planned {most}", "plan its own event")
    if ran[name] > most[name]:
        raise errors.invalid("measurement", ran, f"costs more than the planned {most}", "add noise, or plan more")
