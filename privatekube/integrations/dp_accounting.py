"""dp_accounting: what JAX Privacy, TensorFlow Privacy or a script of your own ran, as an event that can be charged.

These libraries describe what they run by the same DpEvents as this one, so that `solved.step("train").event` of a plan
tells them what to run. What they report comes back through `spent`:

    event = dp_accounting.spent(execution_plan.dp_event, planned=solved.step("train").event)

Neighbouring data sets differ by adding or removing one privacy unit: events that hold for another relation only, such
as samples of a fixed size, are refused.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator

from privatekube import errors

with errors.naming_extra():
    from dp_accounting import dp_event as dp_events

    from privatekube.privacy import accounting, events
    from privatekube.privacy.events import DpEvent

_DELTA = 1e-9
"""At which a cost must be finite; if it is at one delta, it is at every other."""


def known(event: DpEvent) -> DpEvent:
    """Return an event of another library in the form that this one charges, with the same cost.

    Compositions are flattened, equal mechanisms counted, Gaussians on the same sample merged, and what releases nothing
    left out.

    Args:
        event: what was run, or will be.

    Raises:
        InvalidInput: it is not a DpEvent, it has no mechanism, or the cost of one is not known or not finite.

    Example:
        >>> step = dp_events.PoissonSampledDpEvent(0.5, dp_events.GaussianDpEvent(2))
        >>> known(dp_events.ComposedDpEvent([step, step])) == events.poisson_gaussian(0.5, 2.0, 2)
        True
    """
    parts = [events.repeated(leaf, count) for leaf, count in _counted(event).values()]
    if not parts:
        raise errors.InvalidInput("event: has no mechanism; there is nothing to charge")
    flat = parts[0] if len(parts) == 1 else events.composition(*parts)
    if not _is_finite(flat):
        raise errors.invalid("event", events.to_json(flat), "has no finite cost", "add noise")
    return flat


def spent(event: DpEvent, *, planned: DpEvent) -> DpEvent:
    """Return the event of what was run, which is what was planned or a part of it.

    Args:
        event: what was run.
        planned: what was claimed for it.

    Returns:
        `planned` itself if all of it was run, so that the two can be compared.

    Raises:
        InvalidInput: another mechanism was run, or one more often than planned; or see `known`.
    """
    ran, most = _counted(event), _counted(planned)
    for key, (leaf, count) in ran.items():
        _, allowed = most.get(key, (leaf, 0))
        if count > allowed:
            bound = f"was run {count} times, and {allowed} were planned"
            raise errors.invalid("event", events.to_json(leaf), bound, "run what was planned")
    return planned if ran == most else known(event)


def _counted(event: DpEvent) -> dict[str, tuple[DpEvent, int]]:
    """Return each mechanism of an event with the number of its runs, by its JSON."""
    counted: dict[str, tuple[DpEvent, int]] = {}
    for leaf, count in _leaves(event, 1):
        key = json.dumps(events.to_json(leaf))
        counted[key] = leaf, count + counted.get(key, (leaf, 0))[1]
    return counted


def _leaves(event: DpEvent, count: int) -> Iterator[tuple[DpEvent, int]]:
    match event:
        case dp_events.NoOpDpEvent():
            return
        case dp_events.ComposedDpEvent():
            for part in event.events:
                yield from _leaves(part, count)
        case dp_events.SelfComposedDpEvent():
            yield from _leaves(event.event, count * _whole(event.count))
        case dp_events.PoissonSampledDpEvent():
            yield from _sampled(event, count)
        case _:
            yield _mechanism(event), count


def _sampled(event: dp_events.PoissonSampledDpEvent, count: int) -> Iterator[tuple[DpEvent, int]]:
    """Yield Gaussians on one Poisson sample as one Gaussian on it."""
    inner = list(_leaves(event.event, 1))
    if event.sampling_probability == 1:
        yield from ((leaf, times * count) for leaf, times in inner)
        return
    if not inner or not all(isinstance(leaf, dp_events.GaussianDpEvent) for leaf, _ in inner):
        raise errors.InvalidInput(
            "event: PoissonSampledDpEvent samples another mechanism than the Gaussian, whose cost is not known; run it "
            "on all units"
        )
    precision = math.fsum(times / leaf.noise_multiplier**2 for leaf, times in inner)
    noise = inner[0][0].noise_multiplier if [times for _, times in inner] == [1] else 1 / math.sqrt(precision)
    yield events.poisson_gaussian(float(event.sampling_probability), noise, 1).event, count


def _mechanism(event: DpEvent) -> DpEvent:
    """Return one mechanism with Python's own numbers, each checked."""
    match event:
        case dp_events.GaussianDpEvent():
            return events.gaussian(_number(event.noise_multiplier))
        case dp_events.LaplaceDpEvent():
            return events.laplace(_number(event.noise_multiplier))
        case dp_events.DiscreteLaplaceDpEvent():
            rate, bound = _number(event.noise_parameter), _whole(event.sensitivity)
            events.pure(rate)  # checks it
            return dp_events.DiscreteLaplaceDpEvent(rate, bound)
        case dp_events.ZCDpEvent():
            return events.zcdp(_number(event.rho), _number(event.xi))
        case dp_events.RepeatAndSelectDpEvent():
            trial = known(event.event)
            return events.select_from_many(trial, mean_trials=_number(event.mean), shape=_number(event.shape))
    raise errors.invalid(
        "event", type(event).__name__, "has no known cost where one unit is added or removed", "run another mechanism"
    )


def _number(value: object) -> float:
    try:
        return float(value)  # type: ignore[arg-type]  # numpy's and JAX's scalars, too
    except (TypeError, ValueError) as error:
        raise errors.invalid("event", value, "is not a number", "pass the event that the library made") from error


def _whole(value: object) -> int:
    number = _number(value)
    if not (number >= 1 and number.is_integer()):
        raise errors.invalid("event", value, "must be a whole number of at least 1", "correct it")
    return int(number)


def _is_finite(event: DpEvent) -> bool:
    try:
        return accounting.epsilon_without_pld(event, _DELTA) < math.inf
    except (OverflowError, ZeroDivisionError):  # noise near the smallest float
        return False
