"""The state of one pass: what it has read and changed. Every write is conditional and keeps the invariant.

Changes of blocks are staged here and written together, all of them before the next answer: the answer is the decision,
and what it decides must be locked by then. Completing a lock after its answer may wait for the block's next write. A
crash loses nothing, since lock and answer together determine what remains to be completed.
"""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import partial

from privatekube import errors
from privatekube.privacy import budget
from privatekube.privacy.budget import PrivacyBudget
from privatekube.reconcile import ledger_entries
from privatekube.reconcile.status_writer import StatusWriter
from privatekube.resources import transitions
from privatekube.resources.block import PrivateDataBlock
from privatekube.resources.claim import ClaimStatus, PrivacyBudgetClaim
from privatekube.resources.refusals import Refusal
from privatekube.resources.request_id import RequestId
from privatekube.resources.responses import Detail, Response, ResponseState
from privatekube.store import kinds
from privatekube.store.base import ResourceStore


@dataclass
class PassState:
    """Blocks by id and open claims by id, in order of creation."""

    store: ResourceStore
    now_ms: int
    blocks: dict[str, PrivateDataBlock] = field(default_factory=dict)
    open_claims: dict[str, PrivacyBudgetClaim] = field(default_factory=dict)
    _staged: dict[str, bool] = field(default_factory=dict)
    """Ids of changed blocks that are not written yet, and whether they may wait for their next change."""
    _newly_pending: set[str] = field(default_factory=set)
    """Ids of claims whose pending answer is not written yet."""
    _closed_claims: dict[str, PrivacyBudgetClaim | None] = field(default_factory=dict)
    """Claims without an open request that were looked up by id; None if the claim does not exist."""

    def __post_init__(self) -> None:
        self._writer = StatusWriter(self.store, self.now_ms)
        self._writer.remember_blocks(self.blocks.values())
        self._writer.remember_claims(self.open_claims.values())

    @classmethod
    def read(cls, store: ResourceStore, now_ms: int) -> PassState:
        """Read the claims that have an unanswered request, then all blocks.

        In this order, a block that the store makes readable again in between comes without the claims that waited for
        it, which is safe; in the other order the claims would come without the block.
        """
        claims = {claim.id: claim for claim in store.list_claims(open_only=True)}
        blocks = {block.id: block for block in store.list_blocks()}
        return cls(store, now_ms, blocks, claims)

    def claim(self, claim_id: str) -> PrivacyBudgetClaim | None:
        """Return the claim with that id; None if it does not exist."""
        claim = self.open_claims.get(claim_id)
        if claim is None and claim_id not in self._closed_claims:
            self._closed_claims[claim_id] = closed_claim = self.store.get_claim(claim_id)
            if closed_claim is not None:
                self._writer.remember_claims([closed_claim])
        return claim or self._closed_claims.get(claim_id)

    def is_readable(self, claim_id: str) -> bool:
        """Return whether the claim with that id can be read or does not exist; an unreadable one is left unchanged."""
        try:
            self.claim(claim_id)
        except errors.NotServed:  # says nothing about the claim
            raise
        except errors.InvalidInput:
            return False
        return True

    def stage_block(self, block: PrivateDataBlock, *, may_wait: bool = False) -> None:
        """Change a block's status; it is written before the next answer, or if `may_wait` with its next change.

        Raises:
            BudgetExceeded: its parts do not add up; nothing is written.
        """
        try:
            self.blocks[block.id] = transitions.require_balance(block)
        except errors.BudgetExceeded as error:
            error.resource = kinds.name_of(block)
            raise
        self._staged[block.id] = may_wait and self._staged.get(block.id, True)

    def drop_block(self, block: PrivateDataBlock) -> None:
        """Remove a block from the pass."""
        self.blocks.pop(block.id, None)
        self._staged.pop(block.id, None)

    def flush(self, *, completely: bool = False) -> None:
        """Write the changed blocks; if `completely`, also those that may wait.

        Raises:
            Conflict: another writer changed one first.
        """
        due = [block_id for block_id, may_wait in self._staged.items() if completely or not may_wait]
        changed = [self.blocks[block_id] for block_id in due if not self._writer.is_written(self.blocks[block_id])]
        for written in self.store.concurrently([partial(self._writer.write_block, block) for block in changed]):
            self.blocks[written.id] = written
        for block_id in due:
            del self._staged[block_id]

    def finish(self, *, completely: bool = True) -> bool:
        """Write what is still unwritten; return whether changes were left to a later pass, none if `completely`."""
        self.flush(completely=completely)
        for claim_id in sorted(self._newly_pending):
            self.open_claims[claim_id] = self._writer.write_claim(self.open_claims[claim_id])
        self._newly_pending.clear()
        return bool(self._staged)

    def write_claim(self, claim: PrivacyBudgetClaim) -> None:
        """Write a claim's status, where that answers no request.

        Raises:
            Conflict: another writer changed it first.
        """
        self.open_claims[claim.id] = self._writer.write_claim(claim)

    def update_spec(self, claim: PrivacyBudgetClaim) -> PrivacyBudgetClaim:
        """Write a claim's spec, for requests that the control plane appends itself; return the claim as stored.

        Raises:
            Conflict: another writer changed it first.
        """
        written = self.store.update(claim)
        self._writer.remember_claims([written])
        self.open_claims[claim.id] = written
        return written

    def complete_lock(self, block: PrivateDataBlock, claim: PrivacyBudgetClaim, request_id: RequestId) -> None:
        """Finish what the lock of an answered request began; what it commits is entered in the ledger first."""
        entry = ledger_entries.commit_entry(block, claim, request_id, time_ms=self.now_ms)
        if entry is not None:
            self.store.append(entry)
        self.stage_block(transitions.complete(block, request_id), may_wait=True)

    def answer(
        self,
        claim: PrivacyBudgetClaim,
        index: int,
        response_state: ResponseState,
        *,
        refusal: Refusal | None = None,
        detail: Detail | None = None,
        holdings: ClaimStatus | None = None,
    ) -> PrivacyBudgetClaim:
        """Answer one request and return the claim; this write, together with its new `holdings`, is the decision.

        A pending answer is written at the end of the pass, if the request still waits then.
        """
        status = holdings or claim.status
        response = Response(claim.spec.requests[index].identifier, response_state, refusal, detail)
        responses = (*status.responses[:index], response)
        claim = replace(claim, status=replace(status, responses=responses))
        if response_state is ResponseState.PENDING:
            self._newly_pending.add(claim.id)
            self.open_claims[claim.id] = claim
            return claim
        self.flush()
        written = self._writer.write_claim(claim)
        self._newly_pending.discard(claim.id)
        if len(responses) == len(written.spec.requests):
            self.open_claims.pop(claim.id, None)
        else:
            self.open_claims[claim.id] = written
        self._closed_claims.pop(claim.id, None)
        return written


def blocks_locked_by(state: PassState, request_id: RequestId) -> Iterator[PrivateDataBlock]:
    """Yield the blocks that have a lock of a request."""
    for block in list(state.blocks.values()):
        if block.status is not None and request_id in block.status.locks:
            yield block


def complete_locks(state: PassState, claim: PrivacyBudgetClaim, request_id: RequestId) -> None:
    """Finish what an answered request began on every block."""
    for block in blocks_locked_by(state, request_id):
        state.complete_lock(block, claim, request_id)


def undo_locks(state: PassState, request_id: RequestId, *, except_on: Container[str] = frozenset()) -> None:
    """Revert what a request began on every block whose id is not in `except_on`."""
    for block in blocks_locked_by(state, request_id):
        if block.id not in except_on:
            state.stage_block(transitions.undo(block, request_id))


def plus(amounts: Mapping[str, PrivacyBudget], more: Mapping[str, PrivacyBudget]) -> dict[str, PrivacyBudget]:
    """Return amounts by block id with `more` added."""
    sums = {key: amounts[key] + amount if key in amounts else amount for key, amount in more.items()}
    return {**amounts, **sums}


def minus(amounts: Mapping[str, PrivacyBudget], less: Mapping[str, PrivacyBudget]) -> dict[str, PrivacyBudget]:
    """Return amounts by block id with `less` subtracted, without those that are zero up to float rounding."""
    remainders = {key: amount - less[key] if key in less else amount for key, amount in amounts.items()}
    return {
        key: amount
        for key, amount in remainders.items()
        if key not in less or not budget.is_negligible(amount, capacity=amounts[key])
    }
