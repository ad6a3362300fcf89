"""What one pass has read, and what it makes of it; every write is conditional and keeps the invariant.

Blocks change here first and are written together: all of them before an answer is, because the answer is the decision
and what it decides must be locked by then. What an answer leaves to complete may wait for the block's next write: a
crash loses nothing, since lock and answer say what is to be completed.
"""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import partial

from privatekube import errors
from privatekube.privacy import budget
from privatekube.privacy.budget import PrivacyBudget
from privatekube.reconcile import ledger_entries
from privatekube.reconcile.status_writer import Writer
from privatekube.resources import transitions
from privatekube.resources.block import PrivateDataBlock
from privatekube.resources.claim import ClaimStatus, PrivacyBudgetClaim
from privatekube.resources.responses import AllocateResponse, ConsumeResponse, ReleaseResponse, Response, ResponseState
from privatekube.store.base import ResourceStore

Detail = AllocateResponse | ConsumeResponse | ReleaseResponse


@dataclass
class State:
    """Blocks by id and open claims by id, in order of creation."""

    store: ResourceStore
    now_ms: int
    blocks: dict[str, PrivateDataBlock] = field(default_factory=dict)
    open_claims: dict[str, PrivacyBudgetClaim] = field(default_factory=dict)
    _unwritten: dict[str, bool] = field(default_factory=dict)
    """Changed blocks by id, and whether they may wait for their next change."""
    _unanswered: set[str] = field(default_factory=set)
    """Claims whose requests began to wait and were not told so."""
    _others: dict[str, PrivacyBudgetClaim | None] = field(default_factory=dict)
    """Claims that were looked up by id; None where there is none."""

    def __post_init__(self) -> None:
        self._writer = Writer(self.store, self.now_ms)
        self._writer.note(self.blocks.values(), self.open_claims.values())

    @classmethod
    def read(cls, store: ResourceStore, now_ms: int) -> State:
        """Read the claims that have an unanswered request, then all blocks.

        In this order a block that a store stops leaving out in between comes without the claims that waited for it,
        which is safe; in the other order they would come without the block.
        """
        claims = {claim.id: claim for claim in store.list_claims(open_only=True)}
        blocks = {block.id: block for block in store.list_blocks()}
        return cls(store, now_ms, blocks, claims)

    def claim(self, claim_id: str) -> PrivacyBudgetClaim | None:
        """The claim of that id, or None where it is gone."""
        found = self.open_claims.get(claim_id)
        if found is None and claim_id not in self._others:
            self._others[claim_id] = self.store.get_claim(claim_id)
            self._writer.note((), [each for each in [self._others[claim_id]] if each is not None])
        return found or self._others.get(claim_id)

    def can_read(self, claim_id: str) -> bool:
        """Whether the claim of that id can be read, if there is one; what cannot is left as it is."""
        try:
            self.claim(claim_id)
        except errors.NotServed:  # says nothing about the claim
            raise
        except errors.InvalidInput:
            return False
        return True

    def write_block(self, block: PrivateDataBlock, *, may_wait: bool = False) -> None:
        """Change a block's status; it is written with the next answer, or `may_wait` until it changes again.

        Raises:
            BudgetExceeded: its parts do not add up; nothing is written.
        """
        try:
            self.blocks[block.id] = transitions.require_balance(block)
        except errors.BudgetExceeded as error:
            error.resource = f"block {block.id}"
            raise
        self._unwritten[block.id] = may_wait and self._unwritten.get(block.id, True)

    def flush(self, *, completely: bool = False) -> None:
        """Write the changed blocks, `completely`: also those that may wait.

        Raises:
            Conflict: somebody else wrote one first.
        """
        due = [block_id for block_id, may_wait in self._unwritten.items() if completely or not may_wait]
        changed = [self.blocks[block_id] for block_id in due if not self._writer.is_written(self.blocks[block_id])]
        for written in self.store.concurrently([partial(self._writer.block, block) for block in changed]):
            self.blocks[written.id] = written
        for block_id in due:
            del self._unwritten[block_id]

    def finish(self, *, completely: bool = True) -> bool:
        """Write what is left to be written; whether, unless `completely`, something may wait."""
        self.flush(completely=completely)
        for claim_id in sorted(self._unanswered):
            self.open_claims[claim_id] = self._writer.claim(self.open_claims[claim_id])
        self._unanswered.clear()
        return bool(self._unwritten)

    def respecify(self, claim: PrivacyBudgetClaim) -> PrivacyBudgetClaim:
        """Write what a claim asks; for the control plane's own requests.

        Raises:
            Conflict: somebody else wrote it first.
        """
        written = self.store.update(claim)
        self._writer.note((), [written])
        self.open_claims[claim.id] = written
        return written

    def forget(self, block: PrivateDataBlock) -> None:
        """Go on without a block."""
        self.blocks.pop(block.id, None)
        self._unwritten.pop(block.id, None)

    def complete(self, block: PrivateDataBlock, claim: PrivacyBudgetClaim, request: str) -> None:
        """Finish what the lock of an answered request began; what is committed is entered in the ledger first."""
        entry = ledger_entries.committed(block, claim, request, self.now_ms)
        if entry is not None:
            self.store.append(entry)
        self.write_block(transitions.complete(block, claim.id, request), may_wait=True)

    def answer(
        self,
        claim: PrivacyBudgetClaim,
        index: int,
        state: ResponseState,
        *,
        error: str | None = None,
        detail: Detail | None = None,
        held: ClaimStatus | None = None,
    ) -> PrivacyBudgetClaim:
        """Answer one request, with the claim's new holdings: this write is the decision.

        That a request waits is only told at the end of the pass, if it does so then.
        """
        status = held or claim.status
        answer = Response(claim.spec.requests[index].identifier, state, error, detail)
        responses = (*status.responses[:index], answer)
        answered = replace(claim, status=replace(status, responses=responses))
        if state is ResponseState.PENDING:
            self._unanswered.add(claim.id)
            self.open_claims[claim.id] = answered
            return answered
        self.flush()
        written = self._writer.claim(answered)
        self._unanswered.discard(claim.id)
        if len(responses) == len(written.spec.requests):
            self.open_claims.pop(claim.id, None)
        else:
            self.open_claims[claim.id] = written
        self._others.pop(claim.id, None)
        return written


def locked_by(state: State, request: str) -> Iterator[PrivateDataBlock]:
    """The blocks that have a lock of that request."""
    for block in list(state.blocks.values()):
        if block.status is not None and request in block.status.locks:
            yield block


def undo_locks(state: State, claim: PrivacyBudgetClaim, request: str, *, but_on: Container[str] = frozenset()) -> None:
    """Take back what a request began on every block, `but_on` those."""
    for block in locked_by(state, request):
        if block.id not in but_on:
            state.write_block(transitions.undo(block, claim.id, request))


def plus(held: Mapping[str, PrivacyBudget], more: Mapping[str, PrivacyBudget]) -> dict[str, PrivacyBudget]:
    """Holdings by block id, with `more` added."""
    added = {key: held[key] + amount if key in held else amount for key, amount in more.items()}
    return {**held, **added}


def minus(held: Mapping[str, PrivacyBudget], less: Mapping[str, PrivacyBudget]) -> dict[str, PrivacyBudget]:
    """Holdings by block id, with `less` taken away; what is left of float rounding leaves the map."""
    left = {key: amount - less[key] if key in less else amount for key, amount in held.items()}
    return {
        key: amount
        for key, amount in left.items()
        if key not in less or not budget.is_negligible(amount, capacity=held[key])
    }
