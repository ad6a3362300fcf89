"""Write Events of blocks and claims in a separate thread; an Event that cannot be written is only logged."""

from __future__ import annotations

import logging
import queue
import threading
from datetime import UTC, datetime
from typing import Any

from privatekube.controller import draining
from privatekube.controller.status_events import StatusEvent
from privatekube.resources import meta
from privatekube.resources.wire.common import Json
from privatekube.store.kinds import Kind
from privatekube.store.kubernetes.core_objects import CoreObjects

_COMPONENT = "privatekube-controller"
_QUEUE_LENGTH, _LONGEST_MESSAGE = 20_000, 1000
_log = logging.getLogger(__name__)


class EventRecorder:
    """Writes the Events of one replica.

    Args:
        core: writes them.
        identity: of the replica.
    """

    def __init__(self, core: CoreObjects, identity: str) -> None:
        self._core, self._identity = core, identity
        self._queue: queue.Queue[tuple[str, Json]] = queue.Queue(_QUEUE_LENGTH)

    def start(self) -> None:
        """Begin to write, until the process ends."""
        threading.Thread(target=self._write, name="events", daemon=True).start()

    def record(self, kind: Kind[Any], subject: meta.ObjectMeta, event: StatusEvent) -> None:
        """Queue an Event about an object; drop it if the queue is full."""
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        body = {
            "metadata": {"generateName": f"{subject.name[:200]}.", "namespace": subject.namespace},
            "involvedObject": {
                "apiVersion": meta.API_VERSION,
                "kind": kind.api_kind,
                "name": subject.name,
                "namespace": subject.namespace,
                "uid": subject.uid,
            },
            "reason": event.reason,
            "message": event.message[:_LONGEST_MESSAGE],
            "type": "Warning" if event.is_warning else "Normal",
            "firstTimestamp": now,
            "lastTimestamp": now,
            "count": 1,
            "source": {"component": _COMPONENT},
            "reportingComponent": _COMPONENT,
            "reportingInstance": self._identity,
        }
        try:
            self._queue.put_nowait((subject.namespace, body))
        except queue.Full:
            _log.warning("event dropped: too many are queued", extra={"reason": event.reason, "object": subject.id})

    def flush(self, seconds: float) -> None:
        """Wait until all queued Events are written, or that time is over; log how many are not."""
        n_left = draining.wait_until_done(self._queue, seconds)
        if n_left:
            _log.warning("events not written: %d were still queued", n_left)

    def _write(self) -> None:
        while True:
            namespace, body = self._queue.get()
            try:
                self._core.create_event(namespace, body)
            except Exception as error:  # noqa: BLE001 - one Event must not keep all later ones from being written
                _log.warning("event not written", extra={"reason": body["reason"], "error": str(error)})
            finally:
                self._queue.task_done()
