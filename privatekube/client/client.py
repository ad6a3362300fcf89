"""The embedded control plane: its store, its policy, its passes, and the blocks and claims in it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Self

from privatekube import errors
from privatekube.privacy import budget
from privatekube.reconcile import block_admission, ledger_audit, reconcile
from privatekube.resources import matching
from privatekube.resources.block import PrivateDataBlock
from privatekube.resources.claim import PrivacyBudgetClaim
from privatekube.resources.ledger import Entry
from privatekube.resources.requests import AllocateRequest
from privatekube.scheduling import policy
from privatekube.scheduling.policy import Policy
from privatekube.store.base import ResourceStore
from privatekube.store.clock import SYSTEM, Clock


class ControlPlane:
    """A store with the control plane's passes over it; a context manager that closes the store."""

    def __init__(self, store: ResourceStore, *, clock: Clock = SYSTEM) -> None:
        self.store, self.clock = store, clock

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.store.close()

    def create_blocks(self, blocks: Sequence[PrivateDataBlock]) -> list[PrivateDataBlock]:
        """Register the blocks that are missing and return them; see `registration.register` for what is refused."""
        for block in blocks:
            budget.require_amount(f"initial budget of {block.id}", block.spec.initial_budget)
        with self.store.transaction():
            created = block_admission.register(self.store, blocks)
            self.run_pass()
            return created

    def delete_block(self, namespace: str, name: str) -> None:
        """Delete a block; what was committed on its data stays on record."""
        with self.store.transaction():
            block_admission.remove(self.store, self.get_block(f"{namespace}/{name}"), now_ms=self.clock.now_ms())
            self.run_pass()

    def list_blocks(self, namespace: str | None = None) -> list[PrivateDataBlock]:
        """All blocks, in order of creation."""
        return self.store.list_blocks(namespace)

    def list_claims(self, namespace: str | None = None) -> list[PrivacyBudgetClaim]:
        """All claims, in order of creation."""
        return self.store.list_claims(namespace)

    def get_block(self, block_id: str) -> PrivateDataBlock:
        """The block `namespace/name`; NotFound where there is none."""
        found = self.store.get_block(block_id)
        if found is None:
            raise errors.NotFound(f"block {block_id}: there is none; see privatekube get blocks")
        return found

    def get_claim(self, claim_id: str) -> PrivacyBudgetClaim:
        """The claim `namespace/name`; NotFound where there is none."""
        found = self.store.get_claim(claim_id)
        if found is None:
            raise errors.NotFound(f"claim {claim_id}: there is none; see privatekube get claims")
        return found

    def matching_blocks(self, namespace: str, request: AllocateRequest) -> list[PrivateDataBlock]:
        """The blocks that a request is about.

        Raises:
            InvalidInput: fewer match than it asks for, with both numbers.
        """
        found = matching.candidates(request, namespace, self.store.list_blocks(namespace))
        matching.require_enough(request, len(found))
        return found

    def ledger(self, *, block_id: str | None = None, claim_id: str | None = None) -> Sequence[Entry]:
        """What was committed for good, entry by entry; of one block or claim, or all of it."""
        return self.store.ledger(block_id=block_id, claim_id=claim_id)

    def verify_ledger(self) -> ledger_audit.Audit:
        """Check that the ledger is whole and adds up; CorruptData names what does not."""
        return ledger_audit.verify(self.store)

    def policy(self) -> Mapping[str, str]:
        """The scheduling policy of this store: unlock, order, default_timeout_ms."""
        return {**policy.DEFAULTS, **self.store.settings()}

    def set_policy(self, **settings: str) -> None:
        """Change the scheduling policy of this store.

        Raises:
            InvalidInput: a policy that does not exist.
        """
        with self.store.transaction():
            for name, value in settings.items():
                policy.PARSERS[name](value)
                self.store.set_setting(name, value)
            self.read_policy()

    def read_policy(self) -> Policy:
        """The same, ready to run."""
        return Policy.parse(self.policy())

    def run_pass(self) -> None:
        """One pass of the control plane, with the policy of this store."""
        reconcile.reconcile(self.store, self.read_policy(), now_ms=self.clock.now_ms())
