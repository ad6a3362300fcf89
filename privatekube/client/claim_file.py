"""A claim's manifest on disk."""

from __future__ import annotations

from pathlib import Path

from privatekube import config, errors
from privatekube.resources.claim import PrivacyBudgetClaim
from privatekube.resources.requests import AllocateRequest
from privatekube.resources.wire import claims


def read_claim(path: Path) -> tuple[PrivacyBudgetClaim, AllocateRequest]:
    """Read a claim's manifest and return the claim and its first allocate request.

    Raises:
        InvalidInput: the file cannot be read, is not a claim, or requests no budget.
    """
    claim = claims.from_wire(config.read_mapping(path))
    for request in claim.spec.requests:
        if isinstance(request.action, AllocateRequest):
            return claim, request.action
    raise errors.InvalidInput(f"{path}: has no allocateRequest; name a claim that requests budget")
