"""The draft of a pass: what it has decided so far, and the changes that write it, in the order of `changes`.

Changes of blocks are staged here and added together, all of them before the next answer. A changed block that only
completes a lock is added last, if it does not change again before.

Whatever goes wrong while one object is decided is that object's: see `isolated`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace

from privatekube import errors
from privatekube.engine import ledger_entries
from privatekube.engine.change_list import ChangeList
from privatekube.engine.changes import (
    Answer,
    BlockChange,
    Change,
    LedgerEntry,
    Note,
    Postponed,
    SetAside,
    Write,
)
from privatekube.engine.journal import Journal
from privatekube.engine.status_room import StatusRoom
from privatekube.engine.world import World
from privatekube.errors import ResourceKind
from privatekube.resources import conditions, ledger, matching, transitions
from privatekube.resources.block import PrivateDataBlock
from privatekube.resources.block_index import BlockIndex
from privatekube.resources.claim import ClaimStatus, PrivacyBudgetClaim
from privatekube.resources.ledger import Entry
from privatekube.resources.refusals import Refusal
from privatekube.resources.request_id import LockId
from privatekube.resources.requests import AllocateRequest
from privatekube.resources.responses import Detail, ResponseState
from privatekube.resources.thresholds import Thresholds


class Draft:
    """Blocks by id and open claims by id, in order of creation, as the decisions so far leave them.

    Args:
        world: what the pass began with.
        thresholds: at which blocks are nearly exhausted; None to leave what their status says of that.
    """

    def __init__(self, world: World, thresholds: Thresholds | None = None) -> None:
        self._thresholds = thresholds
        self.world, self.now_ms = world, world.now_ms
        self.blocks, self.open_claims = dict(world.blocks), dict(world.open_claims)
        self._journal = Journal()
        self.obstructed_claims = dict(world.obstructed_claims)
        self.set_aside_blocks = dict(world.set_aside_blocks)
        self._set_aside_claims = set(world.set_aside_claims)
        self._closed_claims = dict(world.closed_claims)
        self._written = dict(world.blocks)
        """Blocks as the changes so far leave them."""
        self._due: dict[str, None] = {}
        self._deferred: dict[str, None] = {}
        """Ids of changed blocks that have no change yet; the latter may wait for their next one."""
        self._newly_pending: dict[str, None] = {}
        """Ids of claims whose pending answer has no change yet."""
        self._owed: dict[tuple[str, str], None] = {}
        """Ids of claims and blocks where the block unlocks for the claim's request after its pending answer."""
        self._changes = ChangeList(self._journal)
        known = (*world.open_claims.values(), *world.obstructed_claims.values())
        waiting = (claim for claim in known if _has_pending_answer(claim.status))
        self._waiting: dict[str, int] = dict(Counter(claim.meta.namespace for claim in waiting))
        """How many requests wait, by namespace."""
        self._notes: list[Note] = []
        self.room = StatusRoom()
        self._answered: dict[str, int] = {}
        """How many requests of each claim this pass has answered."""
        self._balanced: set[str] = set()
        """Ids of changed blocks whose parts were added up."""
        self._blocks_by_lock: dict[LockId, dict[str, None]] = {}
        """Ids of all blocks that have, or had in this pass, a lock of a request, in order of the blocks."""
        for block in world.blocks.values():
            for request_id in () if block.status is None else block.status.locks:
                self._blocks_by_lock.setdefault(request_id, {})[block.id] = None
        self._index = BlockIndex(world.blocks.values())
        self._staging: PrivateDataBlock | None = None
        """The block that is being changed, as it was before."""

    def claim(self, claim_id: str) -> PrivacyBudgetClaim | None:
        """Return the claim with that id; None if it does not exist."""
        claim = self.open_claims.get(claim_id) or self.obstructed_claims.get(claim_id)
        return claim or self._closed_claims.get(claim_id)

    def candidates(self, claim: PrivacyBudgetClaim, request: AllocateRequest) -> list[PrivateDataBlock]:
        """Return the blocks that a request of a claim is about, see `matching.candidates`."""
        near = self._index.near(request, claim.meta.namespace)
        return matching.candidates(
            request, claim.meta.namespace, [self.blocks[key] for key in near if key in self.blocks]
        )

    def n_waiting(self, namespace: str) -> int:
        """Return how many requests of a namespace wait."""
        return self._waiting.get(namespace, 0)

    def is_set_aside(self, claim_id: str) -> bool:
        """Return whether the claim with that id is left unchanged."""
        return claim_id in self._set_aside_claims

    def isolated_claim(self, claim_id: str) -> AbstractContextManager[None]:
        """Decide about one claim; see `_isolated`."""
        return self._isolated(errors.ResourceName(ResourceKind.CLAIM, claim_id))

    def isolated_block(self, block_id: str) -> AbstractContextManager[None]:
        """Decide about one block; see `_isolated`."""
        return self._isolated(errors.ResourceName(ResourceKind.BLOCK, block_id))

    @contextmanager
    def _isolated(self, name: errors.ResourceName) -> Iterator[None]:
        """Take back what the statements below have decided if they fail, and set the object aside that is at fault.

        That is the named object, or the block that they were changing if it was wrong before. Then no decision of this
        pass has changed the block, so none is lost with it.
        """
        mark = self._journal.mark()
        try:
            yield
        except Exception as error:  # noqa: BLE001 - whatever it is, it must not stop what is decided about others
            self._journal.roll_back(mark)
            block, self._staging = self._staging, None
            if block is not None and not _is_sound(block, now_ms=self.now_ms):
                name = errors.ResourceName(ResourceKind.BLOCK, block.id)
            self.set_aside(name, error)

    def set_aside(self, name: errors.ResourceName, error: Exception) -> None:
        """Leave an object as it is for the rest of the pass, and every claim that depends on a block."""
        self._notes.append(SetAside(name, error))
        claims: list[PrivacyBudgetClaim] = []
        if name.kind is ResourceKind.CLAIM:
            self._set_aside_claims.add(name.id)
            claims = [self.open_claims[name.id]] if name.id in self.open_claims else []
        elif name.id in self.blocks:
            block = self.set_aside_blocks[name.id] = self.blocks[name.id]
            self.drop_block(name.id)
            claims = [claim for claim in self.open_claims.values() if matching.depends_on(claim, block)]
            self.obstructed_claims |= {claim.id: claim for claim in claims}
        for claim in claims:
            del self.open_claims[claim.id]
            self._newly_pending.pop(claim.id, None)

    def may_answer(self, claim_id: str, most: int) -> bool:
        """Count an answer to a claim in this pass; if there were `most` already, postpone it to the next pass."""
        if self._answered.get(claim_id, 0) < most:
            self._answered[claim_id] = self._answered.get(claim_id, 0) + 1
            return True
        self.note(Postponed(claim_id))
        return False

    def note(self, note: Note) -> None:
        """Add a note to the changes, once."""
        if note not in self._notes:
            self._notes.append(note)

    def stage_block(self, block: PrivateDataBlock, *, may_wait: bool = False) -> None:
        """Change a block's status; it is written before the next answer, or if `may_wait` with its next change.

        Raises:
            BudgetExceeded: its parts do not add up.
        """
        before = self._staging = self.blocks[block.id]
        if block.id not in self._balanced or not transitions.has_same_parts(before, block):
            block = transitions.require_balance(block)
            self._balanced.add(block.id)
        is_due, is_deferred = block.id in self._due, block.id in self._deferred
        if not (is_due or is_deferred) or _has_moved(before, block):
            block = conditions.update_block(block, now_ms=self.now_ms, thresholds=self._thresholds)
        self._staging = None
        self._note_locks(before, block)
        self._journal.put(self.blocks, block.id, block)
        if may_wait and not is_due:
            self._journal.put(self._deferred, block.id, None)
        elif not is_due:
            self._journal.remove(self._deferred, block.id)
            self._journal.put(self._due, block.id, None)

    def _note_locks(self, before: PrivateDataBlock, after: PrivateDataBlock) -> None:
        """Note the locks that a transition added: they are the last ones, and hashing all of them takes longer."""
        old = {} if before.status is None else before.status.locks
        new = {} if after.status is None else after.status.locks
        for request_id in () if new is old else reversed(tuple(new)):
            if request_id in old:
                break
            self._blocks_by_lock.setdefault(request_id, {})[after.id] = None

    def drop_block(self, block_id: str) -> None:
        """Remove a block from the pass."""
        self._journal.remove(self.blocks, block_id)
        self._journal.remove(self._due, block_id)
        self._journal.remove(self._deferred, block_id)

    def drop_claim(self, claim_id: str) -> None:
        """Remove a claim from those that the pass has to look at."""
        claim = self.open_claims.get(claim_id)
        if claim is not None:
            self._journal.remove(self.open_claims, claim_id)
            self._journal.put(self._closed_claims, claim_id, claim)

    @property
    def entered(self) -> list[Entry]:
        """What this pass has entered in the ledger as committed so far."""
        return list(ledger.amounts(change.entry for change in self._changes.all() if isinstance(change, LedgerEntry)))

    def add(self, change: Write) -> None:
        """Add a change after those so far."""
        self._changes.add(change)

    def write_status(self, claim: PrivacyBudgetClaim, status: ClaimStatus) -> PrivacyBudgetClaim:
        """Write a claim's status after all changed blocks that must not wait; return the claim."""
        claim = self.with_status(claim, status)
        self._write_blocks()
        self.add(Answer(claim))
        self._journal.remove(self._newly_pending, claim.id)
        self._keep(claim)
        if not claim.is_open:
            self.drop_claim(claim.id)
        return claim

    def with_status(self, claim: PrivacyBudgetClaim, status: ClaimStatus) -> PrivacyBudgetClaim:
        """Return a claim with a new status, and the conditions that follow from it."""
        return conditions.update_claim(replace(claim, status=status), now_ms=self.now_ms)

    def _keep(self, claim: PrivacyBudgetClaim) -> None:
        claims = self.obstructed_claims if claim.id in self.obstructed_claims else self.open_claims
        before, namespace = claims.get(claim.id), claim.meta.namespace
        was_waiting = before is not None and _has_pending_answer(before.status)
        now_waiting = self.n_waiting(namespace) + _has_pending_answer(claim.status) - was_waiting
        self._journal.put(self._waiting, namespace, now_waiting)
        self._journal.put(claims, claim.id, claim)

    def locked_blocks(self, request_id: LockId) -> list[PrivateDataBlock]:
        """Return the blocks that have a lock of a request."""
        blocks = [self.blocks[key] for key in self._blocks_by_lock.get(request_id, ()) if key in self.blocks]
        return [block for block in blocks if block.status is not None and request_id in block.status.locks]

    def undo_locks(
        self, request_id: LockId, *, except_on: Container[str] = frozenset(), may_wait: bool = False
    ) -> None:
        """Revert what a request began on every block not in `except_on`; for `may_wait` see `stage_block`."""
        for block in self.locked_blocks(request_id):
            if block.id not in except_on:
                self.stage_block(transitions.undo(block, request_id), may_wait=may_wait)

    def complete_locks(self, claim: PrivacyBudgetClaim, request_id: LockId) -> None:
        """Finish what an answered request began on every block."""
        for block in self.locked_blocks(request_id):
            self.complete_lock(block, claim, request_id)

    def complete_lock(self, block: PrivateDataBlock, claim: PrivacyBudgetClaim | None, request_id: LockId) -> None:
        """Finish what a lock began; what it commits is entered in the ledger first. The claim is None if it is gone."""
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
        status = claim.answered(index, response_state, refusal=refusal, detail=detail, holdings=holdings).status
        if response_state is not ResponseState.PENDING:
            return self.write_status(claim, status)
        claim = self.with_status(claim, status)
        self._journal.put(self._newly_pending, claim.id, None)
        self._keep(claim)
        return claim

    def owe_unlocking(self, claim_id: str, block_id: str) -> None:
        """Let a block unlock for a claim's request once its pending answer is written."""
        self._journal.put(self._owed, (claim_id, block_id), None)

    def write_owed_answers(self) -> dict[str, int]:
        """Write the pending answers on which unlocking waits; return for how many of them each block unlocks."""
        owed = [(claim_id, block_id) for claim_id, block_id in self._owed if claim_id in self._newly_pending]
        self._owed.clear()
        for claim_id in dict.fromkeys(claim_id for claim_id, _ in owed):
            claim = self.open_claims[claim_id]
            self.write_status(claim, claim.status)
        return Counter(block_id for _, block_id in owed if block_id in self.blocks)

    def finish(self) -> tuple[Change, ...]:
        """Return all changes; those that may wait come last."""
        self._write_blocks()
        for claim_id in sorted(self._newly_pending):
            claim = self.open_claims[claim_id]
            self.write_status(claim, claim.status)
        self._write_blocks(may_wait=True)
        return (*self._changes.all(), *self._notes)

    def _write_blocks(self, *, may_wait: bool = False) -> None:
        """Add the changes of the staged blocks that must not wait, or of those that may."""
        staged = self._deferred if may_wait else self._due
        for block_id in list(staged):
            self._journal.remove(staged, block_id)
            block = self.blocks[block_id]
            if block != self._written.get(block_id):
                self.add(BlockChange(block, may_wait))
                self._journal.put(self._written, block_id, block)


def _is_sound(block: PrivateDataBlock, *, now_ms: int) -> bool:
    """Return whether a block can be changed at all."""
    try:
        conditions.update_block(transitions.require_balance(block), now_ms=now_ms)
    except Exception:  # noqa: BLE001 - whatever it is, the block is wrong
        return False
    return True


def _has_moved(before: PrivateDataBlock, after: PrivateDataBlock) -> bool:
    """Return whether a change altered what conditions depend on: what is left, or what is committed."""
    committed = transitions.status_of(before).committed is not transitions.status_of(after).committed
    return committed or transitions.left(after) != transitions.left(before)


def _has_pending_answer(status: ClaimStatus) -> bool:
    return bool(status.responses) and status.responses[-1].state is ResponseState.PENDING
