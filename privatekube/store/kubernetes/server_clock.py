"""The clock of a cluster: the API server's, so that the clocks of controllers and clients need not agree.

The server states the time in the header Date of its answers, in whole seconds. Between two answers, a clock of this
machine counts on that nobody sets. So a process is not affected when the clock of its machine is wrong or is
set, and all processes that connect to a server agree within a second or so.
"""

from __future__ import annotations

import email.utils
import logging
import threading
from collections.abc import Callable

from kubernetes import client

from privatekube import errors
from privatekube.store.clock import steady_ns
from privatekube.store.kubernetes.api_calls import TIMEOUT_SECONDS, translated

_SECOND_NS = 1_000_000_000
_ASK_AGAIN_NS = 60 * _SECOND_NS
"""How long to count on without asking the server."""
_LARGEST_DRIFT_NS = 30 * _SECOND_NS
"""By how much two clocks drift apart at most; a larger difference is a clock that was set."""
_log = logging.getLogger(__name__)


class ServerClock:
    """Tells the time of an API server.

    It never goes back. When the server's clock is set, it counts on as before, so that no duration that this process
    measures gets shorter; a process that starts later takes the new time.

    Args:
        api: the connection.
        elapsed_ns: a clock that nobody sets, in nanoseconds.
    """

    def __init__(self, api: client.ApiClient, *, elapsed_ns: Callable[[], int] = steady_ns) -> None:
        self._api, self._elapsed_ns = api, elapsed_ns
        self._offset_ns: tuple[int, int] | None = None
        """Bounds of the server's time minus the elapsed one."""
        self._asked_ns = self._latest_ns = 0
        self._lock = threading.Lock()

    def now_ms(self) -> int:
        """Return the server's time in milliseconds.

        Raises:
            StoreBusy: the server never answered.
        """
        return self.now_ns() // 1_000_000

    def now_ns(self) -> int:
        """Return the server's time in nanoseconds; up to a second too early, never too late.

        Raises:
            StoreBusy: the server never answered.
        """
        with self._lock:
            if self._offset_ns is None or self._elapsed_ns() >= self._asked_ns + _ASK_AGAIN_NS:
                self._ask()
            assert self._offset_ns is not None  # noqa: S101 - the first question raises if there is no answer
            self._latest_ns = max(self._latest_ns, self._elapsed_ns() + self._offset_ns[0])
            return self._latest_ns

    def _ask(self) -> None:
        """Learn the server's time; if it does not answer, count on from the last answer."""
        before_ns = self._elapsed_ns()
        try:
            date_ns = self._date_ns()
        except errors.PrivateKubeError:
            if self._offset_ns is None:
                raise
        else:
            after_ns = self._elapsed_ns()
            self._learn(date_ns - after_ns, date_ns + _SECOND_NS - before_ns)
        self._asked_ns = before_ns

    def _learn(self, low_ns: int, high_ns: int) -> None:
        """Take over the bounds of an answer: narrow those that are known, or replace them after a drift."""
        if self._offset_ns is None:
            self._offset_ns = (low_ns, high_ns)
            return
        narrowed = max(low_ns, self._offset_ns[0]), min(high_ns, self._offset_ns[1])
        if narrowed[0] <= narrowed[1]:
            self._offset_ns = narrowed
        elif narrowed[0] - narrowed[1] <= _LARGEST_DRIFT_NS:
            self._offset_ns = (low_ns, high_ns)
        else:
            seconds = (low_ns - self._offset_ns[0]) // _SECOND_NS
            _log.warning(
                "the API server's clock was set by %d s; this process counts on as before, until it is restarted",
                seconds,
            )

    def _date_ns(self) -> int:
        """Return the time in the server's answer, in nanoseconds; it is a second later at most."""
        with translated("version"):
            _, _, headers = self._api.call_api(
                "/version", "GET", auth_settings=["BearerToken"], _request_timeout=TIMEOUT_SECONDS
            )
        try:
            date = email.utils.parsedate_to_datetime(str(headers.get("Date")))
            return int(date.timestamp()) * _SECOND_NS
        except (ValueError, OverflowError) as error:
            raise errors.StoreBusy(f"kubernetes: the API server states no time ({error}); try again") from error
