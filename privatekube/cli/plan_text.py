"""The plan of a run in words and as JSON: its price, the noise of each step, and what is left of its blocks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from privatekube.privacy import budget_text, event_text
from privatekube.privacy.budget import PrivacyBudget
from privatekube.resources import summary
from privatekube.resources.block import PrivateDataBlock
from privatekube.resources.wire import common

if TYPE_CHECKING:  # it imports the accounting, which `privatekube --help` does without
    from privatekube.privacy.solving import SolvedPlan
    from privatekube.runs.demand import RunDemand

_SHOWN = 3


def lines(demand: RunDemand, settings: Mapping[str, Any], blocks: Sequence[PrivateDataBlock]) -> Iterator[str]:
    """Yield the price of the run on a block, its noise and settings, and what is left of the first blocks."""
    yield f"price on each block: {_at_best_order(demand.price, demand.price, blocks)}"
    yield f"privacy unit: {_unit(demand)}"
    yield from _noise_lines(demand.plan, delta=demand.target.delta)
    if settings:
        yield f"settings: {', '.join(f'{name} {value}' for name, value in settings.items() if value != {})}"
    for block in blocks[:_SHOWN]:
        yield _left_line(block, demand.price, blocks)
    if len(blocks) > _SHOWN:
        yield f"... and of {len(blocks) - _SHOWN} more"


def to_json(demand: RunDemand, settings: Mapping[str, Any], blocks: Sequence[PrivateDataBlock]) -> dict[str, Any]:
    """Return the plan as JSON; `leftAfter` is below zero where the run does not fit."""
    left = {block.id: summary.left_amount(block) for block in blocks}
    return {
        "price": common.budget_to_wire(demand.price),
        "unit": str(demand.unit),
        "maxContribution": demand.max_contribution,
        "plan": _plan_to_json(demand.plan),
        "settings": dict(settings),
        "leftBefore": common.budgets_to_wire(left),
        "leftAfter": common.budgets_to_wire({block_id: amount - demand.price for block_id, amount in left.items()}),
    }


def _noise_lines(plan: SolvedPlan | None, *, delta: float) -> Iterator[str]:
    """Yield the noise of each step, its part where that is not all, and what a search costs at `delta`."""
    from privatekube.privacy import events, search_price  # noqa: PLC0415 - see above

    for step in plan.steps if plan else ():
        part = "" if step.part == "all" else f", on part {step.part}"
        text = event_text.planned(step.mechanism, step.parameters) or event_text.describe(events.to_json(step.event))
        yield f"noise of {step.name}: {text}{part}"
        price = search_price.of_event(step.event, delta=delta)
        if price is not None:
            yield f"search of {step.name}: epsilon {price.search:.4g}; one trial alone: {price.trial:.4g}"


def _plan_to_json(plan: SolvedPlan | None) -> Any:
    if plan is None:
        return None
    steps = {step.name: {"part": step.part, "mechanism": step.mechanism, **step.parameters} for step in plan.steps}
    return {"steps": steps, "disjoint": list(plan.disjoint)}


def _unit(demand: RunDemand) -> str:
    if demand.unit.is_one_record:
        return str(demand.unit)
    return f"{demand.unit}, at most {summary.number_of(demand.max_contribution, 'record')} a unit"


def _left_line(block: PrivateDataBlock, price: PrivacyBudget, blocks: Sequence[PrivateDataBlock]) -> str:
    """Say what is left of a block before the run, and after it if it fits."""
    left = summary.left_amount(block)
    line = f"left of {block.id}: {_at_best_order(left, price, blocks)} before this run"
    if not left.admits(price, capacity=block.spec.initial_budget):
        return f"{line}, too little for it"
    return f"{line}, {_at_best_order(left - price, price, blocks)} after it"


def _at_best_order(amount: PrivacyBudget, price: PrivacyBudget, blocks: Sequence[PrivateDataBlock]) -> str:
    """Describe an amount: a Renyi curve at the order at which the first block has room for most such prices."""
    left = summary.left_amount(blocks[0]) if blocks else price
    return budget_text.at_best_order(amount, price=price, left=left)
