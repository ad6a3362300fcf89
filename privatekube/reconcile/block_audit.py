"""Check that the parts of a block add up to its initial budget, in every component or at every order."""

from __future__ import annotations

import math
from collections.abc import Iterator

from privatekube import errors
from privatekube.privacy import arithmetic, rounding
from privatekube.privacy.budget import PrivacyBudget
from privatekube.resources import transitions
from privatekube.resources.block import PrivateDataBlock


def require_invariant(block: PrivateDataBlock) -> None:
    """Check that initial = pending + available + acquired + committed + amounts in unfinished locks.

    Only the available part may be below zero, where an order is overdrawn: any other would make room for what was
    never there. Orders that the available part has lost are not checked: nothing can be claimed at them.

    Raises:
        CorruptData: names the block, the component or order, and the amounts.
    """
    available = transitions.status_of(block).available
    try:
        initial = arithmetic.at_orders_of(block.spec.initial_budget, available)
        parts = [(name, arithmetic.at_orders_of(part, available)) for name, part in _parts(block)]
    except errors.InvalidBudget as error:
        raise _corrupt(block, f"the budgets of its parts differ in their orders ({error})") from error
    for position, component in enumerate(_components(available)):
        whole, values = initial.values[position], [(name, part.values[position]) for name, part in parts]
        _require_sum(block, component, whole, [available.values[position], *(value for _, value in values)])
        for name, value in values:
            if value < 0 and not rounding.is_negligible(value, whole):
                raise _corrupt(block, f"{component}: {name} is {value:g}, which is below 0")


def _require_sum(block: PrivateDataBlock, component: str, whole: float, values: list[float]) -> None:
    if not rounding.is_negligible(math.fsum([whole, *(-value for value in values)]), max(map(abs, [whole, *values]))):
        raise _corrupt(
            block, f"{component}: its parts add up to {math.fsum(values):g}, its initial budget is {whole:g}"
        )


def _parts(block: PrivateDataBlock) -> Iterator[tuple[str, PrivacyBudget]]:
    """Yield all parts but the available one, with what they are."""
    status = transitions.status_of(block)
    yield "pending", status.pending
    yield from ((f"what {claim} acquired", amount) for claim, amount in status.acquired.items())
    yield from ((f"what {claim} committed", amount) for claim, amount in status.committed.items())
    for request_id, lock in transitions.unfinished_locks(block).items():
        if lock.acquired is not None:
            yield f"the lock of {request_id}", lock.acquired


def _components(amount: PrivacyBudget) -> list[str]:
    return [f"order {order:g}" for order in amount.orders] or ["epsilon", "delta"]


def _corrupt(block: PrivateDataBlock, fault: str) -> errors.CorruptData:
    return errors.CorruptData(
        f"block {block.id}: {fault}; its status was changed: restore a backup, and find out who wrote to the store"
    )
