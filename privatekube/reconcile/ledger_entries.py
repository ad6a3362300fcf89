"""What the ledger is told: what requests committed, and what claims held on a block that was deleted."""

from __future__ import annotations

from collections.abc import Iterator

from privatekube.resources import ledger, transitions
from privatekube.resources.block import LockState, PrivateDataBlock
from privatekube.resources.claim import PrivacyBudgetClaim
from privatekube.resources.ledger import Entry
from privatekube.resources.requests import ConsumeRequest


def committed(block: PrivateDataBlock, claim: PrivacyBudgetClaim, request: str, time_ms: int) -> Entry | None:
    """What a consume request commits on a block by its lock there; None where it commits nothing."""
    lock = transitions.status_of(block).locks.get(request)
    if lock is None or lock.acquired is None or lock.state is not LockState.COMMITTING:
        return None
    action = claim.spec.requests[int(request.rpartition("/")[2])].action
    mechanisms = action.mechanisms if isinstance(action, ConsumeRequest) else ()
    where = (block.spec.dataset, ledger.data_key(block), block.id)
    identity = _identity(block, lock.owner, request)
    return Entry(identity, time_ms, *where, claim.id, request, lock.acquired, ledger.CONSUMED, mechanisms)


def unsettled(block: PrivateDataBlock, time_ms: int) -> Iterator[Entry]:
    """What claims hold on a block that is about to be deleted: it counts as committed from here on."""
    if block.status is None:
        return
    where = (block.spec.dataset, ledger.data_key(block), block.id)
    for claim, amount in block.status.acquired.items():
        identity = f"{block.meta.uid}/{ledger.UNSETTLED}/{claim}"
        yield Entry(identity, time_ms, *where, claim, None, amount, ledger.UNSETTLED)
    for request, lock in transitions.unfinished_locks(block).items():
        claim, _, _ = request.rpartition("/")
        if lock.acquired is not None:
            identity = _identity(block, lock.owner, request)
            yield Entry(identity, time_ms, *where, claim, request, lock.acquired, ledger.UNSETTLED)


def _identity(block: PrivateDataBlock, owner: str | None, request: str) -> str:
    return f"{block.meta.uid}/{owner}/{request}"
