"""The part of a store that is the same for all backends."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from typing_extensions import override

from privatekube import errors
from privatekube.resources import ledger
from privatekube.resources.approval import PrivacyBudgetApproval
from privatekube.resources.block import PrivateDataBlock
from privatekube.resources.claim import PrivacyBudgetClaim
from privatekube.resources.ledger import AnyEntry, Readable
from privatekube.resources.list_rows import BlockRow, ClaimRow
from privatekube.store import changes, kinds, login_name
from privatekube.store.base import R, RecordSource, Resource, ResourceStore, V
from privatekube.store.kinds import Kind
from privatekube.store.quarantine import Quarantine
from privatekube.store.unreadable import Unreadable, UnreadableBlock, UnreadableClaim


class Backend(ResourceStore):
    """A store whose methods for blocks and for claims are implemented once for every kind."""

    @override
    def get_block(self, block_id: str) -> PrivateDataBlock | None:
        return self._get(kinds.BLOCK, block_id)

    @override
    def get_claim(self, claim_id: str) -> PrivacyBudgetClaim | None:
        return self._get(kinds.CLAIM, claim_id)

    @override
    def list_blocks(self, namespace: str | None = None) -> list[PrivateDataBlock]:
        return self._list(kinds.BLOCK, namespace, open_only=False)

    @override
    def list_claims(self, namespace: str | None = None, *, open_only: bool = False) -> list[PrivacyBudgetClaim]:
        return self._list(kinds.CLAIM, namespace, open_only=open_only)

    @override
    def list_block_rows(self, namespace: str | None = None) -> list[BlockRow]:
        return self._list_rows(kinds.BLOCK, namespace)

    @override
    def list_claim_rows(self, namespace: str | None = None) -> list[ClaimRow]:
        return self._list_rows(kinds.CLAIM, namespace)

    @override
    def unreadable(self) -> list[Unreadable]:
        return [stored for kind in kinds.KINDS for stored in self._unreadable(kind)]

    @override
    def usable_blocks(self) -> list[PrivateDataBlock]:
        blocks = self.list_blocks()
        if all(block.status is not None for block in blocks):  # only new blocks may have to wait
            return blocks
        claims = [UnreadableClaim.from_stored(stored) for stored in self._unreadable(kinds.CLAIM)]
        open_claims = self.list_claims(open_only=True)
        return Quarantine().usable_blocks(blocks, self._unreadable_blocks(), claims, open_claims)

    @override
    def obstructed_claims(self) -> list[PrivacyBudgetClaim]:
        unreadable = self._unreadable_blocks()
        if not unreadable:
            return []
        _, obstructed = Quarantine().split_claims(self.list_claims(open_only=True), (), unreadable)
        return obstructed

    @override
    def recent_records(self) -> RecordSource:
        """Return this store: it is asked for the records as they are."""
        return self

    @override
    def ledger(self, *, block_id: str | None = None, claim_id: str | None = None) -> Sequence[AnyEntry]:
        return ledger.select(self.readable_ledger().complete(), block_id=block_id, claim_id=claim_id)

    @staticmethod
    def _no_quota(quota_id: str) -> errors.NotFound:
        return errors.NotFound(f"quota {quota_id}: does not exist; see privatekube quota list")

    @staticmethod
    def _decided_before(approval: PrivacyBudgetApproval) -> errors.AlreadyExists:
        spec = approval.spec
        return errors.AlreadyExists(
            f"claim {approval.meta.namespace}/{spec.claim}: {spec.approver} has decided about it before, for good; "
            "see privatekube describe claim"
        )

    @override
    def user(self) -> str:
        """Return the login of the user of this process, which any user who may write the file could change."""
        return login_name.current()

    @override
    def later_entries(self, sequence: int) -> Readable:
        whole = self.readable_ledger()
        return Readable(tuple(entry for entry in whole.entries if entry.sequence > sequence), whole.unreadable)

    @override
    def change_mark(self) -> int | None:
        return None

    @override
    def concurrently(self, calls: Sequence[Callable[[], V]]) -> list[V]:
        """Run the calls one after another."""
        return [call() for call in calls]

    @abstractmethod
    def _get(self, kind: Kind[R], resource_id: str) -> R | None:
        """Return the resource with that id, or None."""

    @abstractmethod
    def _list(self, kind: Kind[R], namespace: str | None, *, open_only: bool) -> list[R]:
        """Return the resources of a kind, in order of creation; with `open_only`, those that a pass has to look at."""

    def _list_rows(self, kind: Kind[Any], namespace: str | None) -> list[Any]:
        """Return the rows of a kind, in order of creation."""
        return [kind.row_type.of(resource) for resource in self._list(kind, namespace, open_only=False)]

    def _unreadable(self, _kind: Kind[Any]) -> list[Unreadable]:
        """Return the stored objects of a kind that cannot be read; none where objects are kept as they are."""
        return []

    def _unreadable_blocks(self) -> list[UnreadableBlock]:
        return [UnreadableBlock.from_stored(stored) for stored in self._unreadable(kinds.BLOCK)]

    def _current(self, resource: Resource) -> Any:
        """Return the stored resource, for backends that compare its version with the one that was read themselves."""
        kind: Kind[Any] = kinds.kind_of(resource)
        stored = self._get(kind, resource.id)
        if stored is None:
            raise errors.NotFound(f"{kinds.name_of(resource)}: is gone; list what is there")
        if stored.meta.resource_version != resource.meta.resource_version:
            raise errors.Conflict(f"{kinds.name_of(resource)}: was changed meanwhile; read it again")
        return stored

    def _updated(self, resource: R) -> R:
        """Return the stored resource with the metadata and spec of `resource`, if that change is allowed."""
        current = self._current(resource)
        changes.require_allowed(current, resource)
        generation = current.meta.generation + (current.spec != resource.spec)
        updated: R = replace(resource, meta=replace(resource.meta, generation=generation), status=current.status)
        return updated
