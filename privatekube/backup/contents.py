"""What a store holds, as one value: it is what a backup file has, and what a restore compares the store with.

No secret is in it: neither the keys of the store, nor the private keys that were given to claims.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any, TypeVar

from privatekube import errors
from privatekube.reconcile import read_world
from privatekube.resources import ledger, summary
from privatekube.resources.approval import PrivacyBudgetApproval
from privatekube.resources.block import PrivateDataBlock
from privatekube.resources.claim import PrivacyBudgetClaim
from privatekube.resources.data_identity import DataIdentity
from privatekube.resources.ledger import AnyEntry
from privatekube.resources.quota import PrivacyBudgetQuota
from privatekube.resources.retired_data import RetiredData
from privatekube.resources.wire import approvals, quotas
from privatekube.resources.wire.common import Json
from privatekube.resources.wire.reader import Reader
from privatekube.scheduling import policy
from privatekube.store import kinds
from privatekube.store.base import ResourceStore
from privatekube.store.kinds import Kind

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Contents:
    """The contents of a store.

    Args:
        created_ms: when they were read, in unix milliseconds.
        blocks: in order of creation.
        claims: in order of creation; without private keys.
        entries: of the ledger, in order.
        retired: the records of deleted data.
        identities: of the data of blocks and records, by id.
        quotas: of teams and namespaces.
        approvals: what approvers decided about claims; they decide about no claim that comes back closed.
        settings: of the policy, by name, as far as they were set.
        not_installed: kinds that the cluster has no definition of, so that it had none to save; not in the file.
    """

    created_ms: int
    blocks: tuple[PrivateDataBlock, ...] = ()
    claims: tuple[PrivacyBudgetClaim, ...] = ()
    entries: tuple[AnyEntry, ...] = ()
    retired: tuple[RetiredData, ...] = ()
    identities: Mapping[str, DataIdentity] = field(default_factory=lambda: MappingProxyType({}))
    quotas: tuple[PrivacyBudgetQuota, ...] = ()
    approvals: tuple[PrivacyBudgetApproval, ...] = ()
    settings: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    not_installed: tuple[str, ...] = ()

    def __str__(self) -> str:
        counts = (
            summary.number_of_blocks(len(self.blocks)),
            summary.number_of(len(self.claims), "claim"),
            summary.number_of(len(self.entries), "ledger entry", "ledger entries"),
            summary.number_of(len(self.retired), "record of deleted data", "records of deleted data"),
            summary.number_of(len(self.quotas), "quota"),
            summary.number_of(len(self.approvals), "approval or rejection", "approvals and rejections"),
        )
        return ", ".join(counts)


def read(store: ResourceStore, *, now_ms: int) -> Contents:
    """Return what a store holds.

    Where others write meanwhile, what was committed on a block that is returned is in the ledger that is returned: the
    ledger is read last, and is written before a block says that something is committed. Likewise a claim is read after
    the blocks on which it holds budget. Of kinds that an earlier version did not have, a cluster that still has its
    definitions has none.

    Raises:
        CorruptData: something cannot be read; the message names it.
        NotServed: this user may not read all of it.
    """
    for stored in store.unreadable():
        raise errors.CorruptData(f"{stored.name}: cannot be read ({stored.error}); correct it first")
    listed, decided = _if_installed(store.list_quotas), _if_installed(store.list_approvals)
    for quota in listed or ():
        if quota.fault is not None:
            raise errors.CorruptData(f"quota {quota.id}: {quota.fault}; correct it, or delete it first")
    blocks = tuple(store.list_blocks())
    claims = tuple(map(_without_private_key, store.list_claims()))
    records = read_world.earlier_records(store, blocks)
    known = store.settings()
    settings = {name: known[name] for name in policy.PARSERS if name in known}
    entries = tuple(store.ledger())
    return Contents(
        created_ms=now_ms,
        blocks=blocks,
        claims=claims,
        entries=entries,
        retired=tuple(records.retired),
        identities=records.identities,
        quotas=tuple(listed or ()),
        approvals=tuple(decided or ()),
        settings=settings,
        not_installed=tuple(
            kind for kind, found in ((quotas.KIND, listed), (approvals.KIND, decided)) if found is None
        ),
    )


def _if_installed(list_all: Callable[[], list[T]]) -> list[T] | None:
    """Return all resources of a kind; None where the cluster has no definition of it."""
    try:
        return list_all()
    except errors.NotInstalled:
        return None


def to_json(contents: Contents) -> Json:
    """Return contents as JSON."""
    return {
        "createdMs": contents.created_ms,
        "blocks": [kinds.BLOCK.to_wire(block) for block in contents.blocks],
        "claims": [kinds.CLAIM.to_wire(claim) for claim in contents.claims],
        "entries": [{**entry.to_json(), "digest": entry.digest} for entry in contents.entries],
        "retired": [[record.dataset, record.digest, record.to_json()] for record in contents.retired],
        "identities": {key: identity.to_json() for key, identity in contents.identities.items()},
        "quotas": [quotas.to_wire(quota) for quota in contents.quotas],
        "approvals": [approvals.to_wire(approval) for approval in contents.approvals],
        "settings": dict(contents.settings),
    }


def from_json(document: Json) -> Contents:
    """Read what `to_json` wrote.

    Raises:
        InvalidInput: a field is missing or malformed; the message has its path.
    """
    fields = Reader(document, "backup")
    settings = {name: text for name, text in _mapping(document, "settings").items() if name in policy.PARSERS}
    for name, text in settings.items():
        policy.PARSERS[name](text)
    return Contents(
        created_ms=fields.whole("createdMs") or 0,
        blocks=tuple(_resource(kinds.BLOCK, item) for item in fields.children("blocks")),
        claims=tuple(_resource(kinds.CLAIM, item) for item in fields.children("claims")),
        entries=tuple(_entry(item) for item in fields.children("entries")),
        retired=tuple(RetiredData.from_json(*map(str, item)) for item in document.get("retired", ())),
        identities={key: DataIdentity.from_json(key, value) for key, value in _mapping(document, "identities").items()},
        quotas=tuple(quotas.from_wire(item.document) for item in fields.children("quotas")),
        approvals=tuple(approvals.from_wire(item.document) for item in fields.children("approvals")),
        settings=settings,
    )


def _without_private_key(claim: PrivacyBudgetClaim) -> PrivacyBudgetClaim:
    key = claim.status.sealing
    return claim if key is None else replace(claim, status=replace(claim.status, sealing=key.withheld))


def _resource(kind: Kind[Any], fields: Reader) -> Any:
    document = dict(fields.document)
    return kind.read(document, str(document["metadata"].get("resourceVersion", "")))


def _entry(fields: Reader) -> AnyEntry:
    document = dict(fields.document)
    return ledger.from_json(document, str(document.pop("digest")))


def _mapping(document: Json, name: str) -> Mapping[str, Any]:
    value = document.get(name, {})
    if not isinstance(value, dict):
        raise errors.InvalidInput(f"backup.{name}: must be an object; use another file")
    return value
