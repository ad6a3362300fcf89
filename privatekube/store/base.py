"""The protocol of a store: get, list, and conditional writes, like those of an API server.

Example:
    store: ResourceStore = SqliteStore(Path("state.db"))
    block = store.create(block)
    store.update_status(replace(block, status=status))  # raises Conflict if the block was written in between
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Protocol, TypeVar

from privatekube.resources.approval import PrivacyBudgetApproval
from privatekube.resources.block import PrivateDataBlock
from privatekube.resources.claim import PrivacyBudgetClaim
from privatekube.resources.data_identity import DataIdentity
from privatekube.resources.ledger import AnyEntry, Readable
from privatekube.resources.list_rows import BlockRow, ClaimRow
from privatekube.resources.quota import PrivacyBudgetQuota
from privatekube.resources.retired_data import RetiredData
from privatekube.store.unreadable import Unreadable

Resource = PrivateDataBlock | PrivacyBudgetClaim
R = TypeVar("R", PrivateDataBlock, PrivacyBudgetClaim)
V = TypeVar("V")


class RecordSource(Protocol):
    """Tells what was recorded of data: the records of deleted data, and the identities of data."""

    def list_retired(self) -> list[RetiredData]:
        """Return all records of deleted data, by dataset and digest."""

    def identity(self, identity_id: str) -> DataIdentity | None:
        """Return the identity of that id, or None.

        Raises:
            CorruptData: it cannot be read.
        """


class ResourceStore(RecordSource, Protocol):
    """Stores resources; every write is conditional on the resource_version that was read.

    Every method may raise StoreBusy. A write raises Conflict if another process wrote the resource first, and NotFound
    if it was deleted.
    """

    def get_block(self, block_id: str) -> PrivateDataBlock | None:
        """Return the block `namespace/name`, or None."""

    def get_claim(self, claim_id: str) -> PrivacyBudgetClaim | None:
        """Return the claim `namespace/name`, or None."""

    def list_blocks(self, namespace: str | None = None) -> list[PrivateDataBlock]:
        """Return all blocks, in order of creation."""

    def list_claims(self, namespace: str | None = None, *, open_only: bool = False) -> list[PrivacyBudgetClaim]:
        """Return all claims, in order of creation; with `open_only`, those for which `kinds.is_open` holds."""

    def list_block_rows(self, namespace: str | None = None) -> list[BlockRow]:
        """Return the rows of all blocks, in order of creation: quicker than the blocks where a store keeps them."""

    def list_claim_rows(self, namespace: str | None = None) -> list[ClaimRow]:
        """Return the rows of all claims, likewise."""

    def unreadable(self) -> list[Unreadable]:
        """Return the blocks and claims that cannot be read; no list has them."""

    def usable_blocks(self) -> list[PrivateDataBlock]:
        """Return the blocks that a pass can work on: without new ones that may have data of one that cannot be read."""

    def obstructed_claims(self) -> list[PrivacyBudgetClaim]:
        """Return the open claims that depend on a block which nothing can be done with now: they can only time out."""

    def create(self, resource: R) -> R:
        """Add a resource and return it with its uid, time of creation and version.

        Raises:
            AlreadyExists: the name is taken.
            InvalidInput: the resource could not be read again.
        """

    def update(self, resource: R) -> R:
        """Replace metadata and spec; the status stays as it is stored.

        Raises:
            InvalidInput: the resource could not be read again, or what was decided is changed (see `changes`).
        """

    def update_status(self, resource: R) -> R:
        """Replace the status; metadata and spec stay as they are stored."""

    def delete(self, resource: Resource) -> None:
        """Remove a resource."""

    def retire(self, data: RetiredData) -> None:
        """Record what was committed on data whose block is deleted; replaces an earlier record of the same data."""

    def retired(self, dataset: str, digest: str) -> RetiredData | None:
        """Return the record of deleted data, or None."""

    def recent_records(self) -> RecordSource:
        """Return the records as they were at most a short while ago: enough to refuse a block, never to admit one."""

    def append(self, entry: AnyEntry) -> None:
        """Add an entry to the ledger, chained to the last one; an entry whose identity is there already is skipped."""

    def ledger(self, *, block_id: str | None = None, claim_id: str | None = None) -> Sequence[AnyEntry]:
        """Return the ledger's entries in order, or those of one block or claim.

        Raises:
            CorruptData: an entry cannot be read.
        """

    def readable_ledger(self) -> Readable:
        """Return the ledger's entries that can be read, and what is known of the others."""

    def list_quotas(self) -> list[PrivacyBudgetQuota]:
        """Return all quotas, by namespace and name; one that cannot be read is there as one that allows nothing."""

    def put_quota(self, quota: PrivacyBudgetQuota) -> None:
        """Store a quota; it replaces one of the same namespace and name. Only the data owner may."""

    def delete_quota(self, quota_id: str) -> None:
        """Remove the quota `namespace/name`; NotFound if there is none. Only the data owner may."""

    def list_approvals(self) -> list[PrivacyBudgetApproval]:
        """Return what was decided about claims, by namespace and name; what cannot be read is left out."""

    def add_approval(self, approval: PrivacyBudgetApproval) -> None:
        """Store a decision about a claim, which never changes; only an approver may.

        Raises:
            AlreadyExists: one of that name exists.
        """

    def user(self) -> str:
        """Return the name of the user of this store: in a cluster the authenticated one, else the login."""

    def later_entries(self, sequence: int) -> Readable:
        """Return the ledger's entries after that sequence, likewise."""

    def change_mark(self) -> int | None:
        """Return a number that changes when another process writes; None where only reading everything tells."""

    def settings(self) -> dict[str, str]:
        """Return the settings of the control plane, which all users of the store share."""

    def set_setting(self, name: str, value: str) -> None:
        """Change one setting."""

    def ensure_secret(self, name: str, value: bytes) -> bytes:
        """Return the secret of that name; where there is none, store `value` first.

        Of several processes that offer a value at once, all return the one that was stored first. Only the data owner
        and the control plane may read secrets.
        """

    def keep_identity(self, identity: DataIdentity) -> None:
        """Store the identity of data; it is never changed or removed. Only data owner and control plane may read it."""

    def transaction(self) -> AbstractContextManager[None]:
        """Return a context whose writes are made together or not at all, isolated from other processes; it nests.

        A backend without transactions returns a context that does nothing: callers must be correct without it.
        """

    def concurrently(self, calls: Sequence[Callable[[], V]]) -> list[V]:
        """Run the calls, which may write, and return their results: in parallel where the backend can."""

    def close(self) -> None:
        """Release files and connections."""
