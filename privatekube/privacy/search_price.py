"""What a search costs beside a single one of its trials."""

from __future__ import annotations

from dataclasses import dataclass

from dp_accounting import dp_event as dp_events

from privatekube.privacy import accounting
from privatekube.privacy.events import DpEvent


@dataclass(frozen=True, slots=True)
class SearchPrice:
    """The epsilons of a search, at one delta and without the other steps of a run.

    Args:
        search: of releasing the best of the trials.
        trial: of a single trial with the same noise.
    """

    search: float
    trial: float


def of_event(event: DpEvent, *, delta: float) -> SearchPrice | None:
    """Return the price of a search; None for an event that is none.

    Args:
        event: of a step.
        delta: at which epsilon is stated.
    """
    if not isinstance(event, dp_events.RepeatAndSelectDpEvent):
        return None
    return SearchPrice(accounting.epsilon(event, delta), accounting.epsilon(event.event, delta))
