"""A client of a cluster's control plane: it only asks; the controller there decides, and is waited for."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Sequence
from dataclasses import replace

from privatekube import errors
from privatekube.client import retries
from privatekube.client.embedded import BudgetClient, Outcome
from privatekube.reconcile import ledger_audit, overdue_claims
from privatekube.resources.block import PrivateDataBlock
from privatekube.resources.claim import PrivacyBudgetClaim, SettleAfter
from privatekube.store.kubernetes import login
from privatekube.store.kubernetes.core_objects import CoreObjects
from privatekube.store.kubernetes.custom_objects import Cluster
from privatekube.store.kubernetes.store import SYSTEM_NAMESPACE, KubernetesStore

_LOOKS, _BETWEEN_LOOKS_SECONDS = 8, 0.5
PATIENCE_SECONDS = 60.0
"""How long the API server and the controller may be away, or busy with others."""


def connect(context: str | None = None) -> ClusterClient:
    """A client of the cluster of the pod's service account, or of a kubeconfig's context.

    Raises:
        InvalidInput: there is none.
    """
    api = login.log_in(context=context)
    cluster = Cluster(api, patience_seconds=PATIENCE_SECONDS)
    return ClusterClient(KubernetesStore(cluster, CoreObjects(api, patience_seconds=PATIENCE_SECONDS)))


class ClusterClient(BudgetClient):
    """See `BudgetClient`. What the role of who asks does not allow is refused by the API server: InvalidInput."""

    store: KubernetesStore
    patience_seconds = PATIENCE_SECONDS
    absent = (
        f"no controller answered; is it running? kubectl -n {SYSTEM_NAMESPACE} get pods -l app=privatekube-controller"
    )

    def run_pass(self) -> None:
        """Nothing: passes are the controller's."""

    def create_blocks(self, blocks: Sequence[PrivateDataBlock]) -> list[PrivateDataBlock]:
        """Register the blocks that are missing, wait until the controller knows them, and return them."""
        created = super().create_blocks(blocks)
        for block in created:
            self._until_block(block.id, lambda found: found is not None and found.status is not None)
        return created

    def delete_block(self, namespace: str, name: str) -> None:
        """Delete a block, once the controller has recorded what was committed on its data."""
        block_id = f"{namespace}/{name}"
        if not self.get_block(block_id).meta.is_deleted:
            retries.repeated(
                lambda: self.store.request_deletion(self.get_block(block_id)), seconds=self.patience_seconds
            )
        self._until_block(block_id, lambda found: found is None)

    def set_policy(self, **settings: str) -> None:
        """Refuse: how a cluster shares budget is what its controller was started with."""
        if settings:
            raise errors.InvalidInput(
                "policy: is the controller's in a cluster; change the options --unlock and --order of its Deployment"
            )

    def verify_ledger(self) -> ledger_audit.Audit:
        """See `ControlPlane`; looked at again where the controller may have been writing meanwhile."""
        for _ in range(_LOOKS - 1):
            with contextlib.suppress(errors.CorruptData):
                return super().verify_ledger()
            time.sleep(_BETWEEN_LOOKS_SECONDS)
        return super().verify_ledger()

    def release(self, claim_id: str) -> None:
        """See `BudgetClient`."""
        claim = self.get_claim(claim_id)
        if claim.spec.data_opened and claim.status.acquired:
            raise errors.BudgetExceeded(f"claim {claim_id}: its data was opened, so its budget cannot come back")
        self.settle(claim_id)

    def settle(self, claim_id: str) -> Outcome:
        """See `BudgetClient`: by having the claim's time to settle be over, which no clock can put off."""
        claim = self.store.get_claim(claim_id)
        if claim is None or self._is_settled(claim):
            return Outcome.NOTHING
        self._respecified(claim_id, _overdue)
        settled = self._once(claim_id, self._is_settled)
        return Outcome.CONSUMED if settled.status.committed else Outcome.RELEASED

    def _until_block(self, block_id: str, is_done: Callable[[PrivateDataBlock | None], bool]) -> None:
        retries.until(
            lambda: self.store.get_block(block_id), is_done, seconds=self.patience_seconds, otherwise=self.absent
        )

    def _is_settled(self, claim: PrivacyBudgetClaim) -> bool:
        return not claim.is_waiting and not overdue_claims.held_on_known_blocks(claim, self.store.get_block)


def _overdue(claim: PrivacyBudgetClaim) -> PrivacyBudgetClaim:
    seconds = 1 if claim.spec.settle_after is None else claim.spec.settle_after.seconds
    return replace(claim, spec=replace(claim.spec, settle_after=SettleAfter(seconds, at_ms=0)))
