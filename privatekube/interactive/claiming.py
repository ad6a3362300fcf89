"""The life of a run's claim: obtain it, read its data, register its releases, and pay."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from privatekube import errors, plain_text
from privatekube.client import connect, run_demand
from privatekube.client.client import BudgetClient
from privatekube.data import any_block
from privatekube.data.any_block import AnyBlock
from privatekube.interactive.approval import Approval
from privatekube.interactive.payment import Chosen, Payment, Planned
from privatekube.interactive.terms import Terms
from privatekube.privacy import solving
from privatekube.privacy.adaptive import Allowance
from privatekube.privacy.budget import EpsilonDelta
from privatekube.privacy.plan import Plan
from privatekube.privacy.unit import PrivacyUnit
from privatekube.resources.block import PrivateDataBlock
from privatekube.resources.requests import AllocateRequest, RegisterRequest
from privatekube.resources.wire import common
from privatekube.steps import documents, granted_blocks, opened_blocks, paid_releases
from privatekube.storage import uris


@dataclass(frozen=True, slots=True)
class Obtained:
    """What a run has been granted.

    Args:
        approval: the claim, its blocks and what they protect.
        payment: how its mechanisms are paid.
    """

    approval: Approval
    payment: Payment


@dataclass(frozen=True, slots=True)
class Demand:
    """What a run requests of the blocks that match now.

    Args:
        unit: the privacy unit of all of them.
        max_contribution: how many records a unit has at most in a block.
        payment: how the mechanisms of the run are paid.
        request: the claim's request.
    """

    unit: PrivacyUnit
    max_contribution: int
    payment: Payment
    request: AllocateRequest


def demand_of(client: BudgetClient, terms: Terms, plan: Plan | None) -> Demand:
    """Return what a run requests.

    Raises:
        InvalidInput: fewer blocks match than requested, they have different units or accountings, or no noise meets
            the target of the plan.
    """
    wanted = run_demand.request_for(terms.dataset, terms.blocks, terms.conditions)
    blocks = client.matching_blocks(terms.namespace, wanted)
    unit, max_contribution = run_demand.privacy_unit(blocks)
    payment = _payment(terms, plan, blocks, max_contribution=max_contribution)
    request = run_demand.request_for(terms.dataset, terms.blocks, terms.conditions, payment.price)
    return Demand(unit, max_contribution, payment, request)


def _payment(terms: Terms, plan: Plan | None, blocks: Sequence[PrivateDataBlock], *, max_contribution: int) -> Payment:
    """Return how the mechanisms of a run are paid on these blocks: by its plan, or one after the other."""
    target = EpsilonDelta(terms.epsilon, terms.delta)
    if plan is None:
        return Chosen(Allowance.on(target, orders=run_demand.renyi_orders(blocks)))
    solved = solving.solve(plan, epsilon=terms.epsilon, delta=terms.delta, max_contribution=max_contribution)
    return Planned(solved, run_demand.price(solved.composition, target, blocks), terms.delta)


def obtain(client: BudgetClient, terms: Terms, plan: Plan | None, *, run_id: str) -> Obtained:
    """Claim budget, wait for it, and register what was approved; see `RunClient.claim` for what is raised."""
    demand = demand_of(client, terms, plan)
    claim = client.allocate(
        terms.namespace,
        connect.claim_name(run_id),
        demand.request,
        timeout_seconds=terms.timeout_seconds,
        settle_after_seconds=terms.settle_after_seconds,
        team=plain_text.stated(terms.team),
        purpose=plain_text.stated(terms.purpose),
        deadline=plain_text.stated(terms.deadline),
    )
    approval = Approval(
        run_id=run_id,
        claim=claim.id,
        epsilon=terms.epsilon,
        delta=terms.delta,
        unit=demand.unit,
        max_contribution=demand.max_contribution,
        blocks=granted_blocks.of_claim(client, claim),
        plan=documents.GrantedPlan.of(demand.payment.plan) if isinstance(demand.payment, Planned) else None,
    )
    client.register_release(claim.id, RegisterRequest(paid_releases.APPROVAL, (approval.digest,)))
    return Obtained(approval, demand.payment)


def checked_blocks(approval: Approval) -> list[AnyBlock]:
    """Fetch the blocks of a run and check them by their digests and by what is declared of them.

    Raises:
        CorruptData: a block is missing, or was altered.
        InvalidInput: the blocks are not of one kind, or of another unit.
    """
    contents = [
        any_block.decode(uris.read_bytes(block.uri), name=block.id, digest=block.digest) for block in approval.blocks
    ]
    opened_blocks.require_granted(contents, approval.unit)
    return contents


def require_payable(client: BudgetClient, approval: Approval, step: str) -> None:
    """Check, before noise is drawn, that the claim can pay for a release of `step`.

    Raises:
        BudgetExceeded: the step has released before.
        BudgetUnavailable: the claim does not hold what it was granted.
    """
    claim = client.get_claim(approval.claim)
    paid_releases.require_first_release(claim, step)
    paid_releases.require_known_inputs(claim, (approval.digest,))


def pay(
    client: BudgetClient, approval: Approval, spends: Sequence[documents.Spend], *, epsilon: float
) -> documents.Receipt:
    """Commit everything that a run's claim holds, and return the Receipt.

    Args:
        client: of the store of the claim.
        approval: of the run.
        spends: everything that the run released.
        epsilon: what that cost together, at the delta of the run.

    Raises:
        BudgetExceeded: something else was registered under the claim, or less was committed than granted.
    """
    _require_only(client, approval, spends)
    committed = client.consume(approval.claim, mechanisms=[paid_releases.ledger_text(spend) for spend in spends])
    _require_only(client, approval, spends)  # nothing came between
    granted_blocks.require_all_committed(approval.blocks, committed)
    return documents.Receipt(
        run_id=approval.run_id,
        claim=approval.claim,
        grant=approval.digest,
        committed={block_id: common.budget_to_wire(amount) for block_id, amount in sorted(committed.items())},
        epsilon=epsilon,
        delta=approval.delta,
        spends=tuple(spends),
    )


def _require_only(client: BudgetClient, approval: Approval, spends: Sequence[documents.Spend]) -> None:
    """Check that a claim's registrations are those of the run, and no more."""
    releases = client.get_claim(approval.claim).releases
    paid_releases.require_registered(spends, releases)
    unknown = sorted(set(releases) - {paid_releases.APPROVAL, *(spend.step for spend in spends)})
    if unknown:
        raise errors.BudgetExceeded(
            f"claim {approval.claim}: {unknown[0]} was registered under it by another program; nothing is published"
        )
