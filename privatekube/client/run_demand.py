"""What a run asks of the blocks: its mechanisms planned together, and their cost in the accounting of the blocks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from privatekube import config, errors
from privatekube.client.embedded import ControlPlane
from privatekube.privacy import budget, planning
from privatekube.resources.block import PrivateDataBlock
from privatekube.resources.requests import AllocateRequest, BudgetDemand
from privatekube.resources.wire import claims


def request_for(
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
        conditions=tuple(claims.condition_from_wire(each) for each in conditions),
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


def price(
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


def request_of_run(plane: ControlPlane, run: config.RunArguments) -> AllocateRequest:
    """What the step allocate would claim for a run.

    Raises:
        InvalidInput: too few blocks match, or they do not go together.
    """
    request = request_for(run.dataset, run.n_blocks, run.conditions)
    candidates = plane.matching_blocks(run.namespace, request)
    _, max_contribution = privacy_unit(candidates)
    asked = budget.EpsilonDelta(run.epsilon, run.delta)
    if all(isinstance(each.spec.initial_budget, budget.EpsilonDelta) for each in candidates):
        return request_for(run.dataset, run.n_blocks, run.conditions, asked)
    planned = planning.plan_run(
        epsilon=run.epsilon,
        delta=run.delta,
        statistics_fraction=run.statistics_fraction,
        sampling_rate=run.sampling_rate,
        steps=planning.steps_of(run.n_epochs, run.sampling_rate),
        sensitivity=max_contribution,
    )
    return request_for(run.dataset, run.n_blocks, run.conditions, price(planned, asked, candidates))


def read_claim(path: Path) -> tuple[str, AllocateRequest]:
    """The namespace and the first allocate request of a claim's manifest.

    Raises:
        InvalidInput: no such file, no claim, or it asks for nothing.
    """
    claim = claims.from_wire(config.read_mapping(path))
    for request in claim.spec.requests:
        if isinstance(request.action, AllocateRequest):
            return claim.meta.namespace, request.action
    raise errors.InvalidInput(f"{path}: has no allocateRequest; name a claim that asks for budget")
