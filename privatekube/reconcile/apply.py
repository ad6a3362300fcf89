"""Write the changes of a pass, with conditional writes that tolerate unrelated concurrent changes.

A change of an object's labels, or one more request in a claim, does not affect what was decided: the write is repeated
on the current version of the object, and the request is answered in the next pass. After any other change the decision
has to be made again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial

from privatekube import errors
from privatekube.engine import changes as decided
from privatekube.engine.changes import Answer, BlockChange, Change, Deletion, LedgerEntry, Retirement, Write
from privatekube.engine.world import World
from privatekube.errors import ResourceKind
from privatekube.resources.block import PrivateDataBlock
from privatekube.resources.claim import PrivacyBudgetClaim
from privatekube.resources.meta import REFUSED_VERSION
from privatekube.store.base import R, ResourceStore

_ATTEMPTS = 12


@dataclass(frozen=True, slots=True)
class Applied:
    """What became of the changes.

    Args:
        has_unwritten: whether some were left to a later pass, which are those that may wait.
        has_new_requests: whether a claim that was written had more requests than the pass had read.
    """

    has_unwritten: bool
    has_new_requests: bool


def apply(store: ResourceStore, world: World, changes: Iterable[Change], *, completely: bool = True) -> Applied:
    """Write the changes.

    Args:
        store: what `world` was read from.
        world: what the changes were decided on.
        changes: what `run_pass` returned.
        completely: whether to write also those that may wait.

    Raises:
        Conflict: another writer changed what a change was decided on.
        NotFound: somebody deleted it.
        Permanent: the store refuses a change; the error names the object whose change it is, and has the errors of the
            other changes that were to be written at the same time. No change after them is written.
    """
    writer = _Writer(store, world)
    n_left = 0
    for segment in decided.segments(changes):
        due = [change for change in segment if completely or not (isinstance(change, BlockChange) and change.may_wait)]
        n_left += len(segment) - len(due)
        store.concurrently([partial(writer.write_all, part) for part in _independent(due)])
        writer.require_accepted()
    return Applied(n_left > 0, writer.has_new_requests)


def _independent(segment: Sequence[Write]) -> list[list[Write]]:
    """Return the changes of a segment in parts that are written at the same time.

    Entries of the ledger are one part, because each is chained to the one before.
    """
    entries: list[Write] = [change for change in segment if isinstance(change, LedgerEntry)]
    others: list[list[Write]] = [[change] for change in segment if not isinstance(change, LedgerEntry)]
    return [*others, entries] if entries else others


class _Writer:
    """Writes changes, and remembers the version of each object that the next decision on it was based on."""

    def __init__(self, store: ResourceStore, world: World) -> None:
        self._store = store
        self._blocks = dict(world.blocks)
        self._claims = {**world.closed_claims, **world.open_claims, **world.obstructed_claims}
        self._refused: list[errors.Permanent] = []
        self.has_new_requests = False

    def write_all(self, changes: Iterable[Write]) -> None:
        """Write changes one after another; one that the store refuses does not keep it from the others."""
        for change in changes:
            self._write(change)

    def require_accepted(self) -> None:
        """Check that the store has refused no change.

        Raises:
            Permanent: it has; the error has those of the other changes.
        """
        if self._refused:
            first, *others = self._refused
            first.others = tuple(others)
            raise first

    def _write(self, change: Write) -> None:
        try:
            self._write_change(change)
        except errors.NotServed:  # not caused by the object
            raise
        except errors.NotFound as error:  # somebody deleted the object: the pass is decided again
            error.resource = _object_of(change)
            raise
        except errors.Permanent as error:
            error.resource = _object_of(change)
            self._refused.append(error)

    def _write_change(self, change: Write) -> None:
        match change:
            case BlockChange(block):
                block = replace(block, meta=self._blocks[block.id].meta)
                self._blocks[block.id] = self._write_status(block, self._rebase_block)
            case Answer(claim):
                claim = replace(claim, meta=self._claims[claim.id].meta)
                written = self._claims[claim.id] = self._write_status(claim, self._rebase_claim)
                self.has_new_requests |= len(written.spec.requests) > len(claim.spec.requests)
            case LedgerEntry(entry):
                self._store.append(entry)
            case Retirement(record):
                self._store.retire(record)
            case Deletion(block):
                self._store.delete(replace(block, meta=self._blocks[block.id].meta))

    def _write_status(self, resource: R, rebase: Callable[[R], R]) -> R:
        """Write a status; after a conflict, on the current version that `rebase` returns, which raises Conflict."""
        for _ in range(_ATTEMPTS):  # without a pause: after a conflict the other write is already complete
            try:
                return self._store.update_status(resource)
            except errors.Conflict:
                resource = rebase(resource)
        raise _conflict(resource.id)

    def _rebase_block(self, block: PrivateDataBlock) -> PrivateDataBlock:
        before, current = self._blocks[block.id], self._store.get_block(block.id)
        if current is None or _relevant_to_block(before) != _relevant_to_block(current):
            raise _conflict(block.id)
        return replace(block, meta=current.meta)

    def _rebase_claim(self, claim: PrivacyBudgetClaim) -> PrivacyBudgetClaim:
        before, current = self._claims[claim.id], self._store.get_claim(claim.id)
        n_answered = len(claim.status.responses)
        if current is None or _relevant_to_claim(before, n_answered) != _relevant_to_claim(current, n_answered):
            raise _conflict(claim.id)
        return replace(claim, meta=current.meta, spec=current.spec)


def _object_of(change: Write) -> errors.ResourceName:
    """Return the object that is set aside if a change cannot be written."""
    match change:
        case BlockChange(block) | Deletion(block):
            return errors.ResourceName(ResourceKind.BLOCK, block.id)
        case Retirement(record):
            return errors.ResourceName(ResourceKind.BLOCK, record.block_id)
        case Answer(claim):
            return errors.ResourceName(ResourceKind.CLAIM, claim.id)
        case LedgerEntry(entry):
            return errors.ResourceName(ResourceKind.CLAIM, entry.claim)


def _relevant_to_block(block: PrivateDataBlock) -> tuple[object, ...]:
    """Return what decisions about a block depend on."""
    return block.meta.uid, block.meta.is_deleted, block.spec, block.status


def _relevant_to_claim(claim: PrivacyBudgetClaim, n_answered: int) -> tuple[object, ...]:
    """Return what the first `n_answered` answers of a claim depend on.

    The annotation is one of it: with it, what was locked for an answer may have been given back.
    """
    spec, refused = claim.spec, claim.meta.annotations.get(REFUSED_VERSION)
    return claim.meta.uid, refused, claim.status, spec.requests[:n_answered], spec.data_opened, spec.settle_after


def _conflict(resource_id: str) -> errors.Conflict:
    return errors.Conflict(f"{resource_id}: another writer changed it meanwhile; run another pass")
