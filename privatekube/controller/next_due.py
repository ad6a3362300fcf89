"""When the next pass has something to do although nothing changes: a time-out, a time to settle, time that unlocks."""

from __future__ import annotations

from privatekube.reconcile import allocate_requests
from privatekube.resources import transitions
from privatekube.resources.claim import PrivacyBudgetClaim
from privatekube.scheduling.policy import Policy
from privatekube.store.base import ResourceStore

_SOONEST_SECONDS = 0.01


def seconds(store: ResourceStore, policy: Policy, *, now_ms: int) -> float:
    """How long until then; infinite where nothing is due."""
    times = [at_ms for claim in store.list_claims(open_only=True) for at_ms in _of_claim(claim, policy)]
    period_ms = policy.unlocking.period_ms
    if period_ms is not None:
        admitted = [block for block in store.list_blocks() if block.status is not None]
        times += [(transitions.status_of(block).last_release_ms or 0) + period_ms for block in admitted]
    return max(_SOONEST_SECONDS, (min(times) - now_ms) / 1000) if times else float("inf")


def _of_claim(claim: PrivacyBudgetClaim, policy: Policy) -> list[int]:
    deadline = allocate_requests.deadline_ms(claim, policy.default_timeout_ms)
    settle = None if claim.spec.settle_after is None else claim.spec.settle_after.at_ms
    return [at_ms for at_ms in (deadline, settle) if at_ms is not None]
