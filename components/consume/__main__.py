"""Pay: check that what the steps used fits the Grant, commit it on every block, and write the Receipt."""

from __future__ import annotations

from collections.abc import Sequence

from privatekube import errors
from privatekube.client import connect
from privatekube.privacy import budget_text
from privatekube.resources import summary
from privatekube.resources.claim import PrivacyBudgetClaim
from privatekube.resources.wire import common
from privatekube.steps import (
    arguments,
    documents,
    granted_blocks,
    interface,
    paid_releases,
    public_log,
    spent_budget,
    stated_noise,
)


def consume(
    *,
    grant: interface.Artifact,
    spend: interface.Artifacts,
    receipt: interface.OutputArtifact,
) -> None:
    """Commit the Grant's budget on each of its blocks, or fail and leave the claim to the exit task.

    The releases that are registered with the claim must be those of the Grant's plan, and the Grant that of the claim.
    The noise of each must be for the sensitivity that the plan states, of a unit as the blocks bound it.
    They compose as they ran: on disjoint parts of the units in parallel, all others in sequence. Together they must fit
    the Grant in the accounting of the blocks; where it has no steps, their costs must add up to it at most. The whole
    Grant is committed: it was planned to be used in full.

    Args:
        grant: from allocate.
        spend: from each step of the plan, in any order; given once for each.
        receipt: what was committed (JSON).
    """
    granted, digest = documents.read(documents.Grant, grant), documents.digest(grant.read_bytes())
    with connect.connect() as client:
        claim = client.get_claim(granted.claim)
        spends = _spends_of_run(granted, [documents.read(documents.Spend, path) for path in spend], claim)
        blocks = [client.get_block(block.id) for block in granted.blocks]
        paid_releases.require_known_inputs(claim, (digest,))
        paid_releases.require_grant_of_claim(granted, claim, blocks)
        stated_noise.require_stated_sensitivities(granted)
        paid_releases.require_planned_releases(granted, claim.releases)
        paid_releases.require_registered(spends, claim.releases)
        epsilon = spent_budget.require_granted(granted, spends)
        committed = client.consume(granted.claim, mechanisms=[paid_releases.ledger_text(spend) for spend in spends])
        paid_releases.require_planned_releases(granted, client.get_claim(granted.claim).releases)  # none came between
    granted_blocks.require_all_committed(granted.blocks, committed)
    document = documents.Receipt(
        run_id=granted.run_id,
        claim=granted.claim,
        grant=digest,
        committed={block_id: common.budget_to_wire(amount) for block_id, amount in sorted(committed.items())},
        epsilon=epsilon,
        delta=granted.delta,
        spends=spends,
    )
    documents.write(document, receipt)
    price = committed[blocks[0].id]
    shown = budget_text.at_best_order(price, price=price, left=summary.left_amount(blocks[0]))
    public_log.say("committed", budget=shown, blocks=summary.number_of_blocks(len(committed)))


def _spends_of_run(
    granted: documents.Grant, spends: Sequence[documents.Spend], claim: PrivacyBudgetClaim
) -> tuple[documents.Spend, ...]:
    """Return the spends in the order of the plan: one of each step, of this claim, on the units that the step runs on.

    Without a plan, there must be one of each step that has registered, and their order is that of the names.

    Raises:
        BudgetExceeded: one is missing, of another claim, or ran on other units than planned.
    """
    steps, names = [spend.step for spend in spends], granted.plan.names or paid_releases.released_steps(claim)
    if sorted(steps) != sorted(names):
        raise errors.BudgetExceeded(
            f"spends: are of {', '.join(steps)}, not of {', '.join(names)}; pass the spend of each step"
        )
    for spend in spends:
        if spend.claim != granted.claim or granted.plan.part(spend.step) != spend.part:
            raise errors.BudgetExceeded(
                f"spend of {spend.step}: ran on {spend.part!r} for claim {spend.claim}, the grant is for "
                f"{granted.claim}; pass the spends of this run"
            )
    return tuple(sorted(spends, key=lambda spend: names.index(spend.step)))


if __name__ == "__main__":
    arguments.run_component(consume)
