"""When the next pass has work to do even if nothing changes: a timeout, a settle-after time, budget that unlocks."""

from __future__ import annotations

from privatekube.engine import allocate_requests, unlocking
from privatekube.resources.block import PrivateDataBlock
from privatekube.resources.claim import PrivacyBudgetClaim
from privatekube.scheduling.policy import Policy
from privatekube.store.base import ResourceStore

_SOONEST_SECONDS = 0.01


def seconds_until(store: ResourceStore, policy: Policy, *, now_ms: int) -> float:
    """Return how long until the next pass has work to do, in seconds; infinite if nothing is due."""
    due_ms = [time_ms for claim in store.list_claims(open_only=True) for time_ms in _due_ms(claim, policy, now_ms)]
    ends_ms = [allocate_requests.waits_until_ms(claim, policy) for claim in store.obstructed_claims()]
    due_ms += [time_ms for time_ms in ends_ms if time_ms is not None]
    if policy.unlocking.period_ms is not None:
        due_ms += [due for block in store.list_blocks() if (due := _next_unlock_ms(block, policy)) is not None]
    return max(_SOONEST_SECONDS, (min(due_ms) - now_ms) / 1000) if due_ms else float("inf")


def _next_unlock_ms(block: PrivateDataBlock, policy: Policy) -> int | None:
    return None if block.status is None else unlocking.next_ms(block, policy)


def _due_ms(claim: PrivacyBudgetClaim, policy: Policy, now_ms: int) -> list[int]:
    end_ms = allocate_requests.waits_until_ms(claim, policy)
    settle_ms = claim.settle_at_ms(policy.settle_within_ms)
    is_ahead = settle_ms is not None and settle_ms > now_ms  # a claim that could not be settled waits for a change
    return [time_ms for time_ms in (end_ms, settle_ms if is_ahead else None) if time_ms is not None]
