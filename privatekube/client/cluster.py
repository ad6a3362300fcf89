"""A cluster's control plane: a client writes requests and waits until the controller there has answered."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar, TypeVar

from privatekube import errors, retries
from privatekube.client import stored
from privatekube.client.claim_writer import ClaimWriter, require_unopened
from privatekube.client.client import BudgetClient
from privatekube.client.passes import Outcome
from privatekube.engine import overdue_claims
from privatekube.reconcile import block_admission, ledger_audit
from privatekube.resources.block import PrivateDataBlock
from privatekube.resources.claim import PrivacyBudgetClaim
from privatekube.store.kubernetes import custom_objects, login
from privatekube.store.kubernetes.core_objects import CoreObjects
from privatekube.store.kubernetes.server_clock import ServerClock
from privatekube.store.kubernetes.store import SYSTEM_NAMESPACE, KubernetesStore
from privatekube.store.kubernetes.visible_objects import VisibleObjects

T = TypeVar("T")
ANSWER_TIMEOUT_SECONDS = 60.0
"""How long the API server and the controller may be unavailable or busy."""
_AUDITS, _BETWEEN_AUDITS = 8, retries.BackOff(first_seconds=0.5, longest_seconds=0.5)


def connect(context: str | None = None) -> BudgetClient:
    """Return a client of the cluster of this pod's service account, or of a context of the kubeconfig.

    What the role of the user does not allow is refused by the API server, and raised as InvalidInput.

    Raises:
        InvalidInput: neither exists.
    """
    api = login.log_in(context=context)
    objects = custom_objects.Cluster(api, patience_seconds=ANSWER_TIMEOUT_SECONDS)
    clock = ServerClock(api)
    store = KubernetesStore(objects, CoreObjects(api, patience_seconds=ANSWER_TIMEOUT_SECONDS), clock=clock)
    return BudgetClient(store, Cluster(store), clock=clock)


def connect_to_read(
    token: str, *, server: str, certificate_authority: Path, namespaces: Sequence[str] = ()
) -> tuple[BudgetClient, VisibleObjects]:
    """Return a client that reads what the user of a token may read and writes nothing; and what knows the rest.

    Args:
        token: the user's.
        server: URL of the API server.
        certificate_authority: the file that its certificate is checked with.
        namespaces: see `VisibleObjects`.
    """
    api = login.log_in_to_read(token, server=server, certificate_authority=certificate_authority)
    core, clock = CoreObjects(api), ServerClock(api)
    objects = VisibleObjects(api, core, namespaces=namespaces)
    store = KubernetesStore(objects, core, clock=clock)
    return BudgetClient(store, Cluster(store), clock=clock), objects


@dataclass(frozen=True, slots=True)
class Cluster:
    """Has the controller of a cluster act, by writing what it reads and waiting for what it writes.

    Args:
        store: the resources of the cluster.
        answer_timeout_seconds: how long to wait for the controller.
    """

    store: KubernetesStore
    answer_timeout_seconds: float = ANSWER_TIMEOUT_SECONDS

    is_embedded: ClassVar[bool] = False
    no_answer: ClassVar[str] = (
        f"no controller answered; is it running? kubectl -n {SYSTEM_NAMESPACE} get pods -l app=privatekube-controller"
    )

    def current(self, read: Callable[[], T]) -> T:
        """Return what `read` returns: the controller decides what is due without being asked."""
        return read()

    def owner_key(self) -> bytes:
        """Return the data owner's key; wait for it in a new cluster, where only the controller may create it."""
        return retries.call(
            lambda: block_admission.owner_key(self.store),
            on=errors.StoreBusy,
            timeout_seconds=self.answer_timeout_seconds,
        )

    def admit(self, blocks: Sequence[PrivateDataBlock]) -> None:
        """Wait until the controller has given each block its first status."""
        for block in blocks:
            self._wait_for_block(block.id, lambda block: block is not None and block.status is not None)

    def delete_block(self, block_id: str) -> None:
        """Mark a block for deletion, and wait until the controller has recorded what was committed on its data."""
        if not stored.block(self.store, block_id).meta.is_deleted:
            retries.call(
                lambda: self.store.request_deletion(stored.block(self.store, block_id)),
                on=errors.Conflict,
                timeout_seconds=self.answer_timeout_seconds,
            )
        self._wait_for_block(block_id, lambda block: block is None)

    def set_policy(self, settings: Mapping[str, str]) -> None:
        """Refuse every change: the policy of a cluster is an option of its controller."""
        if settings:
            raise errors.InvalidInput(
                "policy: is set at the controller in a cluster; change the options --unlock and --order of its "
                "Deployment"
            )

    def audit(self) -> ledger_audit.Audit:
        """Check the ledger; repeat it where the controller may have written meanwhile."""
        return retries.call(
            lambda: ledger_audit.verify(self.store),
            on=errors.CorruptData,
            attempts=_AUDITS,
            back_off=_BETWEEN_AUDITS,
        )

    def release(self, claims: ClaimWriter, claim_id: str) -> None:
        """Have the controller return everything that a claim holds."""
        require_unopened(claims.get(claim_id))
        self.settle(claims, claim_id)

    def settle(self, claims: ClaimWriter, claim_id: str) -> Outcome:
        """Have the controller settle a claim, by setting its settle-after time to one that has passed."""
        claim = self.store.get_claim(claim_id)
        if claim is None:
            return Outcome.NO_CLAIM
        if self._is_settled(claim):
            return Outcome.NOTHING
        claims.update_spec(claim_id, lambda claim: replace(claim, spec=claim.spec.settle_at_once()))
        settled_claim = claims.wait_for(claim_id, self._is_settled, n_blocks=len(claim.status.acquired))
        return Outcome.CONSUMED if settled_claim.status.committed else Outcome.RELEASED

    def _wait_for_block(self, block_id: str, is_done: Callable[[PrivateDataBlock | None], bool]) -> None:
        retries.poll(
            lambda: self.store.get_block(block_id),
            is_done,
            timeout_seconds=self.answer_timeout_seconds,
            error=errors.StoreBusy(f"block {block_id}: {self.no_answer}; if it runs, the block's Events say why"),
        )

    def _is_settled(self, claim: PrivacyBudgetClaim) -> bool:
        return not claim.is_waiting and not overdue_claims.holds_on_known_blocks(claim, self.store.get_block)
