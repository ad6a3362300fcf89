"""The controller of a cluster: passes over its store for as long as it leads, whatever single objects are like.

A pass runs when something changed, when a deadline comes, and every period; what it does follows from what is stored.
"""

from __future__ import annotations

import logging
import threading
import time
from dataclasses import dataclass

from privatekube import errors
from privatekube.controller import next_due as due
from privatekube.controller import status_events
from privatekube.controller.event_recorder import Recorder
from privatekube.controller.leader_election import Leader, Term
from privatekube.controller.metrics import Metrics
from privatekube.controller.status_events import Happening
from privatekube.reconcile import block_admission, reconcile
from privatekube.resources.wire import blocks as block_codec
from privatekube.resources.wire import claims
from privatekube.scheduling.policy import Policy
from privatekube.store import kinds
from privatekube.store.base import Resource
from privatekube.store.kubernetes.controller_store import WatchingStore
from privatekube.store.kubernetes.core_objects import CoreObjects
from privatekube.store.kubernetes.custom_objects import Cluster

_KINDS = {kinds.BLOCK: block_codec.KIND, kinds.CLAIM: claims.KIND}
_QUIET_SECONDS, _LONGEST_LEFT_SECONDS = 1.0, 300.0
"""So long nothing is decided before what may wait is written; and so long it waits at most."""
_GATHER_SECONDS = 0.01
_FIRST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS = 0.2, 10.0
_LONGEST_PASS_SECONDS = 300.0
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Settings:
    """Of one controller.

    Args:
        policy: how budget is shared, by name; see `policy.Policy.parse`.
        period_seconds: how often to run a pass at least.
        identity: of this replica.
        namespace: of the lease.
    """

    policy: dict[str, str]
    period_seconds: float
    identity: str
    namespace: str

    def __post_init__(self) -> None:
        Policy.parse(self.policy)


class Controller:
    """One replica. `run` does all the work; the other methods are called by the threads around it."""

    def __init__(self, cluster: Cluster, core: CoreObjects, settings: Settings) -> None:
        self._settings, self._policy = settings, Policy.parse(settings.policy)
        self.store = WatchingStore(cluster, core, self)
        self.leader = Leader(core, settings.identity, settings.namespace, self.changed)
        self.metrics = Metrics(self.store.known_blocks, self.store.known_claims)
        self._recorder = Recorder(core, self.leader.identity)
        self._woken, self._stopped = threading.Event(), threading.Event()
        self._alive = self._completed = self._wrote = time.monotonic()
        self._term: Term | None = None
        self._pause = _FIRST_PAUSE_SECONDS
        self._refused: set[str] = set()

    @property
    def is_alive(self) -> bool:
        """Whether the loop still goes round."""
        return time.monotonic() < self._alive + _LONGEST_PASS_SECONDS

    @property
    def is_ready(self) -> bool:
        """Whether it has seen all blocks and claims, so that it could lead."""
        return self.store.is_filled and not self._stopped.is_set()

    def stop(self) -> None:
        """Have `run` end at the next write, wherever in a pass that is: nothing is lost by it."""
        self._stopped.set()
        self.store.halt()
        self._woken.set()

    def run(self) -> None:
        """Lead when it can, until `stop`."""
        self.store.start()
        self._recorder.start()
        self.leader.start()
        seconds = self._settings.period_seconds
        while not self._stopped.is_set():
            was_woken = self._woken.wait(seconds)
            self._alive = time.monotonic()
            time.sleep(_GATHER_SECONDS if was_woken else 0.0)
            self._woken.clear()
            seconds = self._round()
        self._end()

    def changed(self) -> None:
        """Something may have to be done."""
        self._woken.set()

    def wrote(self, before: Resource | None, after: Resource) -> None:
        """Tell people what a write of status means."""
        kind, self._wrote = kinds.kind(after), time.monotonic()
        self.metrics.writes.labels(kind).inc()
        for happened in status_events.of(before, after):
            if kind == kinds.CLAIM:
                self.metrics.count(happened)
            self._recorder.record(_KINDS[kind], after.meta, happened)
            _log.info(happened.message, extra={"reason": happened.reason, kind: after.id})

    def met_conflict(self) -> None:
        """Count it."""
        self.metrics.conflicts.inc()

    def relisted(self, kind: str) -> None:
        """Count it."""
        self.metrics.relists.labels(kind).inc()

    def malformed(self, kind: str, resource_id: str, fault: str) -> None:
        """Say what is wrong with an object that is left out."""
        _log.error("left out: %s", fault, extra={kind: resource_id})

    def _round(self) -> float:
        """One time round; how long to wait then."""
        period, now = self._settings.period_seconds, time.monotonic()
        if self._stopped.is_set() or not self._leads():
            return period
        is_quiet = now >= self._wrote + _QUIET_SECONDS
        left = self._pass(completely=is_quiet or now >= self._completed + _LONGEST_LEFT_SECONDS)
        if left is None:
            self._pause = min(self._pause * 2, _LONGEST_PAUSE_SECONDS)
            return self._pause
        if not left:
            self._completed = time.monotonic()
        self._pause = _FIRST_PAUSE_SECONDS
        self._tell_of_refused_blocks()
        next_due = due.seconds(self.store, self._policy, now_ms=_now_ms())
        return min(period, next_due, _QUIET_SECONDS if left else period)

    def _leads(self) -> bool:
        """Whether this replica leads and may write; where it only just begins to, it takes over first."""
        term = self.leader.term
        self.metrics.leader.set(term is not None)
        if term is None or term == self._term:
            return term is not None
        self._term = None
        try:
            latest = self.store.refresh()
            if term.epoch <= latest:
                term = self.leader.raise_to(latest + 1)
            if term is None:
                return False
            self.store.take_over(term.epoch, fence=not term.was_given_back)
            for name, value in self._settings.policy.items():
                self.store.set_setting(name, value)
        except errors.PrivateKubeError as error:
            _log.warning("cannot take over yet: %s", error)
            time.sleep(_FIRST_PAUSE_SECONDS)
            self.changed()
            return False
        self._term = term
        _log.info("leads", extra={"epoch": term.epoch, "identity": self.leader.identity})
        return True

    def _pass(self, *, completely: bool) -> bool | None:
        """Run a pass: whether something is left to be written; None where it failed."""
        try:
            with self.metrics.decision.time():
                return reconcile.reconcile(self.store, self._policy, now_ms=_now_ms(), completely=completely)
        except errors.Deposed as error:
            _log.warning("leads no more: %s", error)
            self._term = None
            self.leader.resign()
            return False
        except errors.PrivateKubeError as error:
            self._failed(error, type(error).__name__)
            self._isolate(error)
        except Exception as error:  # noqa: BLE001 - a controller that stops for one mistake helps nobody
            _log.exception("pass failed")
            self._failed(error, type(error).__name__)
        return None

    def _failed(self, error: Exception, reason: str) -> None:
        self.metrics.failures.labels(reason).inc()
        _log.warning("pass failed: %s", error, extra={"reason": reason})

    def _isolate(self, error: errors.PrivateKubeError) -> None:
        """Go on without the one object that a pass failed on, for a while."""
        found = None if error.resource is None else self.store.set_aside(error.resource)
        if found is not None:
            happened = Happening(status_events.FAILED, f"left out for a while: {error}", is_warning=True)
            self._recorder.record(_KINDS[kinds.kind(found)], found.meta, happened)
            self.changed()

    def _tell_of_refused_blocks(self) -> None:
        """Say once of each block that a pass did not admit, why."""
        blocks = self.store.list_blocks()
        for block in [each for each in blocks if each.status is None]:
            if block.meta.uid not in self._refused:
                self._refused.add(block.meta.uid)
                try:
                    block_admission.require_admissible(self.store, block, block_admission.admitted_by_data(blocks))
                except errors.PrivateKubeError as error:
                    happened = Happening(status_events.NOT_ADMITTED, str(error), is_warning=True)
                    self._recorder.record(_KINDS[kinds.BLOCK], block.meta, happened)

    def _end(self) -> None:
        self.store.drain()  # whoever leads next need not fence off a write that comes late
        self.leader.give_back()
        _log.info("ended")


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
