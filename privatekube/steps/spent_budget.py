"""What the releases of a run cost together, which must be within what each block grants."""

from __future__ import annotations

from collections.abc import Sequence

from privatekube import errors
from privatekube.privacy import accounting, adaptive, budget, events, rounding
from privatekube.privacy.adaptive import Allowance
from privatekube.privacy.budget import EpsilonDelta
from privatekube.privacy.plan import ALL
from privatekube.resources.wire import common
from privatekube.steps import documents


def require_granted(granted: documents.Grant, spends: Sequence[documents.Spend]) -> float:
    """Return the epsilon of all spends together, at the Grant's delta.

    The steps of a plan were fixed before the first one ran: they are accounted for jointly, on disjoint parts in
    parallel. Without a plan, a step may have chosen its noise by earlier results: then the costs add up, see
    `privacy.adaptive`, and what was demanded is what the run is said to cost.

    Raises:
        BudgetExceeded: they cost more than what was granted of a block.
    """
    bounds = {block.id: common.budget_from_wire(block.budget) for block in granted.blocks}
    if granted.plan.steps:
        return _planned_epsilon(granted, spends, bounds)
    for bound in bounds.values():
        _require_demanded(spends, bound)
    return granted.epsilon


def _planned_epsilon(
    granted: documents.Grant, spends: Sequence[documents.Spend], bounds: dict[str, budget.PrivacyBudget | None]
) -> float:
    by_part = {
        part: tuple(events.from_json(spend.event) for spend in spends if spend.part == part)
        for part in (ALL, *granted.plan.disjoint)
    }
    used = accounting.Composition(by_part[ALL], tuple(by_part[part] for part in granted.plan.disjoint))
    epsilon = used.epsilon(granted.delta)
    for block_id, bound in bounds.items():
        if (
            bound is None
            or epsilon > granted.epsilon * (1 + rounding.RELATIVE_TOLERANCE)
            or not _fits(used, epsilon, bound)
        ):
            raise errors.BudgetExceeded(
                f"spend: epsilon {epsilon:.6g} at delta {granted.delta:.3g} is more than {block_id} grants ({bound}); "
                "nothing is published; the claim is settled by the exit task"
            )
    return epsilon


def _fits(used: accounting.Composition, epsilon: float, bound: budget.PrivacyBudget) -> bool:
    if isinstance(bound, EpsilonDelta):
        return epsilon <= bound.epsilon * (1 + rounding.RELATIVE_TOLERANCE)
    return _is_below(used.renyi(bound.orders), bound)


def _require_demanded(spends: Sequence[documents.Spend], bound: budget.PrivacyBudget | None) -> None:
    """Check that spends, each of which may depend on those before, cost a block at most what it grants."""
    ran = [events.from_json(spend.event) for spend in spends]
    if isinstance(bound, EpsilonDelta):
        share = bound.delta / max(1, len(ran))  # known before the first one runs: the graph has so many steps
        costs = [adaptive.cost(event, delta=0 if accounting.is_pure(event) else share) for event in ran]
        Allowance.on(bound, orders=None).require_room("spends", costs)
    elif bound is None or not _is_below(accounting.renyi_cost(events.composition(*ran), bound.orders), bound):
        raise errors.BudgetExceeded(
            f"spends: cost more than the run demanded ({bound}); nothing is published; the claim is settled by the "
            "exit task"
        )


def _is_below(cost: budget.RenyiCurve, bound: budget.RenyiCurve) -> bool:
    pairs = zip(cost.values, bound.values, strict=True)
    return all(value <= most * (1 + rounding.RELATIVE_TOLERANCE) for value, most in pairs)
