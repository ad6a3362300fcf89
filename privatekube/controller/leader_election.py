"""Elect a leading replica: it holds a Lease and renews it; any replica may take a Lease that was not renewed in time.

As in Kubernetes' own leader election, a lease expires by the reader's clock, counted from when the reader last saw it
change, because the clocks of replicas may differ. A replaced leader may still be in a pass; the epoch, see
`store.kubernetes.controller_store`, keeps it from writing.
"""

from __future__ import annotations

import logging
import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from privatekube import errors
from privatekube.resources.wire.common import Json
from privatekube.store.kubernetes import epochs
from privatekube.store.kubernetes.core_objects import CoreObjects

NAME = "privatekube-controller"
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class LeaseTiming:
    """The times of a lease, in seconds.

    Args:
        lease_seconds: how long it is valid without being renewed.
        renew_seconds: how long after its last renewal the holder stops leading; less than `lease_seconds`.
        retry_seconds: how often it is renewed, or another replica tries to acquire it.
    """

    lease_seconds: float = 10.0
    renew_seconds: float = 7.0
    retry_seconds: float = 2.0

    def __post_init__(self) -> None:
        if not 0 < self.retry_seconds < self.renew_seconds < self.lease_seconds:
            value = f"retry {self.retry_seconds:g}, renew {self.renew_seconds:g}, lease {self.lease_seconds:g}"
            raise errors.invalid("lease timing", value, "must increase from above 0", "set retry < renew < lease")


@dataclass(frozen=True, slots=True)
class Term:
    """A period in which one replica leads.

    Args:
        epoch: counts the terms of all replicas.
        was_released: whether the previous leader released the lease, so that it cannot be writing any more.
    """

    epoch: int
    was_released: bool


class LeaderElector:
    """Makes a replica lead whenever it can.

    Args:
        core: reads and writes the lease.
        identity: of this replica, for people; each process has a unique suffix.
        namespace: of the lease.
        on_change: called when it starts or stops leading.
        timing: of the lease.
    """

    def __init__(
        self,
        core: CoreObjects,
        identity: str,
        namespace: str,
        on_change: Callable[[], None],
        timing: LeaseTiming = LeaseTiming(),
    ) -> None:
        self._core, self._namespace, self._on_change, self._timing = core, namespace, on_change, timing
        self.identity = f"{identity}_{uuid.uuid4().hex[:8]}"
        self._lock = threading.Lock()
        self._term: Term | None = None
        self._renewed = 0.0
        self._seen: tuple[str, float] = ("", 0.0)
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None

    @property
    def term(self) -> Term | None:
        """The current term; None if another replica leads, or the lease could not be renewed in time."""
        term = self._term
        return term if term is not None and time.monotonic() < self._renewed + self._timing.renew_seconds else None

    @property
    def is_running(self) -> bool:
        """Whether it tries to lead: it was not started yet, or its thread is running."""
        return self._thread is None or self._thread.is_alive()

    def start(self) -> None:
        """Try to lead, in a separate thread, until `release`."""
        self._thread = threading.Thread(target=self._run, name="lease", daemon=True)
        self._thread.start()

    def resign(self) -> None:
        """Stop leading without releasing the lease: another replica holds it."""
        self._set_term(None)

    def lease_epoch(self) -> int:
        """Return the epoch of the lease as it is now; 0 if there is none."""
        return epochs.of_lease(self._read())

    def raise_epoch(self, epoch: int) -> Term | None:
        """Continue to count from `epoch` after the lease was deleted; return the new term, None if it has ended.

        Raises:
            Conflict, StoreBusy: it could not be recorded; nothing may be written in this term.
        """
        with self._lock:
            lease = self._read()
            if self.term is None or not self._is_held(lease):
                return None
            self._write(lease, holder=self.identity, epoch=epoch)
            self._term = Term(epoch, was_released=False)
            return self._term

    def release(self) -> None:
        """Stop permanently, and let another replica lead at once."""
        self._stopped.set()
        with self._lock:
            self._set_term(None)
            lease = self._read()
            if lease is not None and self._is_held(lease):
                self._write(lease, holder="", epoch=epochs.of_lease(lease))

    def _run(self) -> None:
        while not self._stopped.is_set():
            try:
                with self._lock:
                    if not self._stopped.is_set():
                        self._renew_or_acquire()
            except Exception as error:  # noqa: BLE001 - without this thread, nobody would ever lead here again
                if not isinstance(error, errors.PrivateKubeError):
                    _log.exception("the lease cannot be renewed or acquired")
                if self.term is None:
                    self._set_term(None)
            self._stopped.wait(self._timing.retry_seconds)

    def _renew_or_acquire(self) -> None:
        """Renew the lease if this replica holds it; acquire it if it is free or has expired."""
        started = time.monotonic()
        lease = self._read()
        spec = _spec(lease)
        holder, epoch = spec.get("holderIdentity") or "", epochs.of_lease(lease)
        if holder == self.identity and self._term is not None:
            self._write(lease, holder=self.identity, epoch=epoch)
            self._renewed = started
        elif lease is None or not holder or self._is_expired(lease):
            self._write(lease, holder=self.identity, epoch=epoch + 1)
            self._renewed = started
            self._set_term(Term(epoch + 1, was_released=not holder))
        else:
            self._set_term(None)

    def _is_held(self, lease: Json | None) -> bool:
        return _spec(lease).get("holderIdentity") == self.identity

    def _is_expired(self, lease: Json) -> bool:
        version = lease["metadata"]["resourceVersion"]
        if self._seen[0] != version:
            self._seen = (version, time.monotonic())
        return time.monotonic() >= self._seen[1] + self._timing.lease_seconds

    def _set_term(self, term: Term | None) -> None:
        is_changed, self._term = term != self._term, term
        if is_changed:
            self._on_change()

    def _read(self) -> Json | None:
        return self._core.lease(NAME, self._namespace, timeout_seconds=self._timing.retry_seconds)

    def _write(self, lease: Json | None, *, holder: str, epoch: int) -> None:
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        before = _spec(lease)
        spec = {
            "holderIdentity": holder,
            "leaseDurationSeconds": int(self._timing.lease_seconds),
            "leaseTransitions": epoch,
            "acquireTime": before.get("acquireTime", now) if holder == before.get("holderIdentity") else now,
            "renewTime": now,
        }
        metadata = {"name": NAME, "namespace": self._namespace} if lease is None else lease["metadata"]
        document = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": metadata, "spec": spec}
        self._core.write_lease(document, timeout_seconds=self._timing.retry_seconds)


def _spec(lease: Json | None) -> Json:
    """Return what a lease says; nothing where there is none, or one without a spec."""
    return {} if lease is None else lease.get("spec") or {}
