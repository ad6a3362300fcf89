"""Check that the noise of a Grant is for the sensitivities that its plan states."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from privatekube.privacy import events, planned_mechanisms
from privatekube.privacy.events import DpEvent
from privatekube.privacy.planned_mechanisms import SelectFromMany
from privatekube.privacy.planned_queries import Queries
from privatekube.privacy.sensitivity import Per, Sensitivity
from privatekube.steps import differences, documents
from privatekube.steps.documents.granted_plan import GrantedStep, StatedSensitivity


def require_stated_sensitivities(granted: documents.Grant) -> None:
    """Check that each step's noise is for the sensitivity that its plan states, at the contribution bound of the Grant.

    Of a step that runs many trials, each mechanism of a trial is checked.

    Raises:
        BudgetExceeded: a step states none, its sensitivity is not that of a unit, or its event has other noise.
    """
    for step in granted.plan.steps:
        if step.mechanism == SelectFromMany.kind:
            event = _of_trials(step, granted.max_contribution)
        else:
            kind = _query(step.mechanism)
            if kind is None:
                continue  # of a whole unit by its definition
            event = _of_query(step.name, kind, step.parameters, step.sensitivity, granted.max_contribution)
        differences.require_close(f"event of {step.name}", step.event, events.to_json(event))


def _of_trials(step: GrantedStep, bound: int) -> DpEvent:
    """Return the event of all trials of a step, in which each mechanism has noise for its stated sensitivity."""
    known, stated = step.parameters, step.trial_sensitivities
    differences.require_equal(f"sensitivities of a trial of {step.name}", len(stated), len(known["trial"]))
    name = f"a trial of {step.name}"
    parts = [_of_trial(name, part, one, bound) for part, one in zip(known["trial"], stated, strict=True)]
    trial = parts[0] if len(parts) == 1 else events.composition(*parts)
    return events.select_from_many(trial, mean_trials=known["mean_trials"], shape=known["shape"])


def _of_trial(name: str, part: Mapping[str, Any], stated: StatedSensitivity | None, bound: int) -> DpEvent:
    """Return the event of one mechanism of a trial."""
    kind = _query(part["mechanism"])
    if kind is None:
        return events.poisson_gaussian(part["sampling_rate"], part["noise_multiplier"], part["steps"])
    return _of_query(name, kind, part, stated, bound)


def _of_query(
    name: str, kind: type[Queries], known: Mapping[str, Any], stated: StatedSensitivity | None, bound: int
) -> DpEvent:
    """Return the event of a query with noise of its scale, if its sensitivity is the stated one, of a unit."""
    of_unit = None if stated is None else Sensitivity(stated.value, stated.per).of_unit(bound)
    differences.require_equal(f"sensitivity of {name}", known.get("sensitivity"), of_unit)
    values = {key: known[key] for key in ("sensitivity", "queries")}
    return kind(**values, per=Per.UNIT).with_scale(known["scale"])


def _query(mechanism: str) -> type[Queries] | None:
    """Return the mechanism of that name if it has a sensitivity."""
    kind = planned_mechanisms.MECHANISMS.get(mechanism)
    return kind if kind is not None and issubclass(kind, Queries) else None
