"""Plan the mechanisms of a whole run, claim the budget they need, wait for it, and write the Grant."""

from __future__ import annotations

from pathlib import Path

import pydantic

from privatekube import client, config, demand, entry, handoff, publiclog, storage
from privatekube.privacy import budget, planning
from privatekube.resources import block, claim, codec


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
    settle_after_seconds: config.Count,
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
        request = demand.request(dataset, n_blocks, conditions)
        candidates = plane.matching_blocks(namespace, request)
        unit, max_contribution = demand.privacy_unit(candidates)
        plan = planning.plan_run(
            epsilon=epsilon,
            delta=delta,
            statistics_fraction=statistics_fraction,
            sampling_rate=sampling_rate,
            steps=planning.steps_of(n_epochs, sampling_rate),
            sensitivity=max_contribution,
        )
        amount = demand.amount(plan, budget.EpsilonDelta(epsilon, delta), candidates)
        name = client.claim_name(run_id)
        publiclog.say("claiming", demand=amount, blocks=n_blocks, claim=f"{namespace}/{name}")
        granted = plane.allocate(
            namespace,
            name,
            demand.request(dataset, n_blocks, conditions, amount),
            timeout_seconds=timeout_seconds,
            settle_after_seconds=settle_after_seconds,
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


def _granted(each: block.PrivateDataBlock, granted: claim.PrivacyBudgetClaim) -> handoff.GrantedBlock:
    return handoff.GrantedBlock(
        id=each.id,
        uri=each.spec.data_source,
        digest=each.content_digest,
        budget=codec.budget_to_wire(granted.status.acquired[each.id]),
    )


if __name__ == "__main__":
    entry.component(allocate)
