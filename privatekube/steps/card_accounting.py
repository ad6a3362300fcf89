"""Check the epsilon of a privacy card: account again for the mechanisms that the run registered."""

from __future__ import annotations

import json

from privatekube import errors
from privatekube.privacy import accounting, events
from privatekube.steps.card_verification import Check
from privatekube.steps.privacy_card import PrivacyCard

_ROUNDING = 1e-6
_WHOLE = "all"


def check_epsilon(card: PrivacyCard) -> Check:
    """Check that the registered mechanisms cost no more than the card says.

    They compose as they ran: on the disjoint parts that the card names in parallel, all others in sequence.
    """
    guarantee = card.run.guarantee
    try:
        composition = _composition(card)
        epsilon = composition.epsilon(guarantee.delta) if guarantee.delta else composition.pure_epsilon()
    except errors.PrivateKubeError as error:
        return Check("epsilon", str(error), is_passed=False)
    found = f"the registered mechanisms cost epsilon {epsilon:.6g} at delta {guarantee.delta:.3g}"
    if epsilon > guarantee.epsilon * (1 + _ROUNDING):
        return Check("epsilon", f"{found}, the card says {guarantee.epsilon:.6g}", is_passed=False)
    return Check("epsilon", found)


def _composition(card: PrivacyCard) -> accounting.Composition:
    releases = () if card.statement is None else card.statement.releases
    ran = {item.step: item.event for item in releases if item.event is not None}
    missing = [stated.step for stated in card.run.mechanisms if stated.step not in ran]
    if missing:
        raise errors.NotFound(f"no mechanism of {missing[0]} was registered under claim {card.run.claim}")
    part_of = {stated.step: stated.part for stated in card.run.mechanisms}
    disjoint = card.run.guarantee.disjoint
    by_part: dict[str, list[events.DpEvent]] = {part: [] for part in (_WHOLE, *disjoint)}
    for step, event in ran.items():  # a step that the card does not name counts as one on all units
        part = part_of.get(step, _WHOLE)
        by_part[part if part in by_part else _WHOLE].append(events.from_json(json.loads(event)))
    return accounting.Composition(tuple(by_part[_WHOLE]), tuple(tuple(by_part[part]) for part in disjoint))
