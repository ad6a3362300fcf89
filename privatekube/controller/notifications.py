"""Tell a webhook or a command of blocks that are nearly exhausted or used up, in a thread of its own.

Nothing waits for it: what cannot be queued is dropped, what cannot be delivered is tried again a few times, and both
are logged and counted. Neither an address nor a command is ever logged, since it may hold a secret.
"""

from __future__ import annotations

import json
import logging
import queue
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

from privatekube import errors, retries
from privatekube.controller import draining, status_events
from privatekube.controller.status_events import StatusEvent
from privatekube.resources import summary
from privatekube.resources.block import PrivateDataBlock
from privatekube.resources.thresholds import Thresholds

Send = Callable[[bytes], None]
"""Delivers one JSON document; raises Temporary or Permanent where it cannot."""
TOLD = (status_events.NEARLY_EXHAUSTED, status_events.EXHAUSTED)
"""Of what a receiver is told."""
SENT, FAILED, DROPPED = "sent", "failed", "dropped"
_QUEUE_LENGTH, _ATTEMPTS = 10_000, 5
_BACK_OFF = retries.BackOff(first_seconds=1.0, longest_seconds=60.0)
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Notice:
    """What happened to a block.

    Args:
        kind: the reason of the Event.
        namespace: of the block.
        dataset: of the block.
        block: `namespace/name`.
        threshold: the committed share that was reached, such as 0.8; None where no threshold was.
        words: the message of the Event.
    """

    kind: str
    namespace: str
    dataset: str
    block: str
    threshold: float | None
    words: str

    @property
    def key(self) -> tuple[str, str, str, float]:
        """What notices of several blocks share that are sent as one."""
        return self.kind, self.namespace, self.dataset, self.threshold or 0.0


def notices(block: PrivateDataBlock, event: StatusEvent, thresholds: Thresholds) -> Iterator[Notice]:
    """Yield what a receiver is told of an Event of a block; nothing of most."""
    if event.reason not in TOLD:
        return
    is_nearly = event.reason == status_events.NEARLY_EXHAUSTED
    percent = thresholds.crossed(summary.committed_share(block)) if is_nearly else None
    threshold = None if percent is None else percent / 100
    yield Notice(event.reason, block.meta.namespace, block.spec.dataset, block.id, threshold, event.message)


class Notifier:
    """Sends notices; those of many blocks of a dataset that come together are one message.

    Args:
        send: delivers a message.
        count: is called with the result for each notice: `sent`, `failed` or `dropped`.
        gather_seconds: how long to wait for more notices after one.
        back_off: how long to pause between attempts.

    Example::

        notifier = Notifier(receivers.receiver("https://alerts.example.org/privacy"), count=print)
        notifier.start()
        notifier.tell_all(notices(block, event, thresholds.DEFAULT))
    """

    def __init__(
        self,
        send: Send,
        count: Callable[[str], None],
        *,
        gather_seconds: float = 2.0,
        back_off: retries.BackOff = _BACK_OFF,
    ) -> None:
        self._send, self._count, self._gather_seconds, self._back_off = send, count, gather_seconds, back_off
        self._queue: queue.Queue[Notice] = queue.Queue(_QUEUE_LENGTH)

    def start(self) -> None:
        """Begin to send, until the process ends."""
        threading.Thread(target=self._run, name="notifications", daemon=True).start()

    def tell_all(self, notices: Iterable[Notice]) -> None:
        """Queue notices; drop those for which there is no room."""
        for told in notices:
            try:
                self._queue.put_nowait(told)
            except queue.Full:
                self._count(DROPPED)
                _log.warning(
                    "notification dropped: too many are queued", extra={"reason": told.kind, "block": told.block}
                )

    def flush(self, seconds: float) -> None:
        """Wait until all notices are sent or given up, or that time is over."""
        draining.wait_until_done(self._queue, seconds)

    def _run(self) -> None:
        while True:
            gathered = [self._queue.get()]
            time.sleep(self._gather_seconds)
            gathered += _waiting(self._queue)
            for group in _grouped(gathered):
                self._deliver(group)
                for _ in group:
                    self._queue.task_done()

    def _deliver(self, group: list[Notice]) -> None:
        """Send the notices of a group as one message, a few times if need be."""
        try:
            body = message(group)
            retries.call(lambda: self._send(body), attempts=_ATTEMPTS, back_off=self._back_off)
            result = SENT
        except Exception as error:  # noqa: BLE001 - one message must not keep all later ones from being sent
            fault = str(error) if isinstance(error, errors.PrivateKubeError) else type(error).__name__
            _log.warning("notification not delivered: %s", fault, extra={"reason": group[0].kind})
            result = FAILED
        for _ in group:
            self._count(result)


def message(group: list[Notice]) -> bytes:
    """Return the JSON of notices that differ in their blocks only; it names the first block and how many there are."""
    first = group[0]
    more = "" if len(group) == 1 else f", and the same of {summary.number_of(len(group) - 1, 'more block')}"
    document = {
        "kind": first.kind,
        "namespace": first.namespace,
        "dataset": first.dataset,
        "block": first.block,
        "blocks": len(group),
        "threshold": first.threshold,
        "words": f"block {first.block} of {first.dataset}: {first.words}{more}",
        "time": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
    }
    return json.dumps(document).encode()


def _waiting(notices: queue.Queue[Notice]) -> Iterator[Notice]:
    """Yield what is queued already."""
    try:
        while True:
            yield notices.get_nowait()
    except queue.Empty:
        return


def _grouped(notices: Iterable[Notice]) -> list[list[Notice]]:
    groups: dict[tuple[str, str, str, float], list[Notice]] = {}
    for told in notices:
        groups.setdefault(told.key, []).append(told)
    return list(groups.values())
