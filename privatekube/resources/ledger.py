"""The ledger: an entry for each amount that was committed on a block's data, and for each decision of an approver.

An entry's digest covers the entry and the digest before it. So no entry can be changed, removed or inserted unless all
later digests change. If the latest digest is also kept elsewhere, a ledger that was rewritten as a whole is detected.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import TypeVar

from privatekube import errors
from privatekube.privacy.budget import PrivacyBudget
from privatekube.resources import request_id
from privatekube.resources.approval_record import ApprovalRecord
from privatekube.resources.block import PrivateDataBlock
from privatekube.resources.decision_entry import RECORD, DecisionEntry
from privatekube.resources.request_id import LockId
from privatekube.resources.requester import Requester
from privatekube.resources.wire import common
from privatekube.resources.wire.common import Json
from privatekube.resources.wire.reader import Reader

GENESIS = "sha256:" + "0" * 64
"""The digest to which the first entry is chained."""

BY_NAME = "name:"
"""How the key of data begins whose owner states no digest."""
CONSUMED, UNSETTLED, OPENING, INHERITED = "consumed", "unsettled", "opening", "inherited"


@dataclass(frozen=True, slots=True)
class Entry:
    """One committed amount.

    Args:
        identity: equal for every repetition of the same commit, so that it is entered once.
        time_ms: when it was entered, unix milliseconds.
        dataset: of the block.
        data: the key of the data, independent of the block that holds it; see `data_key`.
        block: id of the block, `namespace/name`.
        claim: id of the claim.
        request: id of the request; None where no request committed it.
        amount: what was committed.
        reason: `consumed`; `unsettled`: held by a claim when the block was deleted, or stated by none of its parts;
            `opening`: before the ledger; `inherited`: committed on other blocks that had the same records, see
            `transitions.INHERITED`.
        mechanisms: the mechanisms that ran for it, as the claimant stated.
        claim_uid: tells the claim from others of its name; None where it is not known.
        requester: who requested the budget, and why, as the claim says.
        approvals: who approved its grants on the block, where that was necessary.
        sequence: position in the ledger, from 1; 0 before it is entered.
        digest: of this entry and all before it; empty before it is entered.
    """

    identity: str
    time_ms: int
    dataset: str
    data: str
    block: str
    claim: str
    request: LockId | None
    amount: PrivacyBudget
    reason: str
    mechanisms: tuple[str, ...] = ()
    claim_uid: str | None = None
    requester: Requester = field(default_factory=Requester)
    approvals: tuple[ApprovalRecord, ...] = ()
    sequence: int = 0
    digest: str = ""

    def to_json(self) -> Json:
        """Return the entry as JSON, without its digest."""
        return common.present(
            {
                "sequence": self.sequence,
                "identity": self.identity,
                "timeMs": self.time_ms,
                "dataset": self.dataset,
                "data": self.data,
                "block": self.block,
                "claim": self.claim,
                "claimUid": self.claim_uid,
                "request": None if self.request is None else str(self.request),
                "budget": common.budget_to_wire(self.amount),
                "reason": self.reason,
                "mechanisms": list(self.mechanisms),
                **common.requester_to_wire(self.requester),
                "approvals": [common.approval_to_wire(approval) for approval in self.approvals],
            }
        )

    @classmethod
    def from_fields(cls, fields: Reader, digest: str) -> Entry:
        """Read what `to_json` wrote.

        Raises:
            InvalidInput: a field is missing or malformed; the message has its path.
        """
        return cls(
            identity=fields.text("identity"),
            time_ms=fields.whole("timeMs") or 0,
            dataset=fields.text("dataset"),
            data=fields.text("data"),
            block=fields.text("block"),
            claim=fields.text("claim"),
            claim_uid=fields.optional_text("claimUid"),
            request=_request(fields),
            amount=_amount(fields),
            reason=fields.text("reason"),
            mechanisms=tuple(str(mechanism) for mechanism in fields.raw("mechanisms") or ()),
            requester=common.read_requester(fields),
            approvals=tuple(map(common.read_approval, fields.children("approvals"))),
            sequence=fields.whole("sequence") or 0,
            digest=digest,
        )


AnyEntry = Entry | DecisionEntry
E = TypeVar("E", bound=AnyEntry)


def from_json(document: Json, digest: str) -> AnyEntry:
    """Read what `to_json` of an entry wrote.

    Raises:
        CorruptData: a field is missing or malformed.
    """
    try:
        fields = Reader(document, "ledger entry")
        if RECORD in fields:
            return DecisionEntry.from_fields(fields, digest)
        return Entry.from_fields(fields, digest)
    except errors.InvalidInput as error:
        raise errors.CorruptData(f"ledger: entry {document.get('sequence')}: {error}; restore a backup") from error


def amounts(entries: Iterable[AnyEntry]) -> Iterator[Entry]:
    """Yield the entries of committed amounts, without those of decisions."""
    return (entry for entry in entries if isinstance(entry, Entry))


@dataclass(frozen=True, slots=True)
class UnreadableEntry:
    """An entry that cannot be read.

    Args:
        claim: id of the claim whose entry it is; None if that cannot be told.
        error: why it cannot be read.
    """

    claim: str | None
    error: errors.CorruptData

    def may_be_of(self, claim_id: str) -> bool:
        """Return whether it may be an entry of a claim."""
        return self.claim is None or self.claim == claim_id


@dataclass(frozen=True, slots=True)
class Readable:
    """What can be read of a ledger.

    Args:
        entries: those that can be read, in order.
        unreadable: the others.
    """

    entries: tuple[AnyEntry, ...]
    unreadable: tuple[UnreadableEntry, ...] = ()

    @classmethod
    def of(cls, items: Iterable[AnyEntry | UnreadableEntry]) -> Readable:
        """Return the entries of a ledger as they were read, in order."""
        listed = list(items)
        entries = tuple(item for item in listed if not isinstance(item, UnreadableEntry))
        return cls(entries, tuple(item for item in listed if isinstance(item, UnreadableEntry)))

    def complete(self) -> list[AnyEntry]:
        """Return the entries of a ledger of which all can be read.

        Raises:
            CorruptData: an entry cannot be read.
        """
        for item in self.unreadable:
            raise item.error
        return list(self.entries)


def _request(fields: Reader) -> LockId | None:
    text = fields.optional_text("request")
    return None if text is None else request_id.parse_lock_id(text)


def _amount(fields: Reader) -> PrivacyBudget:
    amount = common.read_budget(fields, "budget")
    if amount is None:
        raise errors.InvalidInput(f"{fields.path_of('budget')}: is missing")
    return amount


def opening_entries(
    dataset: str, data: str, block: str, committed: Mapping[str, PrivacyBudget], *, time_ms: int
) -> Iterator[Entry]:
    """Yield an entry for each amount, by claim id, that was committed on a block's data before there was a ledger."""
    for claim, amount in committed.items():
        yield Entry(f"{OPENING}/{data}/{claim}", time_ms, dataset, data, block, claim, None, amount, OPENING)


def chain_to(previous: str, entry: E, *, sequence: int) -> E:
    """Return an entry with its sequence and digest, after the entry with the digest `previous`."""
    unsigned = replace(entry, sequence=sequence, digest="")
    text = json.dumps([previous, unsigned.to_json()], sort_keys=True, separators=(",", ":"))
    return replace(unsigned, digest=f"sha256:{hashlib.sha256(text.encode()).hexdigest()}")


def require_chain(entries: Iterable[AnyEntry]) -> Iterator[AnyEntry]:
    """Yield the entries, and check that each is chained to the one before.

    Raises:
        CorruptData: an entry is not: it, or the one before, was changed, removed or inserted.
    """
    previous = GENESIS
    for place, entry in enumerate(entries, start=1):
        if chain_to(previous, entry, sequence=place).digest != entry.digest:
            raise errors.CorruptData(
                f"ledger: entry {place} does not follow from the one before: one of them was changed, removed or "
                "inserted; restore a backup, and find out who wrote to the store"
            )
        previous = entry.digest
        yield entry


def select(entries: Iterable[AnyEntry], *, block_id: str | None, claim_id: str | None) -> list[AnyEntry]:
    """Return the entries of one block or claim; None selects all. A decision is of no block."""
    return [entry for entry in entries if block_id in (None, block_of(entry)) and claim_id in (None, entry.claim)]


def block_of(entry: AnyEntry) -> str | None:
    """Return the id of the block of an entry; None for a decision, which is about a request."""
    return entry.block if isinstance(entry, Entry) else None


def data_key(block: PrivateDataBlock) -> str:
    """Return the key of a block's data: its digest or, if none is stated, the block's name.

    Blocks with other keys may have the same records: then the later one has an entry with what it inherited.
    """
    return block.content_digest or f"{BY_NAME}{block.id}"
