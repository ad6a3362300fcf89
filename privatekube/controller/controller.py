"""The controller of a cluster: it runs passes over its store while it leads, and no single bad object stops it.

A pass runs after a change, at a deadline, and once per period; what it does depends on what is stored.
"""

from __future__ import annotations

import logging
import threading
import time
from dataclasses import dataclass
from typing import Any

from privatekube import errors, retries
from privatekube.controller import next_due, notifications, status_events
from privatekube.controller.event_recorder import EventRecorder
from privatekube.controller.leader_election import LeaderElector, Term
from privatekube.controller.metrics import Metrics
from privatekube.controller.notifications import Notifier, Send
from privatekube.controller.problem_reports import ProblemReports
from privatekube.controller.quiet_claims import QuietClaims
from privatekube.controller.status_events import StatusEvent
from privatekube.reconcile import block_admission, reconcile
from privatekube.reconcile.reconcile import Pass
from privatekube.resources import meta
from privatekube.resources.block import PrivateDataBlock
from privatekube.scheduling import unlocking
from privatekube.scheduling.policy import UNLOCK, Policy
from privatekube.store import kinds
from privatekube.store.base import Resource
from privatekube.store.clock import SYSTEM, Clock
from privatekube.store.kinds import Kind
from privatekube.store.kubernetes.controller_store import ControllerStore
from privatekube.store.kubernetes.core_objects import CoreObjects
from privatekube.store.kubernetes.custom_objects import Cluster

_QUIET_SECONDS, _LONGEST_UNWRITTEN_SECONDS = 1.0, 300.0
"""How long no decision must have been made before deferred writes are made, and how long they are deferred at most."""
_GATHER_SECONDS = 0.01
"""How long to wait after a change for related changes."""
_BACK_OFF = retries.BackOff(first_seconds=0.4, longest_seconds=10.0)
_TAKE_OVER_BACK_OFF = retries.BackOff(first_seconds=0.2, longest_seconds=0.2)
_LONGEST_PASS_SECONDS = 300.0
_LAST_EVENTS_SECONDS, _LAST_NOTICES_SECONDS = 10.0, 5.0
"""How long to wait at the end for the Events and notifications on their way."""
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Settings:
    """The settings of one controller.

    Args:
        policy: how budget is shared, by the names of its settings; see `policy.Policy.parse`. Numbers of the unlocking
            are not left out, as `unlocking.require_explicit` says.
        period_seconds: the longest time between two passes.
        identity: of this replica.
        namespace: of the lease.
    """

    policy: dict[str, str]
    period_seconds: float
    identity: str
    namespace: str

    def __post_init__(self) -> None:
        unlocking.require_explicit(self.policy[UNLOCK])
        Policy.parse(self.policy)


class Controller:
    """One replica: `run` does all the work; other threads call the other methods."""

    def __init__(
        self,
        cluster: Cluster,
        core: CoreObjects,
        settings: Settings,
        *,
        clock: Clock = SYSTEM,
        notify: Send | None = None,
    ) -> None:
        self._settings, self._policy, self._clock = settings, Policy.parse(settings.policy), clock
        self.elector = LeaderElector(core, settings.identity, settings.namespace, self.on_change)
        self.store = ControllerStore(cluster, core, self, self.elector.lease_epoch, clock=clock)
        self.metrics = Metrics(self.store.known_blocks, self.store.known_claims)
        self._recorder = EventRecorder(core, self.elector.identity)
        self._notifier = None if notify is None else Notifier(notify, self.metrics.count_notification)
        self._woken, self._stopped = threading.Event(), threading.Event()
        self._alive = self._completed = self._wrote = time.monotonic()
        self._term: Term | None = None
        self._pauses, self._take_over_pauses = retries.Pauses(_BACK_OFF), retries.Pauses(_TAKE_OVER_BACK_OFF)
        self._problems, self._quiet = ProblemReports(self.store, self._recorder), QuietClaims()

    @property
    def is_alive(self) -> bool:
        """Whether the loop, both watches and the election are still running."""
        is_attended = self.store.is_followed and self.elector.is_running
        return is_attended and time.monotonic() < self._alive + _LONGEST_PASS_SECONDS

    @property
    def is_ready(self) -> bool:
        """Whether it has listed all blocks and claims and watches them, so that it could lead."""
        return self.store.is_filled and self.store.is_followed and not self._stopped.is_set()

    def stop(self) -> None:
        """Make `run` end at the next write, anywhere in a pass; no data is lost."""
        self._stopped.set()
        self.store.halt()
        self._woken.set()

    def run(self) -> None:
        """Lead whenever possible, until `stop`."""
        self.store.start()
        self._recorder.start()
        if self._notifier is not None:
            self._notifier.start()
        self.elector.start()
        seconds = self._settings.period_seconds
        while not self._stopped.is_set():
            is_woken = self._woken.wait(seconds)
            self._alive = time.monotonic()
            time.sleep(_GATHER_SECONDS if is_woken else 0.0)
            self._woken.clear()
            seconds = self._run_round()
        self._end()

    def on_change(self) -> None:
        """Start the next pass soon."""
        self._woken.set()

    def on_write(self, before: Resource | None, after: Resource) -> None:
        """Count, record and log the events of a status write."""
        kind: Kind[Any] = kinds.kind_of(after)
        self._wrote = time.monotonic()
        self.metrics.writes.labels(kind.name).inc()
        for event in status_events.between(before, after):
            if kind is kinds.CLAIM:
                self.metrics.count_event(event)
            self._recorder.record(kind, after.meta, event)
            _log.info(event.message, extra={"reason": event.reason, kind.name: after.id})
            if self._notifier is not None and isinstance(after, PrivateDataBlock):
                self._notifier.tell_all(notifications.notices(after, event, self._policy.alarms))

    def on_conflict(self) -> None:
        """Count a write that was refused because another process wrote first."""
        self.metrics.conflicts.inc()

    def on_relist(self, kind: Kind[Any]) -> None:
        """Count that all objects of a kind were listed again."""
        self.metrics.relists.labels(kind.name).inc()

    def on_malformed(self, kind: Kind[Any], subject: meta.ObjectMeta, fault: str) -> None:
        """Log and record why an object cannot be read."""
        _log.error("quarantined: %s", fault, extra={kind.name: subject.id})
        if self.elector.term is not None:  # one replica is enough
            event = StatusEvent(status_events.FAILED, f"quarantined until it is corrected: {fault}", is_warning=True)
            self._recorder.record(kind, subject, event)

    def _run_round(self) -> float:
        """Run a pass if this replica leads; return how long to wait for a change until the next, in seconds."""
        period = self._settings.period_seconds
        if self._stopped.is_set() or not self._take_lead():
            return period
        now = time.monotonic()
        is_quiet = now >= self._wrote + _QUIET_SECONDS
        done = self._run_pass(completely=is_quiet or now >= self._completed + _LONGEST_UNWRITTEN_SECONDS)
        if done is None:
            return self._pauses.next_seconds()
        if not done.has_unwritten:
            self._completed = time.monotonic()
        self._pauses.reset()
        for note in done.set_aside:
            self._quarantine(note.name, note.error)
        if done.has_more:
            self.on_change()
        self._problems.report(done)
        self._report_quiet()
        due = next_due.seconds_until(self.store, self._policy, now_ms=self._clock.now_ms())
        return min(period, due, _QUIET_SECONDS if done.has_unwritten else period)

    def _report_quiet(self) -> None:
        """Record an Event of each claim whose run has reported nothing for a while."""
        claims, now_ms = self.store.list_claims(open_only=True), self._clock.now_ms()
        for claim, event in self._quiet.events(claims, self._policy, now_ms=now_ms):
            self._recorder.record(kinds.CLAIM, claim.meta, event)
            _log.info(event.message, extra={"reason": event.reason, kinds.CLAIM.name: claim.id})

    def _take_lead(self) -> bool:
        """Take over if this replica was elected in a new term; return whether it leads and may write."""
        term = self.elector.term
        self.metrics.leader.set(term is not None)
        if term is None or term == self._term:
            return term is not None
        self._term = None
        try:
            term = self._take_over(term)
        except errors.PrivateKubeError as error:
            _log.warning("cannot take over yet: %s", error)
            self._take_over_pauses.sleep()
            self.on_change()
            return False
        if term is None:
            return False
        self._term = term
        _log.info("leads", extra={"epoch": term.epoch, "identity": self.elector.identity})
        return True

    def _take_over(self, term: Term) -> Term | None:
        """Make sure that no earlier leader can still write; return the term, or None if it has ended."""
        latest_epoch = self.store.refresh()
        current = term if term.epoch > latest_epoch else self.elector.raise_epoch(latest_epoch + 1)
        if current is None:
            return None
        self.store.take_over(current.epoch, fence=not current.was_released)
        for name, value in self._settings.policy.items():
            self.store.set_setting(name, value)
        block_admission.owner_key(self.store)  # data owners may read it, but not create Secrets
        return current

    def _run_pass(self, *, completely: bool) -> Pass | None:
        """Run a pass and return its result; None if it failed or this replica leads no longer."""
        try:
            with self.metrics.decision.time():
                now_ms = self._clock.now_ms()
                return reconcile.reconcile(self.store, self._policy, now_ms=now_ms, completely=completely)
        except errors.Deposed as error:
            _log.warning("no longer leads: %s", error)
            self._term = None
            self.elector.resign()
        except errors.PrivateKubeError as error:
            self._count_failure(error)
            if error.resource is not None:
                self._quarantine(error.resource, error)
                self.on_change()
        except Exception as error:  # noqa: BLE001 - one defect must not stop the controller for all claims
            _log.exception("pass failed")
            self._count_failure(error)
        return None

    def _count_failure(self, error: Exception) -> None:
        reason = type(error).__name__
        self.metrics.failures.labels(reason).inc()
        _log.warning("pass failed: %s", error, extra={"reason": reason})

    def _quarantine(self, name: errors.ResourceName, error: Exception) -> None:
        """Quarantine an object that a pass cannot decide or write, and continue without it for a while."""
        resource = self.store.quarantine(name)
        if resource is not None:
            kind: Kind[Any] = kinds.kind_of(resource)
            event = StatusEvent(status_events.FAILED, f"quarantined for a while: {error}", is_warning=True)
            self._recorder.record(kind, resource.meta, event)

    def _end(self) -> None:
        self.store.drain()  # the next leader need not fence off a write that arrives late
        self._release()
        self._recorder.flush(_LAST_EVENTS_SECONDS)
        if self._notifier is not None:
            self._notifier.flush(_LAST_NOTICES_SECONDS)
        _log.info("ended")

    def _release(self) -> None:
        """Let another replica lead at once, or when the lease expires where that cannot be written."""
        try:
            self.elector.release()
        except errors.PrivateKubeError as error:
            _log.warning("the lease is not released, and expires: %s", error)
