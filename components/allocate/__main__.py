"""Plan the mechanisms of a whole run, claim the budget they need, wait for it, and write the Grant."""

from __future__ import annotations

from pathlib import Path

import pydantic

from privatekube import validation
from privatekube.client import connect, run_demand
from privatekube.privacy import budget, planning
from privatekube.resources.block import PrivateDataBlock
from privatekube.resources.claim import PrivacyBudgetClaim
from privatekube.resources.wire import common
from privatekube.steps import arguments, documents, public_log
from privatekube.storage import uris


def allocate(
    *,
    run_id: validation.Text,
    namespace: validation.Name,
    dataset: validation.Name,
    n_blocks: validation.BlockCount,
    conditions: pydantic.Json[validation.Conditions],
    epsilon: validation.Epsilon,
    delta: validation.Delta,
    timeout_seconds: validation.Count,
    settle_after_seconds: validation.Count,
    statistics_fraction: validation.OpenShare,
    test_fraction: validation.OpenShare,
    n_epochs: validation.Count,
    sampling_rate: validation.Rate,
    prefix: validation.Text,
    grant: Path,
) -> None:
    """Claim budget for a run under a name made from `run_id`: a repetition finds its own claim and pays once.

    Writes the Grant to the path `grant`. Refuses, before anything is claimed, a `prefix` that cannot be written.
    """
    uris.require_writable(prefix)
    with connect.connect() as client:
        request = run_demand.request_for(dataset, n_blocks, conditions)
        candidates = client.matching_blocks(namespace, request)
        unit, max_contribution = run_demand.privacy_unit(candidates)
        plan = planning.plan_run(
            epsilon=epsilon,
            delta=delta,
            statistics_fraction=statistics_fraction,
            sampling_rate=sampling_rate,
            steps=planning.steps_of(n_epochs, sampling_rate),
            sensitivity=max_contribution,
        )
        amount = run_demand.price(plan, budget.EpsilonDelta(epsilon, delta), candidates)
        name = connect.claim_name(run_id)
        public_log.say("claiming", demand=amount, blocks=n_blocks, claim=f"{namespace}/{name}")
        granted = client.allocate(
            namespace,
            name,
            run_demand.request_for(dataset, n_blocks, conditions, amount),
            timeout_seconds=timeout_seconds,
            settle_after_seconds=settle_after_seconds,
        )
        blocks = [client.get_block(block_id) for block_id in sorted(granted.status.acquired)]
    document = documents.Grant(
        run_id=run_id,
        claim=granted.id,
        epsilon=epsilon,
        delta=delta,
        unit=unit,
        max_contribution=max_contribution,
        test_fraction=test_fraction,
        blocks=tuple(_granted_block(block, granted) for block in blocks),
        plan=documents.PlannedNoise.of(plan),
    )
    documents.write(document, grant)
    public_log.say("granted", blocks=len(blocks), claim=granted.id)


def _granted_block(block: PrivateDataBlock, claim: PrivacyBudgetClaim) -> documents.GrantedBlock:
    return documents.GrantedBlock(
        id=block.id,
        uri=block.spec.data_source,
        digest=block.content_digest,
        budget=common.budget_to_wire(claim.status.acquired[block.id]),
    )


if __name__ == "__main__":
    arguments.run_component(allocate)
