"""What a run requests of the blocks: its mechanisms planned together, at their cost in the accounting of the blocks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from privatekube import errors
from privatekube.client import plan_file
from privatekube.client.store_client import StoreClient
from privatekube.privacy import arithmetic, budget, renyi_conversion, solving
from privatekube.privacy.accounting import Composition
from privatekube.privacy.plan import Plan
from privatekube.privacy.unit import PrivacyUnit
from privatekube.resources import declared_data
from privatekube.resources.block import PrivateDataBlock
from privatekube.resources.requests import AllocateRequest, BudgetDemand
from privatekube.resources.wire import claims
from privatekube.runs import hook
from privatekube.runs.checked_run import CheckedRun
from privatekube.runs.demand import RunDemand
from privatekube.runs.run_arguments import RunArguments

_MOST_EPSILON = 1000.0  # as `validation.Epsilon`
ALL = "all"
"""The number of blocks that stands for every block that matches."""


def request_for(
    dataset: str,
    n_blocks: str,
    conditions: Iterable[Mapping[str, object]],
    amount: budget.PrivacyBudget | None = None,
) -> AllocateRequest:
    """Return a run's request.

    Args:
        dataset: of the blocks.
        n_blocks: how many blocks: a number, or `all` that match.
        conditions: further conditions on block dimensions, in wire form.
        amount: the demand on each block; None to find the matching blocks only.
    """
    count = None if n_blocks == ALL else int(n_blocks)
    return AllocateRequest(
        dataset=dataset,
        expected_budget=BudgetDemand(constant=amount),
        conditions=tuple(claims.condition_from_wire(condition) for condition in conditions),
        min_blocks=-1 if count is None else count,
        max_blocks=count,
    )


def privacy_unit(blocks: Sequence[PrivateDataBlock]) -> tuple[PrivacyUnit, int]:
    """Return the one privacy unit of all `blocks`, and its contribution bound (1 for an event).

    Raises:
        InvalidInput: they protect different units, or users over different ranges of days.
    """
    units = {
        (_declared(block, "unit", PrivacyUnit.EVENT), _declared(block, "maxContribution", "1")) for block in blocks
    }
    if len(units) > 1:
        listed = ", ".join(f"{unit} (at most {bound})" for unit, bound in sorted(units))
        raise errors.InvalidInput(f"unit: the matching blocks protect different units: {listed}; add a condition on it")
    unit = PrivacyUnit.parse(units.pop()[0])
    ranges = {(_declared(block, "startTime", ""), _declared(block, "endTime", "")) for block in blocks}
    if unit is PrivacyUnit.USER and len(ranges) > 1:
        raise errors.InvalidInput(
            f"unit: the matching blocks of unit {unit} have {len(ranges)} ranges of days, so a user may be in several; "
            "add a condition on startTime"
        )
    return unit, 1 if unit.is_one_record else declared_data.whole_number(blocks[0], "maxContribution") or 1


def price(
    composition: Composition, demand: budget.EpsilonDelta, blocks: Sequence[PrivateDataBlock]
) -> budget.PrivacyBudget:
    """Return what a plan costs each block, in the accounting of the blocks.

    Args:
        composition: the mechanisms of the run.
        demand: what the run may cost, which is the price where the blocks have epsilon-delta budgets.
        blocks: the matching blocks.

    Raises:
        InvalidInput: the blocks mix epsilon-delta and Renyi budgets.
    """
    orders = renyi_orders(blocks)
    return demand if orders is None else composition.renyi(orders)


def renyi_orders(blocks: Sequence[PrivateDataBlock]) -> tuple[float, ...] | None:
    """Return every Renyi order of the blocks; None if they have epsilon-delta budgets.

    Raises:
        InvalidInput: the blocks mix epsilon-delta and Renyi budgets.
    """
    curves = [block.spec.initial_budget for block in blocks if isinstance(block.spec.initial_budget, budget.RenyiCurve)]
    if not curves:
        return None
    if len(curves) < len(blocks):
        raise errors.InvalidInput(
            "accounting: the matching blocks mix epsilon-delta and Renyi budgets; add a condition that selects one kind"
        )
    return arithmetic.union_of_orders(curves)


def of_plan(client: StoreClient, run: RunArguments, plan: Plan | budget.PrivacyBudget) -> RunDemand:
    """Solve a plan for the blocks that match now.

    Args:
        client: of the control plane.
        run: which blocks to claim, and the epsilon and delta of the whole plan.
        plan: the mechanisms; or a budget to demand of each block as it is, in the accounting of the blocks.

    Raises:
        InvalidInput: too few blocks match, they have different units or accountings, or no noise meets the target.
    """
    return _of_blocks(matching(client, run), run, plan)


def of_run(
    client: StoreClient, run: RunArguments, *, memory_bytes: int | None, workspace: Path | None = None
) -> RunDemand:
    """Plan a run for the blocks that match now: the step allocate and the command `plan` both call this.

    What can be known of the later steps is checked here by the check that the run names, before a claim is made.

    Args:
        client: of the control plane.
        run: its arguments.
        memory_bytes: what the step that needs most memory has; None where this is unknown.
        workspace: folder of this machine that the steps write their outputs to; None where this is unknown.

    Raises:
        InvalidInput: too few blocks match, they have different units or accountings, no noise meets the target, or an
            argument would let a later step fail.
    """
    if run.plan is None:
        raise errors.InvalidInput("plan: missing; name the file with the plan of the run, see docs/plans.md")
    blocks, plan = matching(client, run), plan_file.parse(run.plan, run.named)
    demand = _of_blocks(blocks, run, plan)
    hook.run(CheckedRun(run, memory_bytes, workspace, blocks, demand))
    return demand


def matching(client: StoreClient, run: RunArguments) -> tuple[PrivateDataBlock, ...]:
    """Return the blocks that match a run now.

    Raises:
        InvalidInput: there are fewer than it requests.
    """
    return tuple(client.matching_blocks(run.namespace, request_for(run.dataset, run.n_blocks, run.conditions)))


def _of_blocks(blocks: Sequence[PrivateDataBlock], run: RunArguments, plan: Plan | budget.PrivacyBudget) -> RunDemand:
    unit, max_contribution = privacy_unit(blocks)
    target = budget.EpsilonDelta(run.epsilon, run.delta)
    if not isinstance(plan, Plan):
        request = request_for(run.dataset, run.n_blocks, run.conditions, plan)
        return RunDemand(unit, max_contribution, _promised(plan, delta=run.delta), None, plan, request)
    solved = solving.solve(plan, epsilon=run.epsilon, delta=run.delta, max_contribution=max_contribution)
    amount = price(solved.composition, target, blocks)
    request = request_for(run.dataset, run.n_blocks, run.conditions, amount)
    return RunDemand(unit, max_contribution, target, solved, amount, request)


def _promised(demand: budget.PrivacyBudget, *, delta: float) -> budget.EpsilonDelta:
    """Return the epsilon and delta that a demand without a plan promises, those of a curve at `delta`.

    The curve is fixed before anything runs and bounds the cost at every order, so that the best order tells.

    Raises:
        InvalidInput: it demands nothing, or so much that it promises nothing.
    """
    promised = demand
    if not isinstance(promised, budget.EpsilonDelta):
        pairs = zip(promised.orders, promised.values, strict=True)
        least = min(renyi_conversion.epsilon(value, order=order, delta=delta) for order, value in pairs)
        promised = budget.EpsilonDelta(least, delta)
    if not 0 < promised.epsilon <= _MOST_EPSILON or promised.delta >= 1:
        raise errors.invalid("demand", str(demand), f"promises {promised}", "demand an epsilon above 0, up to 1000")
    return promised


def _declared(block: PrivateDataBlock, attribute: str, default: str) -> str:
    dimension = block.dimension(attribute)
    return default if dimension is None else dimension.string_value or dimension.numeric_value or default
