"""Writes of status, each conditional on what was read, that stand a stranger's touch.

Whoever changes an object's labels, or appends a request, does not change what was decided: the write is then repeated
on the object as it is. Anything else that changed means that the decision must be made anew.
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
class Writer:
    """Writes to a store, and knows what was read of each object before."""

    store: ResourceStore
    now_ms: int
    _blocks: dict[str, PrivateDataBlock] = field(default_factory=dict)
    _claims: dict[str, PrivacyBudgetClaim] = field(default_factory=dict)

    def note(self, blocks: Iterable[PrivateDataBlock], claims: Iterable[PrivacyBudgetClaim]) -> None:
        """Remember objects as they were read or written."""
        self._blocks.update({block.id: block for block in blocks})
        self._claims.update({claim.id: claim for claim in claims})

    def is_written(self, block: PrivateDataBlock) -> bool:
        """Whether the block is stored as it is here."""
        return self._blocks.get(block.id) == block

    def block(self, block: PrivateDataBlock) -> PrivateDataBlock:
        """Write a block's status.

        Raises:
            Conflict: what it was decided by was changed.
        """
        written = self._written(conditions.of_block(block, now_ms=self.now_ms), self._block_again)
        self._blocks[block.id] = written
        return written

    def claim(self, claim: PrivacyBudgetClaim) -> PrivacyBudgetClaim:
        """Write a claim's status; the spec that comes back may have more requests than before.

        Raises:
            Conflict: what it was decided by was changed.
        """
        written = self._written(conditions.of_claim(claim, now_ms=self.now_ms), self._claim_again)
        self._claims[claim.id] = written
        return written

    def _written(self, resource: R, again: Callable[[R], R]) -> R:
        """Write a status; `again` gives the same on the object as it is by now, or raises Conflict."""
        for _ in range(_ATTEMPTS):
            try:
                return self.store.update_status(resource)
            except errors.Conflict:
                resource = again(resource)
            except errors.NotServed:  # says nothing about the resource
                raise
            except errors.Permanent as error:
                error.resource = f"{kinds.kind(resource)} {resource.id}"
                raise
        raise _changing(resource.id)

    def _block_again(self, block: PrivateDataBlock) -> PrivateDataBlock:
        before, now = self._blocks.get(block.id), self.store.get_block(block.id)
        if before is None or now is None or _same(before) != _same(now):
            raise _changing(block.id)
        return replace(block, meta=now.meta)

    def _claim_again(self, claim: PrivacyBudgetClaim) -> PrivacyBudgetClaim:
        before, now = self._claims.get(claim.id), self.store.get_claim(claim.id)
        decided = len(claim.status.responses)
        if before is None or now is None or _decisive(before, decided) != _decisive(now, decided):
            raise _changing(claim.id)
        return replace(claim, meta=now.meta, spec=now.spec)


def _same(block: PrivateDataBlock) -> tuple[object, ...]:
    return block.meta.uid, block.meta.is_deleted, block.spec, block.status


def _decisive(claim: PrivacyBudgetClaim, decided: int) -> tuple[object, ...]:
    """What the first answers of a claim were decided by."""
    spec = claim.spec
    return claim.meta.uid, claim.status, spec.requests[:decided], spec.data_opened, spec.settle_after


def _changing(resource: str) -> errors.Conflict:
    return errors.Conflict(f"{resource}: was changed meanwhile")
