"""Hold workloads of Kueue until their claims are granted, and settle the claims of those that ended.

Each round looks at everything again, and every write names the version that it was decided on. So several replicas may
run, a crash loses nothing, and what another writer changed first is decided again in the next round.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

from privatekube import errors, retries
from privatekube.controller.kueue import bound_claims, verdict
from privatekube.controller.kueue.bound_claims import BoundClaim, Holder
from privatekube.controller.kueue.kueue_objects import WORKLOADS, KueueObjects
from privatekube.controller.kueue.mirror import Mirror
from privatekube.controller.kueue.verdict import Verdict
from privatekube.controller.kueue.workload import State, Workload
from privatekube.resources.claim import PrivacyBudgetClaim
from privatekube.store import kinds
from privatekube.store.clock import Clock
from privatekube.store.kubernetes.custom_objects import Cluster
from privatekube.store.kubernetes.store import KubernetesStore

_GATHER_SECONDS = 0.05
"""How long to wait after a change for related changes."""
_LONGEST_ROUND_SECONDS = 300.0
_BACK_OFF = retries.BackOff(first_seconds=0.4, longest_seconds=10.0)
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Settings:
    """The settings of the controller.

    Args:
        hold_seconds: how long a workload keeps the quota that it reserved while its claim waits.
        period_seconds: the longest time between two rounds.
    """

    hold_seconds: int
    period_seconds: float


class AdmissionController:
    """Decides the admission checks of `kueue_objects.CONTROLLER_NAME`: `run` does all the work.

    Args:
        kueue: Kueue's objects.
        claims: access to the claims.
        store: reads and writes claims.
        settings: of the controller.
        clock: tells how long quota is reserved.
    """

    def __init__(
        self, kueue: KueueObjects, claims: Cluster, store: KubernetesStore, settings: Settings, *, clock: Clock
    ) -> None:
        self._kueue, self._store, self._settings, self._clock = kueue, store, settings, clock
        self._workloads = Mirror(kueue.cluster, WORKLOADS, Workload.from_document, self.on_change)
        self._bound = Mirror(claims, kinds.CLAIM.plural, bound_claims.of_document, self.on_change)
        self._woken, self._stopped = threading.Event(), threading.Event()
        self._pauses, self._alive = retries.Pauses(_BACK_OFF), time.monotonic()

    @property
    def is_ready(self) -> bool:
        """Whether it has listed all workloads and claims."""
        return self._workloads.is_filled and self._bound.is_filled and not self._stopped.is_set()

    @property
    def is_alive(self) -> bool:
        """Whether the loop and both watches are running."""
        is_followed = self._workloads.is_followed and self._bound.is_followed
        return is_followed and time.monotonic() < self._alive + _LONGEST_ROUND_SECONDS

    def on_change(self) -> None:
        """Start the next round soon."""
        self._woken.set()

    def stop(self) -> None:
        """Make `run` end after the current round."""
        self._stopped.set()
        self._woken.set()

    def run(self) -> None:
        """Run rounds until `stop`."""
        self._workloads.start()
        self._bound.start()
        seconds = self._settings.period_seconds
        while not self._stopped.is_set():
            time.sleep(_GATHER_SECONDS if self._woken.wait(seconds) else 0.0)
            self._woken.clear()
            self._alive = time.monotonic()
            seconds = self._settings.period_seconds if self.run_round() else self._pauses.next_seconds()

    def run_round(self) -> bool:
        """Decide each workload that awaits it, and settle each claim whose workload ended.

        Returns:
            Whether all went well.
        """
        try:
            checks = self._kueue.activate_checks(now_ms=self._clock.now_ms())
        except errors.PrivateKubeError as error:
            _log.warning("the admission checks cannot be read or activated: %s", error)
            return False
        if not self.is_ready:
            return True  # a list that is complete starts the next round
        workloads = self._workloads.all()
        awaited = [(item, check) for item in workloads for check in sorted(checks) if item.awaits(check)]
        successes = [_attempt(item.id, partial(self._decide, item, check)) for item, check in awaited]
        successes += [_attempt(claim.id, partial(self._settle, claim)) for claim in self._bound.all()]
        if all(successes):
            self._pauses.reset()
        return all(successes)

    def _decide(self, workload: Workload, check: str) -> None:
        """Write the state of an admission check, if it is another one or says something else."""
        now_ms = self._clock.now_ms()
        decided = self._verdict(workload, now_ms)
        known = workload.checks[check]
        if (known.state, known.message) != (decided.state, decided.message):
            self._kueue.set_state(workload, check, decided, now_ms=now_ms)
            facts = {"workload": workload.id, "check": check, "state": str(decided.state)}
            _log.info(decided.message, extra=facts)

    def _verdict(self, workload: Workload, now_ms: int) -> Verdict:
        waits = {"hold_seconds": self._settings.hold_seconds, "now_ms": now_ms}
        try:
            claim = self._claim_of(workload)
        except errors.NotServed:
            raise
        except errors.InvalidInput as error:  # it cannot be read: never a grant
            return verdict.waiting(workload, str(error), **waits)
        if claim is None:
            return verdict.without_claim(workload, **waits)
        holder = bound_claims.holder_of(claim)
        if holder is not None and holder.uid != workload.uid and self._is_live(holder):
            return verdict.used_elsewhere(claim, holder.id)
        decided = verdict.of_claim(workload, claim, **waits)
        if decided.state is not State.REJECTED and (holder is None or holder.uid != workload.uid):
            self._store.update(bound_claims.bound(claim, workload))
        return decided

    def _claim_of(self, workload: Workload) -> PrivacyBudgetClaim | None:
        """Return the claim that a workload names, as it is on the server; None if it names not one that exists."""
        if len(workload.claims) != 1:
            return None
        (name,) = workload.claims
        return self._store.get_claim(f"{workload.namespace}/{name}")

    def _is_live(self, holder: Holder) -> bool:
        """Return whether the workload that uses a claim exists and has not ended."""
        current = self._kueue.workload(holder.namespace, holder.name)
        return current is not None and _is_live(current, holder)

    def _settle(self, bound: BoundClaim) -> None:
        """Have the control plane settle the claim of a workload that ended: as its exit task would."""
        known = self._workloads.get(bound.holder.id)
        if (known is not None and _is_live(known, bound.holder)) or self._is_live(bound.holder):
            return
        claim = self._store.get_claim(bound.id)
        if claim is None or bound_claims.holder_of(claim) != bound.holder:
            return
        settled = replace(claim, spec=claim.spec.settle_at_once())
        if settled.spec != claim.spec:
            self._store.update(settled)
            _log.info("its workload ended: settled", extra={"claim": claim.id, "workload": bound.holder.id})


def _is_live(workload: Workload, holder: Holder) -> bool:
    """Return whether a workload is the one that uses a claim, and has not ended."""
    return workload.uid == holder.uid and not workload.is_over


def _attempt(subject: str, act: Callable[[], None]) -> bool:
    """Act on one object, which must not stop the others; return whether it went well."""
    try:
        act()
    except (errors.Conflict, errors.NotFound):  # it was changed or deleted meanwhile: that starts another round
        return True
    except errors.PrivateKubeError as error:
        _log.warning("%s: not decided yet: %s", subject, error)
    except Exception:  # noqa: BLE001 - one defect must not stop all admissions
        _log.exception("%s: not decided yet", subject)
    else:
        return True
    return False
