"""The changes that a pass decides, in the order in which they are written.

Two changes between which there is a barrier are written in their order: all before the barrier are stored before any
after it. Changes without a barrier in between are of different objects and do not depend on each other: they may be
written in any order, or at the same time.

Why a process may die between any two writes, and budget is neither lost nor spent twice:

1. The answer is the decision. The change of a claim that answers a request is one conditional write.
2. What an answer decides is locked on every block before the answer. Without the answer, the locks are finished or
   undone by a later pass; budget in a lock cannot be granted to another request.
3. What a request commits is entered in the ledger after its answer, and before its lock is completed. The identity of
   an entry follows from the lock, so a repetition enters nothing twice.
4. To complete a lock, or to undo it after a failure, may wait for the next change of its block: lock and answer
   together determine what remains to be done, and the budget stays in the lock until then.
5. A reservation is on the blocks before the answer that a request waits: without the answer it is made again, and the
   lock shows that the block has unlocked for it. Where a block has no room for the lock, the answer shows that, and the
   block unlocks after it: at most once, and not at all if the process dies in between. A failure shows that, too, where
   a lock did: it is written before the lock is undone.
6. Where the store refuses an answer, another one is decided, failure, by the same rules. If that is refused, too, the
   claim is annotated. A write that is still on its way names an older version, so it is refused, and a writer that
   would repeat it on the current version decides again where the annotation is another one. Without an answer, what was
   locked for a grant is given back then; if the annotation is refused as well, the locks stay.
7. What an approver decided is entered before the answer that it leads to. Without the answer, it is decided again, and
   the identity of its entry follows from the decision.
8. What was committed on the data of a block is recorded before the block is deleted. What claims still held there is in
   that record, too, and is entered in the ledger afterwards.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from privatekube import errors
from privatekube.resources.block import PrivateDataBlock
from privatekube.resources.claim import PrivacyBudgetClaim
from privatekube.resources.ledger import AnyEntry
from privatekube.resources.retired_data import RetiredData


@dataclass(frozen=True, slots=True)
class BlockChange:
    """A block's new status.

    Args:
        block: with the status.
        may_wait: whether it only completes what is decided, so that it may be written with the block's next change.
    """

    block: PrivateDataBlock
    may_wait: bool = False


@dataclass(frozen=True, slots=True)
class Answer:
    """A claim's new status: answers to requests, a settlement, a signed statement, or its key."""

    claim: PrivacyBudgetClaim


@dataclass(frozen=True, slots=True)
class LedgerEntry:
    """A new entry of the ledger."""

    entry: AnyEntry


@dataclass(frozen=True, slots=True)
class Retirement:
    """The record of what was committed on the data of a block that is deleted."""

    record: RetiredData


@dataclass(frozen=True, slots=True)
class Deletion:
    """The end of a block."""

    block: PrivateDataBlock


@dataclass(frozen=True, slots=True)
class Barrier:
    """All changes before it are stored before any after it."""


@dataclass(frozen=True, slots=True)
class SetAside:
    """What the pass found wrong with an object: the object, and what depends on it, stay as they are.

    Args:
        name: of the block or the claim.
        error: the reason, with its trace.
    """

    name: errors.ResourceName
    error: Exception


@dataclass(frozen=True, slots=True)
class Unsigned:
    """A claim awaits a statement, and none is signed for now.

    Args:
        claim_id: of the claim.
        error: the reason.
    """

    claim_id: str
    error: Exception


@dataclass(frozen=True, slots=True)
class Postponed:
    """A claim has more requests than one pass answers: another pass is due."""

    claim_id: str


Write = BlockChange | Answer | LedgerEntry | Retirement | Deletion
Note = SetAside | Unsigned | Postponed
"""What is not written, but to be told."""
Change = Write | Barrier | Note


def segments(changes: Iterable[Change]) -> Iterator[list[Write]]:
    """Yield the changes between two barriers, segment by segment."""
    segment: list[Write] = []
    for change in changes:
        if isinstance(change, Barrier):
            yield segment
            segment = []
        elif not isinstance(change, SetAside | Unsigned | Postponed):
            segment.append(change)
    if segment:
        yield segment


def key(change: Write) -> object:
    """Return what a change is of; changes of the same depend on each other."""
    match change:
        case BlockChange(block) | Deletion(block):
            return block.id
        case Answer(claim):
            return claim.id
        case LedgerEntry(entry):
            return entry.identity
        case Retirement(record):
            return record.dataset, record.digest
