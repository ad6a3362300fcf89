"""The store protocol: get, list, and conditional writes, as an API server offers them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Protocol, TypeVar

from privatekube.resources.block import PrivateDataBlock
from privatekube.resources.claim import PrivacyBudgetClaim
from privatekube.resources.ledger import Entry
from privatekube.resources.retired_data import RetiredData

Resource = PrivateDataBlock | PrivacyBudgetClaim
R = TypeVar("R", PrivateDataBlock, PrivacyBudgetClaim)
V = TypeVar("V")


class ResourceStore(Protocol):
    """Keeps resources; every write is conditional on the resource_version that was read.

    All methods may raise StoreBusy; writes raise Conflict when somebody else wrote first, NotFound when it is gone.
    """

    def get_block(self, block_id: str) -> PrivateDataBlock | None:
        """The block `namespace/name`, or None."""

    def get_claim(self, claim_id: str) -> PrivacyBudgetClaim | None:
        """The claim `namespace/name`, or None."""

    def list_blocks(self, namespace: str | None = None) -> list[PrivateDataBlock]:
        """All blocks, in order of creation."""

    def list_claims(self, namespace: str | None = None, *, open_only: bool = False) -> list[PrivacyBudgetClaim]:
        """All claims, in order of creation; `open_only`: those that `rows.is_open` says."""

    def create(self, resource: R) -> R:
        """Add a resource and return it with its identity filled in; AlreadyExists when the name is taken."""

    def update(self, resource: R) -> R:
        """Replace metadata and spec; the status stays."""

    def update_status(self, resource: R) -> R:
        """Replace the status; metadata and spec stay."""

    def delete(self, resource: Resource) -> None:
        """Remove a resource."""

    def retire(self, data: RetiredData) -> None:
        """Record, for good, what was committed on data whose block is deleted; replaces an earlier record of it."""

    def retired(self, dataset: str, digest: str) -> RetiredData | None:
        """The record of that data, or None."""

    def list_retired(self) -> list[RetiredData]:
        """All records of deleted data."""

    def append(self, entry: Entry) -> None:
        """Add an entry to the ledger, chained to the last one; does nothing where its identity is there already."""

    def ledger(self, *, block_id: str | None = None, claim_id: str | None = None) -> Sequence[Entry]:
        """The ledger's entries, or those of a block or claim, in order.

        Raises:
            CorruptData: an entry cannot be read.
        """

    def settings(self) -> dict[str, str]:
        """Settings of the control plane on this store."""

    def set_setting(self, name: str, value: str) -> None:
        """Change one setting."""

    def transaction(self) -> AbstractContextManager[None]:
        """A section that no other process interleaves with, where the backend can; nests.

        Where it cannot, this does nothing: callers must be correct without it.
        """

    def concurrently(self, calls: Sequence[Callable[[], V]]) -> list[V]:
        """What the calls return, which may write; at the same time where the backend can, otherwise one by one."""

    def close(self) -> None:
        """Give back what the store holds open."""
