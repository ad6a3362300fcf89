"""Check the epsilon of a privacy card: account again for the mechanisms that the run registered."""

from __future__ import annotations

import json

from privatekube import errors
from privatekube.privacy import accounting, events
from privatekube.steps import documents
from privatekube.steps.card_verification import Check
from privatekube.steps.privacy_card import PrivacyCard

_ROUNDING = 1e-6


def check_epsilon(card: PrivacyCard) -> Check:
    """Check that the registered mechanisms cost no more than the card says.

    They compose as they ran: statistics on all units, training and evaluation on disjoint parts.
    """
    guarantee = card.run.guarantee
    try:
        epsilon = _composition(card).epsilon(guarantee.delta)
    except errors.PrivateKubeError as error:
        return Check("epsilon", str(error), is_passed=False)
    found = f"the registered mechanisms cost epsilon {epsilon:.6g} at delta {guarantee.delta:.3g}"
    if epsilon > guarantee.epsilon * (1 + _ROUNDING):
        return Check("epsilon", f"{found}, the card says {guarantee.epsilon:.6g}", is_passed=False)
    return Check("epsilon", found)


def _composition(card: PrivacyCard) -> accounting.Composition:
    releases = () if card.statement is None else card.statement.releases
    ran = {item.step: item.event for item in releases if item.event is not None}
    missing = [step for step in documents.PARTS if step not in ran]
    if missing:
        raise errors.NotFound(f"no mechanism of {missing[0]} was registered under claim {card.run.claim}")
    by_part = {part: (events.from_json(json.loads(ran[step])),) for step, part in documents.PARTS.items()}
    return accounting.Composition(by_part["all"], (by_part["train"], by_part["test"]))
