"""What may change in a resource once it is created; an API server has the same rules in the kinds' definitions."""

from __future__ import annotations

from privatekube import errors
from privatekube.resources.block import PrivateDataBlock
from privatekube.resources.claim import PrivacyBudgetClaim
from privatekube.store import kinds
from privatekube.store.base import Resource


def require_allowed(before: Resource, after: Resource) -> None:
    """Check that an update takes nothing back that was decided or paid for.

    A block's budget, dataset, data source and dimensions stay. A claim's requests are only ever appended, because its
    answers and releases are of what it asked then, and data that was opened stays opened. Who requests it, and why,
    stays, and so does its deadline.

    Raises:
        InvalidInput: it changes one of them.
    """
    if isinstance(before, PrivateDataBlock) and isinstance(after, PrivateDataBlock):
        for name in ("initial_budget", "dataset", "data_source", "dimensions"):
            if getattr(after.spec, name) != getattr(before.spec, name):
                raise _refused(after, f"spec.{name} cannot be changed: create another block")
    if isinstance(before, PrivacyBudgetClaim) and isinstance(after, PrivacyBudgetClaim):
        if after.spec.requests[: len(before.spec.requests)] != before.spec.requests:
            raise _refused(after, "spec.requests is append-only: a request cannot be changed or removed")
        if before.spec.data_opened and not after.spec.data_opened:
            raise _refused(after, "spec.data_opened cannot be taken back: budget of opened data is consumed")
        if before.spec.requester != after.spec.requester:
            raise _refused(after, "who requests it, and why, cannot be changed: create another claim")
        if before.spec.deadline_ms != after.spec.deadline_ms:
            raise _refused(after, "spec.deadline cannot be changed: create another claim")


def _refused(resource: Resource, fault: str) -> errors.InvalidInput:
    return errors.InvalidInput(f"{kinds.name_of(resource)}: {fault}")
