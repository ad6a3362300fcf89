"""Notifications reach a webhook or a command; what does not is tried again, dropped and told without its secret."""

from __future__ import annotations

import http.server
import json
import logging
import os
import re
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from privatekube import errors, retries
from privatekube.controller import notifications, receivers, status_events
from privatekube.controller.notifications import Notifier
from privatekube.controller.status_events import StatusEvent
from privatekube.resources import thresholds
from tests import waiting
from tests.controller.test_metrics import used

SOON = retries.BackOff(first_seconds=0.01, longest_seconds=0.01)
SECRET = "hunter2"  # noqa: S105 - of the tests
NEARLY = StatusEvent(status_events.NEARLY_EXHAUSTED, "at least 80% of its budget is committed", is_warning=True)


class Hook(http.server.BaseHTTPRequestHandler):
    """Answers with the statuses that are listed, then 200, and keeps what it got."""

    statuses: list[int]
    bodies: list[dict[str, Any]]

    def do_POST(self) -> None:
        """Keep the message."""
        body = self.rfile.read(int(self.headers["Content-Length"]))
        status = self.statuses.pop(0) if self.statuses else 200
        if status == 200:
            self.bodies.append(json.loads(body))
        self.send_response(status)
        self.send_header("Location", "/elsewhere")
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - as in the base class
        """Log nothing."""


@pytest.fixture
def hook() -> Iterator[tuple[str, type[Hook]]]:
    """Return the URL of a webhook, with a secret, and its handler."""
    handler = type("OneHook", (Hook,), {"statuses": [], "bodies": []})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/hook?key={SECRET}", handler
    server.shutdown()
    thread.join()
    server.server_close()


def notifier(send: notifications.Send) -> tuple[Notifier, Counter[str]]:
    """Return a notifier that is not started yet, and its counts."""
    counts: Counter[str] = Counter()
    return Notifier(send, lambda result: counts.update([result]), gather_seconds=0.1, back_off=SOON), counts


def tell(made: Notifier, n_blocks: int = 1, event: StatusEvent = NEARLY) -> None:
    for number in range(n_blocks):
        made.tell_all(notifications.notices(used(f"b{number}", 0.85), event, thresholds.DEFAULT))


def test_a_webhook_gets_one_message_of_many_blocks_after_it_failed_for_a_while(hook: tuple[str, type[Hook]]) -> None:
    url, handler = hook
    handler.statuses = [503, 429]
    made, counts = notifier(receivers.receiver(url))
    tell(made, 3)
    tell(made, 1, StatusEvent("Admitted", "its budget is 1"))
    made.start()
    made.flush(waiting.PATIENCE_SECONDS)
    assert counts == {"sent": 3}
    (body,) = handler.bodies
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", body.pop("time"))
    assert body == {
        "kind": "NearlyExhausted",
        "namespace": "ns",
        "dataset": "d",
        "block": "ns/b0",
        "blocks": 3,
        "threshold": 0.8,
        "words": "block ns/b0 of d: at least 80% of its budget is committed, and the same of 2 more blocks",
    }


@pytest.mark.parametrize("status", [302, 307, 400, 500])
def test_what_a_webhook_refuses_is_counted_and_told_without_its_secret(
    hook: tuple[str, type[Hook]], caplog: pytest.LogCaptureFixture, status: int
) -> None:
    url, handler = hook
    handler.statuses = [status] * 9
    made, counts = notifier(receivers.receiver(url))
    with caplog.at_level(logging.DEBUG):
        tell(made)
        made.start()
        made.flush(waiting.PATIENCE_SECONDS)
    assert counts == {"failed": 1}
    assert f"the webhook answered {status}" in caplog.text
    assert SECRET not in caplog.text
    assert len(handler.statuses) == (4 if status == 500 else 8)


def test_a_command_gets_the_message_on_its_standard_input_and_one_that_fails_or_hangs_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    receivers.receiver(f"sh -c 'cat > \"$0\"' {out}")(b'{"kind": "x"}')
    assert json.loads(out.read_text()) == {"kind": "x"}
    with pytest.raises(errors.Temporary, match="the command ended with status 3") as failed:
        receivers.receiver(f"sh -c 'exit 3' {SECRET}")(b"")
    assert SECRET not in str(failed.value)
    monkeypatch.setattr(receivers, "_SECONDS", 0.1)
    with pytest.raises(errors.Temporary, match=r"the command took more than 0\.1 s"):
        receivers.receiver("sleep 30")(b"")


def test_what_a_command_has_started_ends_with_it_when_it_takes_too_long(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started = tmp_path / "started"
    script = "sleep 3000 & echo $! > started.part; mv started.part started; wait"
    monkeypatch.chdir(tmp_path)
    for seconds in (1.0, 4.0, 16.0, 64.0):  # until the shell came so far
        monkeypatch.setattr(receivers, "_SECONDS", seconds)
        with pytest.raises(errors.Temporary, match="the command took more than"):
            receivers.receiver(f"sh -c '{script}'")(b"")
        if started.exists():
            break
    waiting.until_ended(int(started.read_text()))


def test_a_receiver_that_hangs_blocks_nobody_and_what_is_too_much_is_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(notifications, "_QUEUE_LENGTH", 5)
    called, go_on = threading.Event(), threading.Event()

    def hang(_: bytes) -> None:
        called.set()
        go_on.wait()

    made, counts = notifier(hang)
    made.start()
    tell(made)
    waiting.until(called.is_set)
    tell(made, 10)  # and neither this nor the next waits until it goes on
    made.flush(0.1)
    assert counts["dropped"] == 5
    go_on.set()
    made.flush(waiting.PATIENCE_SECONDS)
    assert counts == {"sent": 6, "dropped": 5}


@pytest.mark.parametrize(
    "text",
    ["", "ftp://host/x", "file:///etc/passwd", f"https:///{SECRET}", f"http://host:99999/{SECRET}", "http://h/ x\n",
     f"no-such-program {SECRET}", f"sh 'open {SECRET}", "gopher://x", f"https://user:{SECRET}@host/x"],
)  # fmt: skip
def test_what_is_neither_a_url_nor_a_command_is_refused_without_being_printed(text: str) -> None:
    with pytest.raises(errors.InvalidInput, match=r"^--notify: is (not|neither) [^\n]+; write [^\n]+$") as refused:
        receivers.receiver(text)
    assert SECRET not in str(refused.value)


@pytest.mark.slow
def test_the_option_is_checked_before_the_controller_connects(tmp_path: Path) -> None:
    root = Path(__file__).resolve().parents[2]
    environment = {**os.environ, "PYTHONPATH": str(root), "PRIVATEKUBE_NOTIFY": f"ftp://{SECRET}"}
    command = [sys.executable, "-m", "privatekube.controller", "--kubeconfig", str(tmp_path / "absent")]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, cwd=root, check=False, timeout=60)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "error: --notify: is not an http or https URL; write it like https://HOST/PATH\n"
