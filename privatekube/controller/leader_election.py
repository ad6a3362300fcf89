"""Which replica leads: a Lease that its holder renews, and that anybody may take once it was not renewed in time.

As in Kubernetes' own leader election, whether a lease is over is measured by the reader's clock, from when it last saw
it change: clocks of replicas may differ. A holder that was replaced may still be in the middle of a pass; that it
cannot write any more is the epoch's part, see `store.watching`.
"""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from privatekube import errors
from privatekube.resources.wire.common import Json
from privatekube.store.kubernetes.core_objects import CoreObjects

NAME = "privatekube-controller"


@dataclass(frozen=True, slots=True)
class Durations:
    """Of a lease, in seconds.

    Args:
        lease: how long it holds without being renewed.
        renew: after how long without a renewal its holder stops by itself; shorter than `lease`.
        retry: how often it is renewed, or tried.
    """

    lease: float = 10.0
    renew: float = 7.0
    retry: float = 2.0


@dataclass(frozen=True, slots=True)
class Term:
    """One time of leading.

    Args:
        epoch: counts the terms, over all replicas.
        was_given_back: whether the holder before had ended in order, so that it cannot be writing still.
    """

    epoch: int
    was_given_back: bool


class Leader:
    """A replica that leads when it can.

    Args:
        core: where the lease is.
        identity: of this replica, for people; each start is a holder of its own.
        namespace: of the lease.
        on_change: called when it begins or ends to lead.
    """

    def __init__(
        self,
        core: CoreObjects,
        identity: str,
        namespace: str,
        on_change: Callable[[], None],
        durations: Durations = Durations(),
    ) -> None:
        self._core, self._namespace, self._on_change, self._durations = core, namespace, on_change, durations
        self.identity = f"{identity}_{uuid.uuid4().hex[:8]}"
        self._lock = threading.Lock()
        self._term: Term | None = None
        self._renewed = 0.0
        self._seen: tuple[str, float] = ("", 0.0)
        self._ended = threading.Event()

    @property
    def term(self) -> Term | None:
        """The current time of leading; None where another replica leads, or the lease could not be renewed in time."""
        term = self._term
        return term if term is not None and time.monotonic() < self._renewed + self._durations.renew else None

    def start(self) -> None:
        """Try to lead, in a thread of its own, until `give_back`."""
        threading.Thread(target=self._keep_trying, name="lease", daemon=True).start()

    def resign(self) -> None:
        """Stop leading without giving the lease back: another replica has it."""
        self._lead(None)

    def raise_to(self, epoch: int) -> Term | None:
        """Count on from `epoch`, where the lease was deleted and counts anew; the term then, None where it is over.

        Raises:
            Conflict, StoreBusy: it could not be recorded; nothing may be written in this term.
        """
        with self._lock:
            found = self._read()
            if self.term is None or found is None or found["spec"].get("holderIdentity") != self.identity:
                return None
            self._write(found, holder=self.identity, transitions=epoch)
            self._term = Term(epoch, was_given_back=False)
            return self._term

    def give_back(self) -> None:
        """Stop for good, and let another replica lead at once."""
        self._ended.set()
        with self._lock:
            self._lead(None)
            found = self._read()
            if found is not None and found["spec"].get("holderIdentity") == self.identity:
                self._write(found, holder="", transitions=found["spec"].get("leaseTransitions", 0))

    def _keep_trying(self) -> None:
        while not self._ended.is_set():
            try:
                with self._lock:
                    if not self._ended.is_set():
                        self._try()
            except errors.PrivateKubeError:
                if self.term is None:
                    self._lead(None)
            self._ended.wait(self._durations.retry)

    def _try(self) -> None:
        """Renew the lease, or take it where that may be."""
        started = time.monotonic()
        found = self._read()
        spec = {} if found is None else found["spec"]
        holder, transitions = spec.get("holderIdentity") or "", spec.get("leaseTransitions") or 0
        if holder == self.identity and self._term is not None:
            self._write(found, holder=self.identity, transitions=transitions)
            self._renewed = started
        elif found is None or not holder or self._is_over(found):
            self._write(found, holder=self.identity, transitions=transitions + 1)
            self._renewed = started
            self._lead(Term(transitions + 1, was_given_back=not holder))
        else:
            self._lead(None)

    def _is_over(self, lease: Json) -> bool:
        version = lease["metadata"]["resourceVersion"]
        if self._seen[0] != version:
            self._seen = (version, time.monotonic())
        return time.monotonic() >= self._seen[1] + self._durations.lease

    def _lead(self, term: Term | None) -> None:
        changed, self._term = term != self._term, term
        if changed:
            self._on_change()

    def _read(self) -> Json | None:
        return self._core.lease(NAME, self._namespace, timeout_seconds=self._durations.retry)

    def _write(self, found: Json | None, *, holder: str, transitions: int) -> None:
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        before = {} if found is None else found["spec"]
        spec = {
            "holderIdentity": holder,
            "leaseDurationSeconds": int(self._durations.lease),
            "leaseTransitions": transitions,
            "acquireTime": before.get("acquireTime", now) if holder == before.get("holderIdentity") else now,
            "renewTime": now,
        }
        metadata = {"name": NAME, "namespace": self._namespace} if found is None else found["metadata"]
        document = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": metadata, "spec": spec}
        self._core.write_lease(document, timeout_seconds=self._durations.retry)
