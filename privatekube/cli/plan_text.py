"""The plan of a run in words and as JSON: its price, the noise of each step, and what is left of its blocks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from privatekube.privacy.budget import PrivacyBudget
from privatekube.resources import summary, transitions
from privatekube.resources.block import PrivateDataBlock
from privatekube.resources.wire import common

if TYPE_CHECKING:  # it imports the accounting, which `privatekube --help` does without
    from privatekube.client.run_demand import RunDemand

_SHOWN = 3


def lines(demand: RunDemand, blocks: Sequence[PrivateDataBlock]) -> Iterator[str]:
    """Yield the price of the run on a block, the noise of each step, and what is left of the first blocks."""
    plan, unit = demand.plan, f"{demand.unit}, at most {demand.max_contribution} reviews a unit"
    yield f"price on each block: {_at_best_order(demand.price, demand.price, blocks)}"
    yield f"privacy unit: {demand.unit if demand.unit.is_one_record else unit}"
    yield f"noise of dp_preprocess: discrete Laplace, scale {plan.statistics_scale:.4g}"
    yield (
        f"noise of dp_train: {plan.steps} steps of Gaussian noise, multiplier {plan.noise_multiplier:.4g}, "
        f"at sampling rate {plan.sampling_rate:g}"
    )
    yield f"noise of dp_evaluate: discrete Laplace, scale {plan.evaluation_scale:.4g}"
    for block in blocks[:_SHOWN]:
        yield f"left of {block.id}: {_at_best_order(_left(block), demand.price, blocks)}"
    if len(blocks) > _SHOWN:
        yield f"... and of {len(blocks) - _SHOWN} more"


def to_json(demand: RunDemand, blocks: Sequence[PrivateDataBlock]) -> dict[str, Any]:
    """Return the plan as JSON."""
    return {
        "price": common.budget_to_wire(demand.price),
        "unit": str(demand.unit),
        "maxContribution": demand.max_contribution,
        "plan": asdict(demand.plan),
        "left": {block.id: common.budget_to_wire(_left(block)) for block in blocks},
    }


def _left(block: PrivateDataBlock) -> PrivacyBudget:
    status = transitions.status_of(transitions.initialize_status(block))
    return status.pending + status.available


def _at_best_order(amount: PrivacyBudget, price: PrivacyBudget, blocks: Sequence[PrivateDataBlock]) -> str:
    """Describe an amount: a Renyi curve at the order at which the first block has room for most such prices."""
    left = _left(blocks[0]) if blocks else price
    return summary.short_at_best_order(amount, price=price, left=left)
