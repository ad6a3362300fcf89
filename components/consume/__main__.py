"""Pay: check that what the steps used fits the Grant, commit it on every block, and write the Receipt."""

from __future__ import annotations

from collections.abc import Sequence

from privatekube import errors
from privatekube.client import connect
from privatekube.privacy import accounting, budget, budget_text, events, rounding
from privatekube.resources import summary
from privatekube.resources.wire import common
from privatekube.steps import arguments, documents, granted_blocks, interface, paid_releases, public_log


def consume(
    *,
    grant: interface.Artifact,
    spend: interface.Artifacts,
    receipt: interface.OutputArtifact,
) -> None:
    """Commit the Grant's budget on each of its blocks, or fail and leave the claim to the exit task.

    The releases that are registered with the claim must be those of the Grant's plan, and the Grant that of the claim.
    They compose as they ran: on disjoint parts of the units in parallel, all others in sequence. Together they must fit
    the Grant in the accounting of the blocks. The whole Grant is committed: it was planned to be used in full.

    Args:
        grant: from allocate.
        spend: from each step of the plan, in any order; given once for each.
        receipt: what was committed (JSON).
    """
    granted, digest = documents.read(documents.Grant, grant), documents.digest(grant.read_bytes())
    spends = _spends_of_run(granted, [documents.read(documents.Spend, path) for path in spend])
    with connect.connect() as client:
        claim = client.get_claim(granted.claim)
        blocks = [client.get_block(block.id) for block in granted.blocks]
        paid_releases.require_known_inputs(claim, (digest,))
        paid_releases.require_grant_of_claim(granted, claim, blocks)
        paid_releases.require_planned_releases(granted, claim.releases)
        paid_releases.require_registered(spends, claim.releases)
        epsilon = _epsilon_within_grant(granted, spends)
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


def _spends_of_run(granted: documents.Grant, spends: Sequence[documents.Spend]) -> tuple[documents.Spend, ...]:
    """Return the spends in the order of the plan: one of each step, of this claim, on the units that the step runs on.

    Raises:
        BudgetExceeded: one is missing, of another claim, or ran on other units than planned.
    """
    steps = [spend.step for spend in spends]
    if sorted(steps) != sorted(granted.plan.names):
        raise errors.BudgetExceeded(
            f"spends: are of {', '.join(steps)}, not of {', '.join(granted.plan.names)}; pass the spend of each step"
        )
    for spend in spends:
        if spend.claim != granted.claim or granted.plan.step(spend.step).part != spend.part:
            raise errors.BudgetExceeded(
                f"spend of {spend.step}: ran on {spend.part!r} for claim {spend.claim}, the grant is for "
                f"{granted.claim}; pass the spends of this run"
            )
    return tuple(sorted(spends, key=lambda spend: granted.plan.names.index(spend.step)))


def _epsilon_within_grant(granted: documents.Grant, spends: tuple[documents.Spend, ...]) -> float:
    """Return the epsilon of all `spends` together, by PLD, at the Grant's delta.

    Raises:
        BudgetExceeded: they cost more than what was granted of a block.
    """
    by_part = {
        part: tuple(events.from_json(spend.event) for spend in spends if spend.part == part)
        for part in ("all", *granted.plan.disjoint)
    }
    used = accounting.Composition(by_part["all"], tuple(by_part[part] for part in granted.plan.disjoint))
    epsilon = used.epsilon(granted.delta)
    for block in granted.blocks:
        bound = common.budget_from_wire(block.budget)
        if (
            bound is None
            or epsilon > granted.epsilon * (1 + rounding.RELATIVE_TOLERANCE)
            or not _fits(used, epsilon, bound)
        ):
            raise errors.BudgetExceeded(
                f"spend: epsilon {epsilon:.6g} at delta {granted.delta:.3g} is more than {block.id} grants ({bound}); "
                "nothing is published; the claim is settled by the exit task"
            )
    return epsilon


def _fits(used: accounting.Composition, epsilon: float, bound: budget.PrivacyBudget) -> bool:
    if isinstance(bound, budget.EpsilonDelta):
        return epsilon <= bound.epsilon * (1 + rounding.RELATIVE_TOLERANCE)
    costs = used.renyi(bound.orders).values
    return all(cost <= most * (1 + rounding.RELATIVE_TOLERANCE) for cost, most in zip(costs, bound.values, strict=True))


if __name__ == "__main__":
    arguments.run_component(consume)
