"""Explanations instead of refusals: which block lacks what."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from privatekube import errors
from privatekube.privacy import rounding
from privatekube.privacy.budget import EpsilonDelta, PrivacyBudget, RenyiCurve
from privatekube.resources import matching, transitions
from privatekube.resources.block import PrivateDataBlock
from privatekube.resources.requests import AllocateRequest


@dataclass(frozen=True, slots=True)
class Shortage:
    """What a block lacks for a demand, at the component that binds.

    Args:
        component: `epsilon`, `delta`, or the Renyi order at which least is missing, such as `order 8`.
        asked: of this component; likewise `available` (unlocked and free) and `locked`.
        holders: claims that acquired budget there and may give it back.
    """

    block: str
    component: str
    asked: float
    available: float
    locked: float
    holders: tuple[str, ...] = ()

    def __str__(self) -> str:
        return (
            f"block {self.block} lacks {self.component}: asked {self.asked:.6g}, available {self.available:.6g}, "
            f"still locked {self.locked:.6g}"
        )


def shortages(found: Sequence[PrivateDataBlock], demands: Mapping[str, PrivacyBudget]) -> Iterator[Shortage]:
    """What each of the blocks lacks that cannot grant its demand now."""
    for block in found:
        status, whole = transitions.status_of(block), block.spec.initial_budget
        asked = demands[block.id]
        if not status.available.admits(asked, capacity=whole):
            component, values = _binding(asked, status.available, status.pending, whole)
            yield Shortage(block.id, component, *values, holders=tuple(status.acquired))


def require_possible(found: Sequence[PrivateDataBlock], request: AllocateRequest) -> None:
    """Refuse a demand that waiting cannot meet: it exceeds what is locked and unlocked on too many of its blocks.

    What other claims hold or wait for may come back, but nobody can count on it.

    Raises:
        BudgetUnavailable: names a block, what was asked and what is left.
    """
    demands = matching.demand(request, found)
    lacking = []
    for block in found:
        status = transitions.status_of(transitions.initialize_status(block))
        left = status.pending + status.available
        if not left.admits(demands[block.id], capacity=block.spec.initial_budget):
            lacking.append(f"block {block.id} lacks budget: asked {demands[block.id]}, left {left}")
    if len(found) - len(lacking) < matching.needed(request, len(found)):
        others = f" (and {len(lacking) - 1} more blocks)" if len(lacking) > 1 else ""
        raise errors.BudgetUnavailable(
            f"{lacking[0]}{others}; ask for less, for fewer blocks, or create blocks of new data"
        )


def shortage(found: Sequence[PrivateDataBlock], request: AllocateRequest) -> str:
    """What the first of the candidate blocks that lacks budget lacks."""
    first = next(shortages(found, matching.demand(request, found)), None)
    return "the budget came free too late" if first is None else str(first)


def _binding(
    asked: PrivacyBudget, available: PrivacyBudget, locked: PrivacyBudget, whole: PrivacyBudget
) -> tuple[str, tuple[float, float, float]]:
    """The component that keeps a demand from fitting, with what is asked, available and locked of it."""
    if isinstance(asked, EpsilonDelta):
        rows = list(zip(("epsilon", "delta"), asked.values, available.values, locked.values, whole.values, strict=True))
        name, *numbers = next(row for row in rows if not rounding.fits(row[1], row[2], row[4]))
        return name, (numbers[0], numbers[1], numbers[2])
    curves = [each for each in (asked, available, locked, whole) if isinstance(each, RenyiCurve)]
    orders = []
    for alpha in curves[0].orders:
        present = [value for value in (each.at(alpha) for each in curves) if value is not None]
        if len(present) == len(curves) and present[3] > 0:
            orders.append(((present[0] - present[1]) / present[3], alpha, (present[0], present[1], present[2])))
    if not orders:
        return "every order it asks for", (max(asked.values), 0.0, 0.0)
    _, alpha, nearest = min(orders)
    return f"order {alpha:g}", nearest
