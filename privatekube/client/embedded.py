"""The control plane in this process: each request runs the passes that answer it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, TypeVar

from privatekube import errors
from privatekube.client import stored
from privatekube.client.claim_writer import ClaimWriter, require_unopened
from privatekube.client.passes import Outcome
from privatekube.engine import overdue_claims
from privatekube.reconcile import block_admission, ledger_audit, reconcile
from privatekube.resources.block import PrivateDataBlock
from privatekube.resources.claim import PrivacyBudgetClaim
from privatekube.resources.requests import ReleaseRequest
from privatekube.scheduling import policy, unlocking
from privatekube.store.base import ResourceStore
from privatekube.store.clock import SYSTEM, Clock
from privatekube.store.unreadable import Unreadable

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Embedded:
    """Runs passes over a store, with the policy that the store has at that moment: several processes may share it.

    Args:
        store: holds blocks, claims and the policy.
        clock: tells the time of a pass.
    """

    store: ResourceStore
    clock: Clock = SYSTEM

    is_embedded: ClassVar[bool] = True
    answer_timeout_seconds: ClassVar[float] = 10.0
    no_answer: ClassVar[str] = "the store is too busy; try again"

    def run(self) -> None:
        """Run one pass."""
        reconcile.reconcile(self.store, stored.policy_of(self.store), now_ms=self.clock.now_ms())

    def current(self, read: Callable[[], T]) -> T:
        """Run a pass, and return what `read` returns."""
        self.run()
        return read()

    def owner_key(self) -> bytes:
        """Return the data owner's key; it is created on first use."""
        return block_admission.owner_key(self.store)

    def admit(self, blocks: Sequence[PrivateDataBlock]) -> None:
        """Run a pass, which gives all new blocks their first status.

        Raises:
            CorruptData: what cannot be read keeps a block from its status; the message names it.
        """
        self.run()
        admitted = {block.id for block in self.store.list_blocks() if block.status is not None}
        for block in blocks:
            if block.id not in admitted:
                self.store.ledger()  # raises where an entry cannot be read: then no new block is admitted
                raise _withheld(block, self.store.unreadable())

    def delete_block(self, block_id: str) -> None:
        """Delete a block and record what was committed on its data."""
        with self.store.transaction():
            self.run()  # restores a status that was lost, so that it is recorded
            block_admission.remove(self.store, stored.block(self.store, block_id), now_ms=self.clock.now_ms())
            self.run()

    def set_policy(self, settings: Mapping[str, str]) -> None:
        """Write settings of the policy into the store, if the whole policy can be used with them."""
        with self.store.transaction():
            if policy.UNLOCK in settings:
                unlocking.require_explicit(settings[policy.UNLOCK])
            for name, value in settings.items():
                policy.PARSERS[name](value)
                self.store.set_setting(name, value)
            stored.policy_of(self.store)

    def audit(self) -> ledger_audit.Audit:
        """Check the ledger, in one transaction."""
        return ledger_audit.verify(self.store)

    def release(self, claims: ClaimWriter, claim_id: str) -> None:
        """Withdraw what a claim waits for, and append a request to release what it holds."""
        with self.store.transaction():
            claim = claims.get(claim_id)
            require_unopened(claim)
            claim = self._withdraw(claims, claim)
            if claim.status.acquired:
                claims.append(claim, ReleaseRequest(dict(claim.status.acquired)))

    def settle(self, claims: ClaimWriter, claim_id: str) -> Outcome:
        """Append a request to consume what a claim holds if its data was opened, or to release it."""
        with self.store.transaction():
            claim = self.store.get_claim(claim_id)
            if claim is None:
                return Outcome.NO_CLAIM
            held = overdue_claims.held_on_known_blocks(claim, self.store.get_block)
            if not (held or claim.is_waiting):
                return Outcome.NOTHING
            if claim.spec.data_opened and held:
                claims.commit(self._withdraw(claims, claim), held)
                return Outcome.CONSUMED
            self.release(claims, claim_id)
            return Outcome.RELEASED

    def _withdraw(self, claims: ClaimWriter, claim: PrivacyBudgetClaim) -> PrivacyBudgetClaim:
        """Withdraw the requests that a claim waits for and return the claim."""
        while claim.is_waiting:
            reconcile.withdraw(self.store, claim.id, now_ms=self.clock.now_ms())
            claim = claims.get(claim.id)
        return claim


def _withheld(block: PrivateDataBlock, unreadable: Sequence[Unreadable]) -> errors.CorruptData:
    names = ", ".join(str(stored.name) for stored in unreadable) or "an object that the log names"
    return errors.CorruptData(
        f"block {block.id}: gets no budget while {names} cannot be read, which may have its data or hold budget on it; "
        "restore a backup, or create other data"
    )
