"""A client of a store: it registers and deletes blocks, reads what is stored, and sets the policy."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Self

from privatekube import validation
from privatekube.client import decide_claim, stored
from privatekube.client.embedded import Embedded
from privatekube.client.passes import Passes
from privatekube.privacy import budget
from privatekube.reconcile import block_admission, ledger_audit, read_world
from privatekube.resources.approval import Decision
from privatekube.resources.block import PrivateDataBlock
from privatekube.resources.claim import PrivacyBudgetClaim
from privatekube.resources.data_identity import DataIdentity
from privatekube.resources.ledger import AnyEntry
from privatekube.resources.quota import PrivacyBudgetQuota
from privatekube.resources.requests import AllocateRequest
from privatekube.scheduling.policy import Policy
from privatekube.store.base import ResourceStore
from privatekube.store.clock import SYSTEM, Clock


class StoreClient:
    """Blocks, ledger and policy of a store; claims can be read only.

    `client.BudgetClient` adds how a run claims budget. It is a context manager that closes the store.

    Args:
        store: where blocks and claims are.
        passes: what runs the passes; None to run them in this process.
        clock: tells the time.

    Example:
        >>> from privatekube.store.memory import MemoryStore
        >>> with StoreClient(MemoryStore()) as client:
        ...     client.list_blocks()
        []
    """

    def __init__(self, store: ResourceStore, passes: Passes | None = None, *, clock: Clock = SYSTEM) -> None:
        self.store, self.clock = store, clock
        self.passes: Passes = Embedded(store, clock) if passes is None else passes

    @property
    def is_embedded(self) -> bool:
        """Whether the control plane is in this process, so that its runs are on this machine."""
        return self.passes.is_embedded

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.store.close()

    def owner_key(self) -> bytes:
        """Return the secret key of the data owner, with which the records of blocks are hashed; created on first use.

        Keep it and the identities made with it from everybody else: they could test guesses of a record. In a cluster
        the controller creates it, and this waits until it has.

        Raises:
            StoreBusy: the controller has not created it in time.
            NotServed: this user may not read it.
        """
        return self.passes.owner_key()

    def create_blocks(
        self, blocks: Sequence[PrivateDataBlock], identities: Iterable[DataIdentity] = ()
    ) -> list[PrivateDataBlock]:
        """Register the blocks that do not exist yet, all of them or none.

        Args:
            blocks: what to register; a block that exists with the same data is left unchanged.
            identities: of their data, by which the same data is recognised under another name.

        Returns:
            The blocks that were created.

        Raises:
            InvalidBudget: an initial budget is not positive, or differs from the one that the data had before.
            AlreadyExists: all of them exist, or a name or some of the data is taken by another block.
            CorruptData: what cannot be read may have the data of a block; in a cluster the controller tells it in an
                Event of the block.
        """
        identities = list(_checked(blocks, identities))
        for block in blocks:
            budget.require_amount(f"initial budget of {block.id}", block.spec.initial_budget)
        with self.store.transaction():
            created = block_admission.register(self.store, blocks, identities)
            self.passes.admit(created)
            return created

    def indistinct_blocks(
        self, blocks: Sequence[PrivateDataBlock], identities: Iterable[DataIdentity]
    ) -> dict[str, list[PrivateDataBlock]]:
        """Return the blocks that new ones cannot be told apart from, unless their owner compares the records.

        Args:
            blocks: the new ones.
            identities: of their data.

        Returns:
            Existing blocks, by the id of the identity of the new blocks.
        """
        return block_admission.indistinct(self.store, blocks, _checked(blocks, identities))

    def delete_block(self, namespace: str, name: str) -> None:
        """Delete a block; the record of what was committed on its data is kept.

        Args:
            namespace: of the block.
            name: of the block.

        Raises:
            NotFound: no such block exists.
        """
        self.passes.delete_block(f"{namespace}/{name}")

    def list_blocks(self, namespace: str | None = None) -> list[PrivateDataBlock]:
        """Return the blocks of `namespace`, or all, in order of creation."""
        return self.store.list_blocks(namespace)

    def list_claims(self, namespace: str | None = None) -> list[PrivacyBudgetClaim]:
        """Return the claims of `namespace`, or all, in order of creation."""
        return self.store.list_claims(namespace)

    def get_block(self, block_id: str) -> PrivateDataBlock:
        """Return a block.

        Args:
            block_id: `namespace/name`.

        Raises:
            NotFound: no such block exists.
        """
        return stored.block(self.store, block_id)

    def get_claim(self, claim_id: str) -> PrivacyBudgetClaim:
        """Return a claim.

        Args:
            claim_id: `namespace/name`.

        Raises:
            NotFound: no such claim exists.
        """
        return stored.claim(self.store, claim_id)

    def current_claim(self, claim_id: str) -> PrivacyBudgetClaim:
        """Return a claim after the control plane has decided what is due: it may be overdue or have timed out.

        Args:
            claim_id: `namespace/name`.

        Raises:
            NotFound: no such claim exists.
        """
        return self.passes.current(lambda: self.get_claim(claim_id))

    def matching_blocks(self, namespace: str, request: AllocateRequest) -> list[PrivateDataBlock]:
        """Return the blocks that a request could be granted on.

        Args:
            namespace: of the blocks.
            request: what would be claimed.

        Raises:
            InvalidInput: fewer match than the request needs; the message has both numbers.
        """
        return stored.matching_blocks(self.store, namespace, request)

    def ledger(self, *, block_id: str | None = None, claim_id: str | None = None) -> Sequence[AnyEntry]:
        """Return what was committed and what approvers decided, entry by entry.

        Args:
            block_id: only what was committed on this block.
            claim_id: only of this claim.
        """
        return self.store.ledger(block_id=block_id, claim_id=claim_id)

    def verify_ledger(self) -> ledger_audit.Audit:
        """Check that no entry of the ledger was changed, and that entries and blocks add up.

        Returns:
            The number of entries and of blocks, and the digest of the last entry.

        Raises:
            CorruptData: names the entry or the block that does not fit.
        """
        return self.passes.audit()

    def list_quotas(self) -> list[PrivacyBudgetQuota]:
        """Return the quotas of teams and namespaces, by namespace and name."""
        return self.store.list_quotas()

    def set_quota(self, quota: PrivacyBudgetQuota) -> None:
        """Store a quota, which holds from the next decision on; only the data owner may.

        Args:
            quota: replaces one of the same namespace and name.
        """
        validation.require_type("quota", quota, PrivacyBudgetQuota)
        self.store.put_quota(quota)

    def delete_quota(self, quota_id: str) -> None:
        """Remove a quota; only the data owner may.

        Args:
            quota_id: `namespace/name`.

        Raises:
            NotFound: there is no such quota.
        """
        validation.require_type("quota_id", quota_id, str)
        self.store.delete_quota(quota_id)

    def approve(self, claim_id: str, *, reason: str | None = None) -> PrivacyBudgetClaim:
        """Approve a claim that waits for it; only somebody else than who requests it may.

        Args:
            claim_id: `namespace/name`.
            reason: one line, which the ledger keeps; None if it is not stated.

        Returns:
            The claim, which may have got its budget.

        Raises:
            NotFound: no such claim exists.
            InvalidInput: it does not wait for an approval, this user requests it, or the reason is not plain text.
            AlreadyExists: this user has decided about it before.
            NotServed: this user may not approve.
        """
        return self._decide(claim_id, Decision.APPROVED, reason)

    def reject(self, claim_id: str, *, reason: str | None = None) -> PrivacyBudgetClaim:
        """Reject a claim that waits for an approval, so that it fails; see `approve`.

        Args:
            claim_id: `namespace/name`.
            reason: one line, which the claim is told; None if it is not stated.

        Returns:
            The claim.
        """
        return self._decide(claim_id, Decision.REJECTED, reason)

    def _decide(self, claim_id: str, decision: Decision, reason: str | None) -> PrivacyBudgetClaim:
        decide_claim.decide(self.store, self.current_claim(claim_id), decision, reason)
        return self.current_claim(claim_id)

    def policy(self) -> Policy:
        """Return the scheduling policy of this store."""
        return stored.policy_of(self.store)

    def policy_settings(self) -> Mapping[str, str]:
        """Return the scheduling policy of this store as text, by the names of `scheduling.policy.DEFAULTS`."""
        return stored.policy_settings(self.store)

    def card_public_key(self) -> str | None:
        """Return the public key that checks the privacy cards of this store; None before the first was signed."""
        return self.store.settings().get(read_world.PUBLIC_KEY)

    def set_policy(self, **settings: str) -> None:
        """Change the scheduling policy of this store; other settings are kept.

        Args:
            **settings: any of the names of `scheduling.policy.DEFAULTS`; see docs/scheduling.md.

        Raises:
            InvalidInput: a value is unknown, or the combination cannot be used; in a cluster, every change.
        """
        self.passes.set_policy(settings)


def _checked(blocks: Sequence[PrivateDataBlock], identities: Iterable[DataIdentity]) -> list[DataIdentity]:
    """Return the identities of blocks, after a check of the types of both."""
    validation.require_types("blocks", blocks, PrivateDataBlock)
    validation.require_type("identities", identities, Iterable)
    given = list(identities)
    validation.require_types("identities", given, DataIdentity)
    return given
