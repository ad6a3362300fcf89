"""The client of a cluster's control plane: it writes requests and waits until the controller there has answered."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

from privatekube import errors, retries
from privatekube.client.client import BudgetClient, Outcome, require_unopened
from privatekube.engine import overdue_claims
from privatekube.reconcile import ledger_audit
from privatekube.resources.block import PrivateDataBlock
from privatekube.resources.claim import PrivacyBudgetClaim, SettleAfter
from privatekube.resources.data_identity import DataIdentity
from privatekube.store.kubernetes import login
from privatekube.store.kubernetes.core_objects import CoreObjects
from privatekube.store.kubernetes.custom_objects import Cluster
from privatekube.store.kubernetes.store import SYSTEM_NAMESPACE, KubernetesStore

ANSWER_TIMEOUT_SECONDS = 60.0
"""How long the API server and the controller may be unavailable or busy."""
_AUDITS, _BETWEEN_AUDITS = 8, retries.BackOff(first_seconds=0.5, longest_seconds=0.5)


def connect(context: str | None = None) -> ClusterClient:
    """Return a client of the cluster of this pod's service account, or of a context of the kubeconfig.

    Raises:
        InvalidInput: neither exists.
    """
    api = login.log_in(context=context)
    cluster = Cluster(api, patience_seconds=ANSWER_TIMEOUT_SECONDS)
    return ClusterClient(KubernetesStore(cluster, CoreObjects(api, patience_seconds=ANSWER_TIMEOUT_SECONDS)))


class ClusterClient(BudgetClient):
    """A `BudgetClient` where a controller runs the passes.

    What the role of the user does not allow is refused by the API server, and raised as InvalidInput.
    """

    is_embedded = False
    store: KubernetesStore
    answer_timeout_seconds = ANSWER_TIMEOUT_SECONDS
    no_answer = (
        f"no controller answered; is it running? kubectl -n {SYSTEM_NAMESPACE} get pods -l app=privatekube-controller"
    )

    def run_pass(self) -> None:
        """Do nothing: the controller runs the passes."""

    def create_blocks(
        self, blocks: Sequence[PrivateDataBlock], identities: Iterable[DataIdentity] = ()
    ) -> list[PrivateDataBlock]:
        """Register the blocks that do not exist yet, and wait until the controller has admitted them."""
        created = super().create_blocks(blocks, identities)
        for block in created:
            self._wait_for_block(block.id, lambda block: block is not None and block.status is not None)
        return created

    def delete_block(self, namespace: str, name: str) -> None:
        """Delete a block, and wait until the controller has recorded what was committed on its data."""
        block_id = f"{namespace}/{name}"
        if not self.get_block(block_id).meta.is_deleted:
            retries.call(
                lambda: self.store.request_deletion(self.get_block(block_id)),
                on=errors.Conflict,
                timeout_seconds=self.answer_timeout_seconds,
            )
        self._wait_for_block(block_id, lambda block: block is None)

    def set_policy(self, **settings: str) -> None:
        """Refuse every change: the policy of a cluster is an option of its controller."""
        if settings:
            raise errors.InvalidInput(
                "policy: is set at the controller in a cluster; change the options --unlock and --order of its "
                "Deployment"
            )

    def verify_ledger(self) -> ledger_audit.Audit:
        """Check the ledger as `BudgetClient` does; repeat it where the controller may have written meanwhile."""
        return retries.call(super().verify_ledger, on=errors.CorruptData, attempts=_AUDITS, back_off=_BETWEEN_AUDITS)

    def release(self, claim_id: str) -> None:
        """Have the controller return everything that a claim holds; see `BudgetClient.release`."""
        require_unopened(self.get_claim(claim_id))
        self.settle(claim_id)

    def settle(self, claim_id: str) -> Outcome:
        """Have the controller settle a claim, by setting its settle-after time to one that has passed."""
        claim = self.store.get_claim(claim_id)
        if claim is None:
            return Outcome.NO_CLAIM
        if self._is_settled(claim):
            return Outcome.NOTHING
        self._update_spec(claim_id, _overdue)
        settled_claim = self._wait_for(claim_id, self._is_settled)
        return Outcome.CONSUMED if settled_claim.status.committed else Outcome.RELEASED

    def _wait_for_block(self, block_id: str, is_done: Callable[[PrivateDataBlock | None], bool]) -> None:
        retries.poll(
            lambda: self.store.get_block(block_id),
            is_done,
            timeout_seconds=self.answer_timeout_seconds,
            error=errors.StoreBusy(f"block {block_id}: {self.no_answer}"),
        )

    def _is_settled(self, claim: PrivacyBudgetClaim) -> bool:
        return not claim.is_waiting and not overdue_claims.held_on_known_blocks(claim, self.store.get_block)


def _overdue(claim: PrivacyBudgetClaim) -> PrivacyBudgetClaim:
    """Return the claim with a settle-after time in the past."""
    seconds = 1 if claim.spec.settle_after is None else claim.spec.settle_after.seconds
    return replace(claim, spec=replace(claim.spec, settle_after=SettleAfter(seconds, at_ms=0)))
