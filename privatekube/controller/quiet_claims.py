"""Tell, once for each pause, that the run of a claim which holds budget has reported nothing for a while.

A pod that cannot start reports nothing. The controller reads no pods: a right to read those of every run would be a
right to read those of everybody. So it tells what it knows of the claim, and where to look.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from privatekube.controller.status_events import NO_PROGRESS, StatusEvent
from privatekube.resources import meta
from privatekube.resources.claim import PrivacyBudgetClaim
from privatekube.scheduling.policy import Policy

LONGEST_SECONDS = 15 * 60
"""After how long without progress it is told; sooner where the claim is settled sooner: after half of that time."""


@dataclass
class QuietClaims:
    """Remembers which pauses are told already.

    Example::

        quiet = QuietClaims()
        for claim, event in quiet.events(store.list_claims(open_only=True), policy, now_ms=clock.now_ms()):
            recorder.record(kinds.CLAIM, claim.meta, event)
    """

    _told: dict[str, int] = field(default_factory=dict)
    """When a pause began that is told, by the uid of its claim."""

    def events(
        self, claims: Iterable[PrivacyBudgetClaim], policy: Policy, *, now_ms: int
    ) -> Iterator[tuple[PrivacyBudgetClaim, StatusEvent]]:
        """Yield each claim whose pause is not told yet, with the Event that tells it.

        Args:
            claims: all that may hold budget; the pauses of others are forgotten.
            policy: says when a claim is settled at the latest.
            now_ms: the time, unix milliseconds.
        """
        told, self._told = self._told, {}
        for claim in claims:
            after = claim.spec.settle_after
            if after is None or not claim.holds_budget:
                continue
            since_ms = claim.last_progress_ms
            if now_ms - since_ms < 1000 * min(LONGEST_SECONDS, after.seconds / 2):
                continue
            self._told[claim.meta.uid] = since_ms
            if told.get(claim.meta.uid) != since_ms:
                yield claim, _event(since_ms, claim.settle_at_ms(policy.settle_within_ms))


def _event(since_ms: int, settle_at_ms: int | None) -> StatusEvent:
    since = meta.format_time(since_ms)
    end = "" if settle_at_ms is None else f"; it is settled at {meta.format_time(settle_at_ms)} unless the run goes on"
    return StatusEvent(
        NO_PROGRESS,
        f"no progress since {since}: a step takes long, or a pod of its run may not start (kubectl get pods and "
        f"kubectl describe pod, in the namespace of the run, say why){end}",
    )
