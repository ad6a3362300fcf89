"""The draft of a pass: what it has decided so far, and the changes that write it, in the order of `changes`.

Changes of blocks are staged here and added together, all of them before the next answer. A changed block that only
completes a lock is added last, if it does not change again before.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Container
from dataclasses import replace

from privatekube import errors
from privatekube.engine import changes, ledger_entries
from privatekube.engine.changes import Answer, Barrier, BlockChange, Change, LedgerEntry, SpecChange, Write
from privatekube.engine.journal import Journal
from privatekube.engine.world import World
from privatekube.resources import conditions, transitions
from privatekube.resources.block import PrivateDataBlock
from privatekube.resources.claim import ClaimStatus, PrivacyBudgetClaim
from privatekube.resources.refusals import Refusal
from privatekube.resources.request_id import RequestId
from privatekube.resources.responses import Detail, Response, ResponseState


class Draft:
    """Blocks by id and open claims by id, in order of creation, as the decisions so far leave them.

    Args:
        world: what the pass began with.
    """

    def __init__(self, world: World) -> None:
        self.world, self.now_ms = world, world.now_ms
        self.blocks, self.open_claims = dict(world.blocks), dict(world.open_claims)
        self._journal = Journal()
        self._closed_claims = dict(world.closed_claims)
        self._written = dict(world.blocks)
        """Blocks as the changes so far leave them."""
        self._staged: dict[str, bool] = {}
        """Ids of changed blocks that have no change yet, and whether they may wait for their next one."""
        self._newly_pending: dict[str, None] = {}
        """Ids of claims whose pending answer has no change yet."""
        self._changes: dict[int, Change] = {}
        self._places: dict[tuple[int, object], int] = {}
        """The places of the changes, by the place of the barrier before them and what they are of."""
        self._barrier = -1
        waiting = (claim for claim in world.open_claims.values() if _has_pending_answer(claim.status))
        self._waiting: dict[str, int] = dict(Counter(claim.meta.namespace for claim in waiting))
        """How many requests wait, by namespace."""

    def claim(self, claim_id: str) -> PrivacyBudgetClaim | None:
        """Return the claim with that id; None if it does not exist."""
        return self.open_claims.get(claim_id) or self._closed_claims.get(claim_id)

    def n_waiting(self, namespace: str) -> int:
        """Return how many requests of a namespace wait."""
        return self._waiting.get(namespace, 0)

    def is_readable(self, claim_id: str) -> bool:
        """Return whether the claim with that id can be read or does not exist; an unreadable one is left unchanged."""
        return claim_id not in self.world.unreadable_claims

    def stage_block(self, block: PrivateDataBlock, *, may_wait: bool = False) -> None:
        """Change a block's status; it is written before the next answer, or if `may_wait` with its next change.

        Raises:
            BudgetExceeded: its parts do not add up.
        """
        try:
            block = transitions.require_balance(block)
        except errors.BudgetExceeded as error:
            error.resource = errors.ResourceName("block", block.id)
            raise
        self._journal.put(self.blocks, block.id, block)
        self._journal.put(self._staged, block.id, may_wait and self._staged.get(block.id, True))

    def drop_block(self, block_id: str) -> None:
        """Remove a block from the pass."""
        self._journal.remove(self.blocks, block_id)
        self._journal.remove(self._staged, block_id)

    def drop_claim(self, claim_id: str) -> None:
        """Remove a claim from those that the pass has to look at."""
        claim = self.open_claims.get(claim_id)
        if claim is not None:
            self._journal.remove(self.open_claims, claim_id)
            self._journal.put(self._closed_claims, claim_id, claim)

    def add(self, change: Write) -> None:
        """Add a change, after all earlier ones of another type or of the same object.

        Of two answers to one claim with nothing in between, the second includes the first and replaces it.
        """
        key = changes.key(change)
        place = self._places.get((self._barrier, key))
        before = self._changes.get(len(self._changes) - 1)
        if place is not None and isinstance(change, Answer) and isinstance(before, Answer):
            self._journal.put(self._changes, place, change)
            return
        if place is not None or (before is not None and type(before) is not type(change)):
            self._barrier = len(self._changes)
            self._journal.put(self._changes, self._barrier, Barrier())
        self._journal.put(self._places, (self._barrier, key), len(self._changes))
        self._journal.put(self._changes, len(self._changes), change)

    def write_claim(self, claim: PrivacyBudgetClaim) -> PrivacyBudgetClaim:
        """Write a claim's status, and return the claim with its present conditions."""
        claim = conditions.update_claim(claim, now_ms=self.now_ms)
        self.add(Answer(claim))
        self._journal.put(self.open_claims, claim.id, claim)
        return claim

    def update_spec(self, claim: PrivacyBudgetClaim) -> None:
        """Write a claim's spec, for requests that the control plane appends itself."""
        self.add(SpecChange(claim))
        self._journal.put(self.open_claims, claim.id, claim)

    def locked_blocks(self, request_id: RequestId) -> list[PrivateDataBlock]:
        """Return the blocks that have a lock of a request."""
        blocks = self.blocks.values()
        return [block for block in blocks if block.status is not None and request_id in block.status.locks]

    def undo_locks(self, request_id: RequestId, *, except_on: Container[str] = frozenset()) -> None:
        """Revert what a request began on every block whose id is not in `except_on`."""
        for block in self.locked_blocks(request_id):
            if block.id not in except_on:
                self.stage_block(transitions.undo(block, request_id))

    def complete_locks(self, claim: PrivacyBudgetClaim, request_id: RequestId) -> None:
        """Finish what an answered request began on every block."""
        for block in self.locked_blocks(request_id):
            self.complete_lock(block, claim, request_id)

    def complete_lock(self, block: PrivateDataBlock, claim: PrivacyBudgetClaim, request_id: RequestId) -> None:
        """Finish what the lock of an answered request began; what it commits is entered in the ledger first."""
        entry = ledger_entries.commit_entry(block, claim, request_id, time_ms=self.now_ms)
        if entry is not None:
            self.add(LedgerEntry(entry))
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
        """Answer one request and return the claim; this change, together with its new `holdings`, is the decision.

        A pending answer is written at the end of the pass, if the request still waits then.
        """
        status = holdings or claim.status
        is_pending, namespace = response_state is ResponseState.PENDING, claim.meta.namespace
        now_waiting = self.n_waiting(namespace) + is_pending - _has_pending_answer(claim.status)
        self._journal.put(self._waiting, namespace, now_waiting)
        response = Response(claim.spec.requests[index].identifier, response_state, refusal, detail)
        responses = (*status.responses[:index], response)
        claim = replace(claim, status=replace(status, responses=responses))
        if is_pending:
            self._journal.put(self._newly_pending, claim.id, None)
            self._journal.put(self.open_claims, claim.id, claim)
            return claim
        self._write_blocks()
        claim = self.write_claim(claim)
        self._journal.remove(self._newly_pending, claim.id)
        if not claim.is_waiting:
            self.drop_claim(claim.id)
        return claim

    def finish(self) -> tuple[Change, ...]:
        """Return all changes; those that may wait come last."""
        self._write_blocks()
        for claim_id in sorted(self._newly_pending):
            self.write_claim(self.open_claims[claim_id])
        self._write_blocks(may_wait=True)
        return tuple(self._changes.values())

    def _write_blocks(self, *, may_wait: bool = False) -> None:
        """Add the changes of the staged blocks that must not wait, or of those that may."""
        for block_id in [block_id for block_id, waits in self._staged.items() if waits is may_wait]:
            self._journal.remove(self._staged, block_id)
            block = conditions.update_block(self.blocks[block_id], now_ms=self.now_ms)
            if block != self._written.get(block_id):
                self.add(BlockChange(block, may_wait))
                self._journal.put(self.blocks, block_id, block)
                self._journal.put(self._written, block_id, block)


def _has_pending_answer(status: ClaimStatus) -> bool:
    return bool(status.responses) and status.responses[-1].state is ResponseState.PENDING
