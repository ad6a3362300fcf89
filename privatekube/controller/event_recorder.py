"""Events of blocks and claims, written in a thread of its own: nothing waits for them, and none is worth a failure."""

from __future__ import annotations

import logging
import queue
import threading
from datetime import UTC, datetime

from privatekube import errors
from privatekube.controller.status_events import Happening
from privatekube.resources import meta
from privatekube.resources.wire.common import Json
from privatekube.store.kubernetes.core_objects import CoreObjects

_COMPONENT = "privatekube-controller"
_MOST_WAITING, _LONGEST_MESSAGE = 20_000, 1000
_log = logging.getLogger(__name__)


class Recorder:
    """Writes Events as the replica of that identity."""

    def __init__(self, core: CoreObjects, identity: str) -> None:
        self._core, self._identity = core, identity
        self._waiting: queue.Queue[tuple[str, Json]] = queue.Queue(_MOST_WAITING)

    def start(self) -> None:
        """Begin to write, until the process ends."""
        threading.Thread(target=self._write, name="events", daemon=True).start()

    def record(self, kind: str, about: meta.ObjectMeta, happened: Happening) -> None:
        """Have an Event written about an object; dropped where too many wait already."""
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        body = {
            "metadata": {"generateName": f"{about.name[:200]}.", "namespace": about.namespace},
            "involvedObject": {
                "apiVersion": meta.API_VERSION,
                "kind": kind,
                "name": about.name,
                "namespace": about.namespace,
                "uid": about.uid,
            },
            "reason": happened.reason,
            "message": happened.message[:_LONGEST_MESSAGE],
            "type": "Warning" if happened.is_warning else "Normal",
            "firstTimestamp": now,
            "lastTimestamp": now,
            "count": 1,
            "source": {"component": _COMPONENT},
            "reportingComponent": _COMPONENT,
            "reportingInstance": self._identity,
        }
        try:
            self._waiting.put_nowait((about.namespace, body))
        except queue.Full:
            _log.warning("event dropped", extra={"reason": happened.reason, "object": about.id})

    def flush(self) -> None:
        """Wait until what was recorded is written."""
        self._waiting.join()

    def _write(self) -> None:
        while True:
            namespace, body = self._waiting.get()
            try:
                self._core.create_event(namespace, body)
            except errors.PrivateKubeError as error:
                _log.warning("event not written", extra={"reason": body["reason"], "error": str(error)})
            finally:
                self._waiting.task_done()
