"""Conditional writes of status that tolerate unrelated concurrent changes.

A change of an object's labels, or one more request in a claim, does not affect what was decided: the write is repeated
on the current version of the object. After any other change the decision has to be made again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace

from privatekube import errors
from privatekube.resources import conditions
from privatekube.resources.block import PrivateDataBlock
from privatekube.resources.claim import PrivacyBudgetClaim
from privatekube.store import kinds
from privatekube.store.base import R, ResourceStore

_ATTEMPTS = 12


@dataclass
class StatusWriter:
    """Writes statuses to a store, and remembers the version of each object that a decision was based on."""

    store: ResourceStore
    now_ms: int
    _blocks: dict[str, PrivateDataBlock] = field(default_factory=dict)
    _claims: dict[str, PrivacyBudgetClaim] = field(default_factory=dict)

    def remember_blocks(self, blocks: Iterable[PrivateDataBlock]) -> None:
        """Remember blocks that were just read or written."""
        self._blocks.update({block.id: block for block in blocks})

    def remember_claims(self, claims: Iterable[PrivacyBudgetClaim]) -> None:
        """Remember claims that were just read or written."""
        self._claims.update({claim.id: claim for claim in claims})

    def is_written(self, block: PrivateDataBlock) -> bool:
        """Return whether the block equals the stored one."""
        return self._blocks.get(block.id) == block

    def write_block(self, block: PrivateDataBlock) -> PrivateDataBlock:
        """Write a block's status and return the block as stored.

        Raises:
            Conflict: what the decision was based on has changed.
        """
        written = self._write(conditions.update_block(block, now_ms=self.now_ms), self._rebase_block)
        self._blocks[block.id] = written
        return written

    def write_claim(self, claim: PrivacyBudgetClaim) -> PrivacyBudgetClaim:
        """Write a claim's status and return the claim as stored, which may have more requests than before.

        Raises:
            Conflict: what the decision was based on has changed.
        """
        written = self._write(conditions.update_claim(claim, now_ms=self.now_ms), self._rebase_claim)
        self._claims[claim.id] = written
        return written

    def _write(self, resource: R, rebase: Callable[[R], R]) -> R:
        """Write a status; after a conflict, on the current version that `rebase` returns, which raises Conflict."""
        for _ in range(_ATTEMPTS):  # without a pause: after a conflict the other write is already complete
            try:
                return self.store.update_status(resource)
            except errors.Conflict:
                resource = rebase(resource)
            except errors.NotServed:  # not caused by the resource
                raise
            except errors.Permanent as error:
                error.resource = kinds.name_of(resource)
                raise
        raise _conflict(resource.id)

    def _rebase_block(self, block: PrivateDataBlock) -> PrivateDataBlock:
        before, current = self._blocks.get(block.id), self.store.get_block(block.id)
        if before is None or current is None or _relevant_to_block(before) != _relevant_to_block(current):
            raise _conflict(block.id)
        return replace(block, meta=current.meta)

    def _rebase_claim(self, claim: PrivacyBudgetClaim) -> PrivacyBudgetClaim:
        before, current = self._claims.get(claim.id), self.store.get_claim(claim.id)
        n_answered = len(claim.status.responses)
        if before is None or current is None:
            raise _conflict(claim.id)
        if _relevant_to_claim(before, n_answered) != _relevant_to_claim(current, n_answered):
            raise _conflict(claim.id)
        return replace(claim, meta=current.meta, spec=current.spec)


def _relevant_to_block(block: PrivateDataBlock) -> tuple[object, ...]:
    """Return what decisions about a block depend on."""
    return block.meta.uid, block.meta.is_deleted, block.spec, block.status


def _relevant_to_claim(claim: PrivacyBudgetClaim, n_answered: int) -> tuple[object, ...]:
    """Return what the first `n_answered` answers of a claim depend on."""
    spec = claim.spec
    return claim.meta.uid, claim.status, spec.requests[:n_answered], spec.data_opened, spec.settle_after


def _conflict(resource_id: str) -> errors.Conflict:
    return errors.Conflict(f"{resource_id}: another writer changed it meanwhile; run another pass")
