"""Plan the mechanisms of a whole run, claim the budget they need, wait for it, and write the Grant."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pydantic

from privatekube import client, config, entry, errors, handoff, publiclog, storage
from privatekube.privacy import budget, planning
from privatekube.resources import block, claim, claim_codec, codec


def allocate(
    *,
    run_id: config.Text,
    namespace: config.Name,
    dataset: config.Name,
    n_blocks: config.BlockCount,
    conditions: pydantic.Json[config.Conditions],
    epsilon: config.Epsilon,
    delta: config.Delta,
    timeout_seconds: config.Count,
    statistics_fraction: config.OpenShare,
    test_fraction: config.OpenShare,
    n_epochs: config.Count,
    sampling_rate: config.Rate,
    prefix: config.Text,
    grant: Path,
) -> None:
    """Claim budget for a run under a name made from `run_id`: a repetition finds its own claim and pays once.

    Writes the Grant to the path `grant`. Refuses, before anything is claimed, a `prefix` that cannot be written.
    """
    storage.require_writable(prefix)
    with client.connect() as plane:
        request = _request(dataset, n_blocks, conditions)
        candidates = plane.matching_blocks(namespace, request)
        unit, max_contribution = _privacy_unit(candidates)
        plan = planning.plan_run(
            epsilon=epsilon,
            delta=delta,
            statistics_fraction=statistics_fraction,
            sampling_rate=sampling_rate,
            steps=planning.steps_of(n_epochs, sampling_rate),
            sensitivity=max_contribution,
        )
        demand = _demand(plan, budget.EpsilonDelta(epsilon, delta), candidates)
        name = client.claim_name(run_id)
        publiclog.say("claiming", demand=demand, blocks=n_blocks, claim=f"{namespace}/{name}")
        granted = plane.allocate(
            namespace, name, _request(dataset, n_blocks, conditions, demand), timeout_seconds=timeout_seconds
        )
        blocks = [plane.get_block(block_id) for block_id in sorted(granted.status.acquired)]
    document = handoff.Grant(
        run_id=run_id,
        claim=granted.id,
        epsilon=epsilon,
        delta=delta,
        unit=unit,  # type: ignore[arg-type]  # pydantic checks it
        max_contribution=max_contribution,
        test_fraction=test_fraction,
        blocks=tuple(_granted(each, granted) for each in blocks),
        plan=handoff.Plan.model_validate(plan, from_attributes=True),
    )
    handoff.write(document, grant)
    publiclog.say("granted", blocks=len(blocks), claim=granted.id)


def _request(
    dataset: str, n_blocks: str, conditions: config.Conditions, demand: budget.PrivacyBudget | None = None
) -> claim.AllocateRequest:
    wanted = None if n_blocks == "all" else int(n_blocks)
    return claim.AllocateRequest(
        dataset=dataset,
        expected_budget=claim.BudgetDemand(constant=demand),
        conditions=tuple(claim_codec.condition_from_wire(each) for each in conditions),
        min_blocks=-1 if wanted is None else wanted,
        max_blocks=wanted,
    )


def _privacy_unit(candidates: Sequence[block.PrivateDataBlock]) -> tuple[str, int]:
    """The one privacy unit of all `candidates`, and its contribution bound (1 for an event)."""
    units = {(_declared(each, "unit", "event"), _declared(each, "maxContribution", "1")) for each in candidates}
    if len(units) > 1:
        listed = ", ".join(f"{unit} (at most {bound})" for unit, bound in sorted(units))
        raise errors.InvalidInput(f"unit: the matching blocks protect different units: {listed}; add a condition on it")
    unit, bound = units.pop()
    return unit, 1 if unit == "event" else int(bound)


def _declared(each: block.PrivateDataBlock, attribute: str, default: str) -> str:
    dimension = each.dimension(attribute)
    return default if dimension is None else dimension.string_value or dimension.numeric_value or default


def _demand(
    plan: planning.RunPlan, asked: budget.EpsilonDelta, candidates: Sequence[block.PrivateDataBlock]
) -> budget.PrivacyBudget:
    """What the plan costs each block, in the accounting of the blocks."""
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


def _granted(each: block.PrivateDataBlock, granted: claim.PrivacyBudgetClaim) -> handoff.GrantedBlock:
    return handoff.GrantedBlock(
        id=each.id,
        uri=each.spec.data_source,
        digest=each.content_digest,
        budget=codec.budget_to_wire(granted.status.acquired[each.id]),
    )


if __name__ == "__main__":
    entry.component(allocate)
