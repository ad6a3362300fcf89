"""The clock of a cluster: the API server's, whatever the clocks of machines say."""

from __future__ import annotations

import email.utils
import http.server
import threading
from collections.abc import Iterator

import pytest
from kubernetes import client

from privatekube import errors
from privatekube.store.clock import SYSTEM
from privatekube.store.kubernetes.server_clock import ServerClock
from tests.kubernetes.apiserver import ApiServer

SECOND_NS = 1_000_000_000
IN_2026, IN_2036, IN_1970 = 1_790_000_000, 2_100_000_000, 100_000


class Server:
    """An HTTP server that answers with a time that can be set, and an elapsed time that can be advanced."""

    def __init__(self) -> None:
        self.date, self.elapsed_ns, self.answers = email.utils.formatdate(IN_2026, usegmt=True), 0, 0

        class Handler(http.server.BaseHTTPRequestHandler):
            """Answers with the date of the server."""

            def do_GET(handler) -> None:  # noqa: N805 - `self` is the server
                """Answer."""
                self.answers += 1
                handler.send_response_only(200)
                handler.send_header("Date", self.date)
                handler.send_header("Content-Length", "0")
                handler.end_headers()

            def log_message(handler, *_: object) -> None:  # noqa: N805
                """Log nothing."""

        self._http = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self._http.serve_forever, daemon=True).start()
        self.api = client.ApiClient(client.Configuration(host=f"http://127.0.0.1:{self._http.server_port}"))

    def set_time(self, seconds: int) -> None:
        """Set the server's clock, in unix seconds."""
        self.date = email.utils.formatdate(seconds, usegmt=True)

    def clock(self) -> ServerClock:
        """Return the clock of a new process."""
        return ServerClock(self.api, elapsed_ns=lambda: self.elapsed_ns)

    def close(self) -> None:
        """Stop."""
        self.api.close()
        self._http.shutdown()
        self._http.server_close()


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server()
    yield server
    server.close()


def test_it_tells_the_time_of_the_server_and_counts_on_by_itself(server: Server) -> None:
    clock = server.clock()
    assert clock.now_ms() == IN_2026 * 1000
    server.elapsed_ns += 5 * SECOND_NS
    assert clock.now_ms() == IN_2026 * 1000 + 5000
    assert server.answers == 1


@pytest.mark.parametrize("set_to", [IN_2036, IN_1970, IN_2026 + 5 * 3600, IN_2026 - 5 * 3600])
def test_no_duration_changes_when_the_server_clock_is_set(server: Server, set_to: int) -> None:
    clock = server.clock()
    began_ms = clock.now_ms()
    server.set_time(set_to)
    for minute in range(1, 4):
        server.elapsed_ns += 60 * SECOND_NS
        assert clock.now_ms() == began_ms + minute * 60_000
    assert server.clock().now_ms() == set_to * 1000


def test_it_follows_a_drift_and_never_goes_back(server: Server) -> None:
    clock = server.clock()
    clock.now_ms()
    for drift in (3, -3):
        server.elapsed_ns += 100 * SECOND_NS
        server.set_time(IN_2026 + server.elapsed_ns // SECOND_NS + drift)
        before_ms = clock.now_ms()
        assert before_ms >= IN_2026 * 1000 + server.elapsed_ns // 1_000_000 + min(drift, 0) * 1000
        server.elapsed_ns += SECOND_NS
        assert clock.now_ms() >= before_ms


def test_it_counts_on_while_the_server_cannot_be_reached(server: Server) -> None:
    clock = server.clock()
    began_ms = clock.now_ms()
    server.date = "yesterday"
    server.elapsed_ns += 100 * SECOND_NS
    assert clock.now_ms() == began_ms + 100_000


def test_a_server_that_states_no_time_is_not_ready(server: Server) -> None:
    server.date = "yesterday"
    with pytest.raises(errors.StoreBusy, match="states no time"):
        server.clock().now_ms()


@pytest.mark.kubernetes
def test_an_api_server_states_its_time(apiserver: ApiServer) -> None:
    with apiserver.api("claimant") as api:
        assert abs(ServerClock(api).now_ms() - SYSTEM.now_ms()) < 60_000
