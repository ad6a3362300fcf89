"""What a claim pays for, compared with what its run was approved for; every difference is refused.

The registrations of the claim, which the control plane keeps, are compared with the Grant, and the Grant with what the
control plane knows: its own registration, the budget that the claim holds, and what the blocks state.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from privatekube import errors
from privatekube.client import run_demand
from privatekube.privacy import arithmetic, budget, budget_text, event_text, plan
from privatekube.resources import bounds
from privatekube.resources.block import PrivateDataBlock
from privatekube.resources.claim import PrivacyBudgetClaim
from privatekube.resources.requests import RegisterRequest
from privatekube.resources.wire import common
from privatekube.steps import differences, documents

APPROVAL = plan.APPROVAL
"""The step whose registration is the digest of the Grant."""


def registration(spend: documents.Spend) -> RegisterRequest:
    """Return the registration of what a step released."""
    event = json.dumps(spend.event, separators=(",", ":"), sort_keys=True)
    return RegisterRequest(spend.step, spend.outputs, spend.inputs, event)


def ledger_text(spend: documents.Spend) -> str:
    """Return the text that describes a step's mechanism in the ledger, without the event where that is too long."""
    what = f"{spend.step} on {spend.part}"
    text = event_text.stated(what, spend.event)
    return text if len(text) <= bounds.NAME else what


def require_first_release(claim: PrivacyBudgetClaim, step: str) -> None:
    """Check, before noise is drawn, that the claim can pay for a release of `step`.

    Raises:
        BudgetExceeded: the step has released before, and that output is lost.
        BudgetUnavailable: the claim does not hold what it was granted.
    """
    if step in claim.releases:
        raise errors.BudgetExceeded(
            f"claim {claim.id}: {step} has released already, and what it released is not here; a second release is not "
            "paid for: start a new run"
        )
    if not claim.holds_its_grant:
        raise errors.BudgetUnavailable(
            f"claim {claim.id}: holds no budget, or not all it was granted, so {step} must not release; start a new run"
        )


def require_key_of_claim(granted: documents.Grant, claim: PrivacyBudgetClaim) -> None:
    """Check that a run seals what it releases to the key of its claim, or to none if the claim has none.

    Raises:
        BudgetExceeded: the Grant states another key, or none.
    """
    key = None if claim.status.sealing is None else claim.status.sealing.public
    differences.require_equal("sealing_key", granted.sealing_key, key)


def require_known_inputs(claim: PrivacyBudgetClaim, inputs: Sequence[str]) -> None:
    """Check that a step reads the Grant that was approved, and beside it only what was released under the claim.

    Args:
        claim: as the store has it.
        inputs: the digest of the Grant, then of the noisy inputs.

    Raises:
        BudgetExceeded: the Grant was changed or is of another claim, or an input was not released under this claim.
    """
    grant, *noisy = inputs
    approval = claim.releases.get(APPROVAL)
    if approval is None or approval.outputs != (grant,):
        raise errors.BudgetExceeded(
            f"grant: is not the one that was approved under claim {claim.id}; pass what allocate wrote"
        )
    released = {digest for step, release in claim.releases.items() if step != APPROVAL for digest in release.outputs}
    for digest in noisy:
        if digest not in released:
            raise errors.BudgetExceeded(
                f"input: one was not released under claim {claim.id}; pass the outputs of this run's earlier steps"
            )


def require_grant_of_claim(
    granted: documents.Grant, claim: PrivacyBudgetClaim, blocks: Sequence[PrivateDataBlock]
) -> None:
    """Check a Grant against what the claim holds, or has committed, and what its blocks state.

    Args:
        granted: the Grant.
        claim: as the store has it.
        blocks: the blocks of the Grant, as the store has them.

    Raises:
        BudgetExceeded: blocks, their data, budget, delta, privacy unit or contribution bound differ.
    """
    held = claim.status.acquired or claim.status.committed
    amounts = {block.id: common.budget_from_wire(block.budget) for block in granted.blocks}
    differences.require_equal("blocks", sorted(amounts), sorted(held))
    for block_id, amount in amounts.items():
        if amount is None or not arithmetic.is_close(amount, held[block_id]):
            raise differences.of(f"budget of {block_id}", *budget_text.differing(amount, held[block_id]))
        _require_price(granted, block_id, held[block_id])
    for stated in granted.blocks:
        block = next(known for known in blocks if known.id == stated.id)
        differences.require_equal(f"data of {block.id}", stated.uri, block.spec.data_source)
        differences.require_equal(f"digest of {block.id}", stated.digest, block.content_digest)
    unit, bound = run_demand.privacy_unit(blocks)
    differences.require_equal("unit", granted.unit, unit)
    differences.require_equal("max_contribution", granted.max_contribution, bound)


def released_steps(claim: PrivacyBudgetClaim) -> tuple[str, ...]:
    """Return the steps that have released something under a claim, by name."""
    return tuple(sorted(step for step in claim.releases if step != APPROVAL))


def require_planned_releases(granted: documents.Grant, releases: Mapping[str, RegisterRequest]) -> None:
    """Check that a claim's registrations are those of the Grant's plan: each step once, with its event and its inputs.

    A step reads the Grant and what earlier steps of the plan released. It releases one file: of two, either could be
    published as the one that was paid for. Without a plan, every step may read what any other one released.

    Args:
        granted: the Grant.
        releases: what was registered, by step.

    Raises:
        BudgetExceeded: a step is missing or unknown, ran another mechanism, released several files, or read something
            else than was planned.
    """
    if not granted.plan.steps:
        everything = {digest for release in releases.values() for digest in release.outputs}
        for name in releases.keys() - {APPROVAL}:
            _require_sound(name, releases, earlier=everything)
        return
    differences.require_equal("registered steps", sorted(releases), sorted((APPROVAL, *granted.plan.names)))
    earlier: set[str] = set()
    for step in granted.plan.steps:
        release = releases[step.name]
        differences.require_equal(f"event of {step.name}", json.loads(release.event or "null"), step.event)
        _require_sound(step.name, releases, earlier=earlier)
        earlier |= set(release.outputs)


def _require_sound(step: str, releases: Mapping[str, RegisterRequest], *, earlier: set[str]) -> None:
    """Check that a step released one file, and read the Grant and what is among `earlier` releases."""
    release = releases[step]
    differences.require_equal(f"number of outputs of {step}", len(release.outputs), 1)
    grant, *noisy = release.inputs or ("",)
    if (grant,) != releases[APPROVAL].outputs or not set(noisy) <= earlier:
        raise errors.BudgetExceeded(
            f"inputs of {step}: are not the Grant and what earlier steps released; nothing is published"
        )


def require_registered(spends: Sequence[documents.Spend], releases: Mapping[str, RegisterRequest]) -> None:
    """Check that the Spends state what was registered.

    Raises:
        BudgetExceeded: one states something else.
    """
    for spend in spends:
        if releases.get(spend.step) != registration(spend):
            raise errors.BudgetExceeded(
                f"spend of {spend.step}: is not what the step registered under claim {spend.claim}; "
                "pass the spends of this run"
            )


def _require_price(granted: documents.Grant, block_id: str, held: budget.PrivacyBudget) -> None:
    """Check that a block with an epsilon-delta budget holds the Grant's epsilon and delta."""
    if isinstance(held, budget.EpsilonDelta):
        for name, stated, value in (("epsilon", granted.epsilon, held.epsilon), ("delta", granted.delta, held.delta)):
            differences.require_close(f"{name} of {block_id}", stated, value)
