"""What a store says about a block, a claim or the policy; an error names what is missing."""

from __future__ import annotations

from collections.abc import Mapping

from privatekube import errors, validation
from privatekube.resources import matching
from privatekube.resources.block import PrivateDataBlock
from privatekube.resources.claim import PrivacyBudgetClaim
from privatekube.resources.requests import AllocateRequest
from privatekube.scheduling import policy
from privatekube.scheduling.policy import Policy
from privatekube.store.base import ResourceStore


def block(store: ResourceStore, block_id: str) -> PrivateDataBlock:
    """Return a block.

    Raises:
        NotFound: no such block exists.
    """
    validation.require_type("block_id", block_id, str)
    stored_block = store.get_block(block_id)
    if stored_block is None:
        raise errors.NotFound(f"block {block_id}: does not exist; see privatekube get blocks")
    return stored_block


def claim(store: ResourceStore, claim_id: str) -> PrivacyBudgetClaim:
    """Return a claim.

    Raises:
        NotFound: no such claim exists.
    """
    validation.require_type("claim_id", claim_id, str)
    stored_claim = store.get_claim(claim_id)
    if stored_claim is None:
        raise errors.NotFound(f"claim {claim_id}: does not exist; see privatekube get claims")
    return stored_claim


def matching_blocks(store: ResourceStore, namespace: str, request: AllocateRequest) -> list[PrivateDataBlock]:
    """Return the blocks of a namespace that a request could be granted on.

    Raises:
        InvalidInput: fewer match than the request needs, and the message has both numbers; or it is not a request.
    """
    validation.require_type("request", request, AllocateRequest)
    blocks = matching.candidates(request, namespace, store.list_blocks(namespace))
    matching.require_enough(request, len(blocks))
    return blocks


def policy_settings(store: ResourceStore) -> Mapping[str, str]:
    """Return the scheduling policy of a store as text; what is not set has its default."""
    settings = store.settings()
    return {**policy.DEFAULTS, **{name: settings[name] for name in policy.PARSERS if name in settings}}


def policy_of(store: ResourceStore) -> Policy:
    """Return the scheduling policy of a store."""
    return Policy.parse(policy_settings(store))
