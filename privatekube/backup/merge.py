"""Decide what a restore changes: a backup and the store as it is, merged so that nothing that was spent is forgotten.

The ledger is the measure. What it and the backup's ledger have together is what was spent on each data, and a block
says at least that. What a claim held in the backup counts as spent unless the store knows what became of it, since
nobody can tell any more whether its data was read. A claim that is only in the backup comes back closed.

It is pure, and repeating it on a store in which a part of it was written decides the rest.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

from privatekube import errors
from privatekube.backup import closed_claims, new_data
from privatekube.backup.contents import Contents
from privatekube.engine import earlier_data, ledger_entries
from privatekube.privacy import arithmetic
from privatekube.privacy.budget import PrivacyBudget
from privatekube.resources import ledger, transitions
from privatekube.resources.approval import PrivacyBudgetApproval
from privatekube.resources.block import PrivateDataBlock
from privatekube.resources.claim import PrivacyBudgetClaim
from privatekube.resources.data_identity import DataIdentity
from privatekube.resources.ledger import AnyEntry, Entry
from privatekube.resources.quota import PrivacyBudgetQuota
from privatekube.resources.retired_data import RetiredData


@dataclass(frozen=True, slots=True)
class Merge:
    """What is to be written, in this order; nothing in it gives budget back.

    Args:
        charged: blocks of the store with a status that says more spent.
        retired: records of deleted data that are new or say more.
        entries: that the ledger lacks.
        identities: of data that the store does not know.
        blocks: that the store does not have; without a status, which their admission gives them.
        claims: that the store does not have, or not completely: closed.
        settled: claims of the store with another status: the backup has them consumed, or further on.
        quotas: that the store does not have.
        approvals: and rejections that the store does not have.
        settings: of the policy that the store does not have.
    """

    charged: tuple[PrivateDataBlock, ...]
    retired: tuple[RetiredData, ...]
    entries: tuple[AnyEntry, ...]
    identities: tuple[DataIdentity, ...]
    blocks: tuple[PrivateDataBlock, ...]
    claims: tuple[PrivacyBudgetClaim, ...]
    settled: tuple[PrivacyBudgetClaim, ...]
    quotas: tuple[PrivacyBudgetQuota, ...]
    approvals: tuple[PrivacyBudgetApproval, ...]
    settings: Mapping[str, str]


def merge(backup: Contents, current: Contents) -> Merge:
    """Return what restoring `backup` into a store that holds `current` changes.

    Raises:
        AlreadyExists: see `new_data`.
        InvalidBudget: the same data has another lifetime budget or another accounting in the backup.
        CorruptData: an entry is a decision here and an amount there.
    """
    blocks = {new_data.data_of(block): block for block in current.blocks}
    records = {(record.dataset, record.digest): record for record in current.retired}
    entries = _missing_entries(backup, current)
    by_data = _by_data(entries)
    totals = _totals([*current.entries, *entries])
    new_blocks, new_records = new_data.created_and_recorded(backup, current)
    new_data.require_apart(new_blocks, new_records, backup, current)
    live = {claim.id: claim for claim in current.claims}
    shared = [data for data in by_data if data in blocks]
    charged = [_charged(blocks[data], by_data[data], totals[data], live) for data in shared]
    gone = [data for data in by_data if data in records and data not in blocks]
    retired = [_charged_record(records[data], by_data[data], totals[data]) for data in gone]
    known_quotas = {quota.id for quota in current.quotas}
    known_approvals = {approval.id for approval in current.approvals}
    return Merge(
        charged=tuple(block for block in charged if block is not blocks[new_data.data_of(block)]),
        retired=(*(item for item in retired if item is not records[item.dataset, item.digest]), *new_records),
        entries=tuple(entries),
        identities=tuple(item for key, item in backup.identities.items() if key not in current.identities),
        blocks=tuple(map(new_data.as_new, new_blocks)),
        claims=tuple(closed_claims.missing(backup, live)),
        settled=tuple(closed_claims.settled(backup, live)),
        quotas=tuple(
            replace(quota, meta=new_data.new_meta(quota.meta))
            for quota in backup.quotas
            if quota.id not in known_quotas
        ),
        approvals=tuple(approval for approval in backup.approvals if approval.id not in known_approvals),
        settings={name: text for name, text in backup.settings.items() if name not in current.settings},
    )


def _missing_entries(backup: Contents, current: Contents) -> list[AnyEntry]:
    """Return what the ledger of the store lacks, in the order in which it is entered."""
    known = {entry.identity: entry for entry in current.entries}
    claims = {claim.id: claim for claim in backup.claims}
    live = {claim.id: claim for claim in current.claims}
    unsettled = [entry for record in backup.retired for entry in record.unsettled]
    missing: dict[str, AnyEntry] = {}
    for entry in (*backup.entries, *unsettled, *_held(backup, claims, live)):
        lacking = entry if entry.identity not in known else _excess(entry, known[entry.identity])
        if lacking is not None and lacking.identity not in known:
            missing.setdefault(lacking.identity, lacking)
    return list(missing.values())


def _held(
    backup: Contents, claims: Mapping[str, PrivacyBudgetClaim], live: Mapping[str, PrivacyBudgetClaim]
) -> Iterator[Entry]:
    """Yield an entry for what each claim held in the backup, unless the store knows what became of it."""
    for block in backup.blocks:
        for entry in ledger_entries.unsettled_entries(block, claims.get, backup.created_ms):
            claim = claims.get(entry.claim)
            if claim is not None and entry.request is None and block.id not in claim.status.acquired:
                continue  # the claim was read after its block, and did not hold it any more: the ledger has the rest
            if claim is None or not _is_known_outcome(claim, live.get(claim.id), block.id):
                yield entry


def _is_known_outcome(claim: PrivacyBudgetClaim, stored: PrivacyBudgetClaim | None, block_id: str) -> bool:
    """Return whether the claim of the store is the same, no less far, and not released although its data was opened."""
    if stored is None or stored.meta.uid != claim.meta.uid or closed_claims.is_further(claim, stored):
        return False
    return not claim.spec.data_opened or block_id in {**stored.status.acquired, **stored.status.committed}


def _excess(entry: AnyEntry, known: AnyEntry) -> Entry | None:
    """Return an entry for what the backup has more than the ledger under one identity: one of them was changed."""
    if type(entry) is not type(known):
        raise errors.CorruptData(
            f"ledger: the entry {entry.identity} is a decision here and an amount there; one of them was changed: "
            "restore into another store, and find out who wrote to this one"
        )
    if not (isinstance(entry, Entry) and isinstance(known, Entry)):
        return None
    if type(entry.amount) is not type(known.amount):
        raise errors.InvalidBudget(
            f"ledger: the entry {entry.identity} is of another accounting in the backup; restore into another store"
        )
    if not earlier_data.exceeds(entry.amount, known.amount):
        return None
    more = entry.amount - known.amount
    more = more - more.minimum(more * 0.0)
    return replace(entry, identity=f"{entry.identity}/restored/{entry.digest}", amount=more, request=None)


def _by_data(entries: Iterable[AnyEntry]) -> dict[new_data.Data, list[Entry]]:
    by_data: dict[new_data.Data, list[Entry]] = {}
    for entry in ledger.amounts(entries):
        by_data.setdefault((entry.dataset, entry.data), []).append(entry)
    return by_data


def _totals(entries: Iterable[AnyEntry]) -> dict[new_data.Data, PrivacyBudget]:
    listed = {data: [entry.amount for entry in items] for data, items in _by_data(entries).items()}
    return {data: arithmetic.total(amounts[1:], start=amounts[0]) for data, amounts in listed.items()}


def _charged(
    block: PrivateDataBlock, missing: Iterable[Entry], total: PrivacyBudget, live: Mapping[str, PrivacyBudgetClaim]
) -> PrivateDataBlock:
    """Return a block of the store that says at least `total` committed; the same one if it says so already."""
    if block.status is None:  # its admission reads the ledger
        return block
    committed = arithmetic.total(block.status.committed.values(), start=block.spec.initial_budget * 0.0)
    if not earlier_data.exceeds(total, committed):
        return block
    for entry in missing:
        claim = live.get(entry.claim)
        is_its_own = claim is not None and claim.meta.uid == entry.claim_uid
        block = transitions.charge(block, entry.claim, entry.amount, from_held=is_its_own)
    return transitions.require_balance(block)


def _charged_record(record: RetiredData, missing: Iterable[Entry], total: PrivacyBudget) -> RetiredData:
    """Return a record that says at least `total` committed; the same one if it says so already."""
    if not earlier_data.exceeds(total, record.total):
        return record
    committed = dict(record.committed)
    for entry in missing:
        committed[entry.claim] = committed[entry.claim] + entry.amount if entry.claim in committed else entry.amount
    return replace(record, committed=committed)
