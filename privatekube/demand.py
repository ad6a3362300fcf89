"""What a run asks of the blocks: its mechanisms planned together, and their cost in the accounting of the blocks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from privatekube import errors
from privatekube.privacy import budget, planning
from privatekube.resources import claim_codec
from privatekube.resources.block import PrivateDataBlock
from privatekube.resources.claim import AllocateRequest, BudgetDemand


def request(
    dataset: str,
    n_blocks: str,
    conditions: Iterable[Mapping[str, object]],
    amount: budget.PrivacyBudget | None = None,
) -> AllocateRequest:
    """A run's request for `amount` on each of `n_blocks` blocks, or on `all` that match."""
    wanted = None if n_blocks == "all" else int(n_blocks)
    return AllocateRequest(
        dataset=dataset,
        expected_budget=BudgetDemand(constant=amount),
        conditions=tuple(claim_codec.condition_from_wire(each) for each in conditions),
        min_blocks=-1 if wanted is None else wanted,
        max_blocks=wanted,
    )


def privacy_unit(candidates: Sequence[PrivateDataBlock]) -> tuple[str, int]:
    """The one privacy unit of all `candidates`, and its contribution bound (1 for an event).

    Raises:
        InvalidInput: they protect different units.
    """
    units = {(_declared(each, "unit", "event"), _declared(each, "maxContribution", "1")) for each in candidates}
    if len(units) > 1:
        listed = ", ".join(f"{unit} (at most {bound})" for unit, bound in sorted(units))
        raise errors.InvalidInput(f"unit: the matching blocks protect different units: {listed}; add a condition on it")
    unit, bound = units.pop()
    return unit, 1 if unit == "event" else int(bound)


def amount(
    plan: planning.RunPlan, asked: budget.EpsilonDelta, candidates: Sequence[PrivateDataBlock]
) -> budget.PrivacyBudget:
    """What the plan costs each block, in the accounting of the blocks.

    Raises:
        InvalidInput: they do not have one accounting.
    """
    curves = [
        each.spec.initial_budget for each in candidates if isinstance(each.spec.initial_budget, budget.RenyiCurve)
    ]
    if not curves:
        return asked
    if len(curves) < len(candidates):
        raise errors.InvalidInput(
            "accounting: the matching blocks mix epsilon-delta and Renyi budgets; add a condition"
        )
    return plan.composition.renyi(curves[0].orders)


def _declared(each: PrivateDataBlock, attribute: str, default: str) -> str:
    dimension = each.dimension(attribute)
    return default if dimension is None else dimension.string_value or dimension.numeric_value or default
