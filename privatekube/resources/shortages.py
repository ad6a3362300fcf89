"""What the blocks of a request lack: the reason why a demand has to wait, or cannot be met at all."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from privatekube import errors
from privatekube.privacy import budget_text, rounding
from privatekube.privacy.budget import EpsilonDelta, PrivacyBudget, RenyiCurve
from privatekube.resources import matching, transitions
from privatekube.resources.block import PrivateDataBlock
from privatekube.resources.requests import AllocateRequest


@dataclass(frozen=True, slots=True)
class Shortage:
    """What a block lacks for a demand, at the binding component.

    Args:
        block: id of the block.
        component: `epsilon`, `delta`, or the Renyi order at which least is missing, such as `order 8`.
        asked: amount of this component that is demanded.
        available: amount that is unlocked and free.
        locked: amount that is still locked.
        holders: ids of claims that hold budget on the block and may release it.
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


def shortages(blocks: Sequence[PrivateDataBlock], demands: Mapping[str, PrivacyBudget]) -> Iterator[Shortage]:
    """Yield the shortage of each block that cannot grant its demand now."""
    for block in blocks:
        status, whole = transitions.status_of(block), block.spec.initial_budget
        asked = demands[block.id]
        if not status.available.admits(asked, capacity=whole):
            component, values = _binding(asked, status.available, status.pending, whole)
            yield Shortage(block.id, component, *values, holders=tuple(status.acquired))


def require_possible(blocks: Sequence[PrivateDataBlock], request: AllocateRequest) -> None:
    """Refuse a demand that cannot be met by waiting: it exceeds what is pending and available on too many blocks.

    Budget that other claims hold may be released, but this cannot be relied on.

    Raises:
        BudgetUnavailable: the message names a block, the demand and what is left.
    """
    demands = matching.demand(request, blocks)
    lacking = []
    for block in blocks:
        status = transitions.status_of(transitions.initialize_status(block))
        left = status.pending + status.available
        if not left.admits(demands[block.id], capacity=block.spec.initial_budget):
            lacking.append((block.id, left))
    if len(blocks) - len(lacking) < matching.needed(request, len(blocks)):
        first, left = lacking[0]
        asked, rest = budget_text.asked_and_left(demands[first], left)
        others = f" (and {len(lacking) - 1} more)" if len(lacking) > 1 else ""
        raise errors.BudgetUnavailable(
            f"block {first} lacks budget: asked {asked}, left {rest}{others}; "
            "ask for less, for fewer blocks, or create blocks of new data"
        )


def first_shortage(blocks: Sequence[PrivateDataBlock], request: AllocateRequest) -> str:
    """Describe the shortage of the first candidate block that lacks budget."""
    first = next(shortages(blocks, matching.demand(request, blocks)), None)
    return "the budget became available too late" if first is None else str(first)


def _binding(
    asked: PrivacyBudget, available: PrivacyBudget, locked: PrivacyBudget, whole: PrivacyBudget
) -> tuple[str, tuple[float, float, float]]:
    """Return the component that keeps a demand from fitting, and how much of it is asked, available and locked."""
    if isinstance(asked, EpsilonDelta):
        rows = list(zip(("epsilon", "delta"), asked.values, available.values, locked.values, whole.values, strict=True))
        name, *numbers = next(row for row in rows if not rounding.fits(row[1], available=row[2], capacity=row[4]))
        return name, (numbers[0], numbers[1], numbers[2])
    curves = [curve for curve in (asked, available, locked, whole) if isinstance(curve, RenyiCurve)]
    orders = []
    for alpha in curves[0].orders:
        present = [value for value in (curve.at(alpha) for curve in curves) if value is not None]
        if len(present) == len(curves) and present[3] > 0:
            orders.append(((present[0] - present[1]) / present[3], alpha, (present[0], present[1], present[2])))
    if not orders:
        return "every order of the demand", (max(asked.values), 0.0, 0.0)
    _, alpha, nearest = min(orders)
    return f"order {alpha:g}", nearest
