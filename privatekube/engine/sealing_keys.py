"""State the key of a claim: its public half when budget is granted, its private half once the claim has paid.

The private half is given to a claim that asks for it, see `ClaimSpec.opens_releases`. A claim that is settled because
its run failed does not ask: what it released stays sealed.
"""

from __future__ import annotations

from dataclasses import replace

from privatekube import errors
from privatekube.engine.draft import Draft
from privatekube.resources.claim import PrivacyBudgetClaim
from privatekube.resources.sealing_key import SealingKey


def of_grant(draft: Draft, claim: PrivacyBudgetClaim) -> SealingKey | None:
    """Return the key that a claim has after a grant, without its private half.

    Returns:
        None if the world has no secret, or if the claim was granted budget without a key by an earlier version: its
        steps may have released already what is not sealed.
    """
    secret = draft.world.sealing_secret
    if claim.status.sealing is not None or secret is None or claim.grants:
        return claim.status.sealing
    return SealingKey.of_claim(secret, claim.meta.uid).withheld


def give_requested(draft: Draft) -> None:
    """Give its private key to each claim that asks for it and has paid in an earlier pass."""
    for claim in list(draft.open_claims.values()):
        if claim.awaits_key and draft.world.sealing_secret is not None:
            with draft.isolated_claim(claim.id):
                _give(draft, claim, draft.world.sealing_secret)


def _give(draft: Draft, claim: PrivacyBudgetClaim, secret: bytes) -> None:
    key = SealingKey.of_claim(secret, claim.meta.uid)
    if claim.status.sealing != key.withheld:
        raise errors.CorruptData(
            f"claim {claim.id}: its key is not of the secret that the control plane has now, so what it released "
            "cannot be opened; restore the secret sealing-key from a backup"
        )
    draft.write_status(claim, replace(claim.status, sealing=key))
