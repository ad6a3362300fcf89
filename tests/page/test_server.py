"""The page as a visitor gets it: what it shows, to whom, and one line for what cannot be served."""

from __future__ import annotations

import asyncio
import contextlib
import csv
import http.client
import io
import json
import os
import socket
import sqlite3
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from privatekube import errors
from privatekube.client import connect
from privatekube.page import reader, server
from privatekube.page.reader import Reader
from privatekube.resources.meta import ObjectMeta
from privatekube.resources.quota import PrivacyBudgetQuota, QuotaSpec
from privatekube.store.sqlite import connection
from privatekube.store.sqlite.store import SqliteStore
from tests import builders, command_line, waiting
from tests.page import sites
from tests.page.sites import Served

VIEWS = (
    "/",
    "/dataset?namespace=ns&name=reviews",
    "/dataset?namespace=ns&name=%3Cscript%3Ealert(1)%3C/script%3E%3Cimg%20src=x%20onerror=alert(2)%3E",
    "/blocks",
    "/blocks/ns/reviews-7-0",
    "/blocks/ns/hostile",
    "/claims",
    "/claims?state=waiting",
    "/claims/ns/paid",
    "/claims/ns/later",
    "/claims?state=waits+for+approval",
    "/claims/ns/greedy",
    "/claims/ns/denied",
    "/claims/ns/later/forecast",
    "/claims/ns/greedy/forecast",
    "/claims/ns/denied/forecast",
    "/spending?by=namespace",
    "/spending?by=dataset",
    "/teams",
    "/runs",
    "/ledger",
    "/ledger/verification",
    "/policy",
    "/policy/other?unlock=all&order=fcfs",
)


@pytest.mark.slow
@pytest.mark.parametrize("path", VIEWS)
def test_no_text_of_a_user_becomes_markup(served: Served, path: str) -> None:
    status, page = served.get(path)
    assert status == 200, page
    assert page.count("<script") == 1
    assert '<script src="/static/live.js" defer></script>' in page
    for attack in ("<script>alert", "<img", 'href="javascript', "onerror=alert(2)>"):
        assert attack not in page


@pytest.mark.slow
def test_a_script_in_the_address_is_text_too(served: Served) -> None:
    for path in ("/blocks?q=%22%3E{}", "/ledger?q=%22%3E{}", "/policy?unlock=%22%3E{}", "/claims?q={}&state={}", "/{}"):
        _, page = served.get(path.replace("{}", "%3Cscript%3Ealert(1)%3C/script%3E"))
        assert "<script>alert" not in page


def test_the_first_page_leads_to_each_answer_in_one_click(served: Served) -> None:
    _, page = served.get("/")
    assert 'href="/blocks/ns/reviews-7-0" aria-label="ns/reviews-7-0, Tue 2013-01-08: 8.2 of epsilon 10 (82.0%)' in page
    assert 'href="/claims/ns/paid"' in page
    assert 'href="/claims/ns/later"' in page
    assert "waits: block ns/reviews-0-0 lacks order 5: asked 3.07" in page
    assert "the dataset runs out <b>about" in page
    _, block = served.get("/blocks/ns/reviews-7-0")
    assert "<b>8.2</b> left of epsilon 10 at delta 1e-07" in block
    _, claim = served.get("/claims/ns/later/forecast")
    assert "when: after" in claim


def test_a_visitor_without_token_of_another_host_or_who_writes_is_refused_in_one_line(served: Served) -> None:
    def ask(path: str = "/", method: str = "GET", **headers: str) -> tuple[int, str]:
        host = served.base.removeprefix("http://")
        with contextlib.closing(http.client.HTTPConnection(host, timeout=waiting.PATIENCE_SECONDS)) as connection:
            connection.request(method, path, headers=headers)
            answer = connection.getresponse()
            assert "default-src 'none'" in (answer.headers["Content-Security-Policy"] or "")
            return answer.status, answer.read().decode()

    cookie = f"{served.access.cookie}={served.access.session}"
    for status, reply in (
        ask(),
        ask("/static/page.css"),
        ask("/events"),
        ask("/?token=wrong"),
        ask("/?token=wrong", Cookie=cookie),
        ask("/", Cookie=f"{served.access.cookie}={served.access.token}"),
    ):
        assert status == 401
        assert reply.startswith("error: token: ")
        assert len(reply.splitlines()) == 1
    assert ask("/", Host="attacker.example", Cookie=cookie)[0] == 421
    assert ask(f"/?token={served.access.token}", Host="attacker.example:80")[0] == 421
    for method in ("POST", "PUT", "DELETE", "OPTIONS"):
        assert ask("/", method, Cookie=cookie)[0] == 405
    assert ask("/", Cookie=cookie)[0] == 200


def test_the_token_gives_a_cookie_and_leaves_the_address(served: Served) -> None:
    with contextlib.closing(
        http.client.HTTPConnection(served.base.removeprefix("http://"), timeout=waiting.PATIENCE_SECONDS)
    ) as connection:
        connection.request("GET", f"//evil.example/?token={served.access.token}&q=1")
        answer = connection.getresponse()
        assert (answer.status, answer.headers["Location"]) == (303, "/evil.example/?q=1")
        cookie = answer.headers["Set-Cookie"]
        assert served.access.token not in cookie
        assert "HttpOnly" in cookie
        assert "SameSite=strict" in cookie


def test_the_ledger_is_searched_and_exported_and_no_cell_is_a_formula(served: Served) -> None:
    _, text = served.get("/ledger.csv?q=ns/reviews-7-0")
    (row,) = csv.DictReader(io.StringIO(text))
    assert (row["claim"], row["reason"]) == ("ns/paid", "consumed")
    _, text = served.get("/ledger.json")
    assert len(json.loads(text)["entries"]) == 20
    assert "are unchanged and add up" in served.get("/ledger/verification")[1]


def test_bad_input_in_an_address_is_one_line(served: Served) -> None:
    for path, status, expected in (
        ("/blocks/ns/none", 404, "block ns/none: does not exist"),
        ("/claims/ns/none", 404, "claim ns/none: does not exist"),
        ("/dataset?namespace=ns&name=none", 404, "has no blocks"),
        ("/policy/other?unlock=sometimes&order=dpf", 400, "unlock: &#39;sometimes&#39;"),
        ("/claims?page=99999999999", 200, "ns/paid"),
        ("/blocks?page=-1", 200, "reviews-7-0"),
    ):
        found, page = served.get(path)
        assert found == status
        assert expected in page


def test_a_change_of_the_store_is_announced_to_an_open_page(tmp_path: Path) -> None:
    uri = f"sqlite:///{tmp_path}/state.db"
    with connect.connect(uri) as client, sites.serving(uri, tmp_path) as page:
        cookie = f"{page.access.cookie}={page.access.session}"
        request = urllib.request.Request(f"{page.base}/events", headers={"Cookie": cookie})  # noqa: S310 - our server
        with urllib.request.urlopen(request, timeout=waiting.PATIENCE_SECONDS) as events:  # noqa: S310 - our server
            assert events.readline() == b"event: revision\r\n"
            first = events.readline()
            client.create_blocks([builders.block("b")])
            waiting.until(lambda: events.readline() == b"event: revision\r\n")
            assert events.readline() not in {first, b""}


def test_a_page_does_not_write_and_does_not_wait_for_one_that_writes(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    with connect.connect(f"sqlite:///{path}") as client:
        client.create_blocks([builders.block("b")])
        reading = SqliteStore(path)
        reading.forbid_writes()
        with client.store.transaction(), reading.transaction():
            assert [block.id for block in reading.list_blocks()] == ["ns/b"]
            with pytest.raises(errors.InvalidInput, match="readonly"):
                reading.set_setting("order", "fcfs")
        reading.close()


def test_what_cannot_be_served_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def serve(*options: str, store: Path) -> str:
        environment = {connect.STORE: f"sqlite:///{store}"}
        done = command_line.privatekube("serve", *options, folder=tmp_path, environment=environment)
        (line,) = done.stderr.splitlines()
        assert done.returncode in (1, 2)
        return line

    store = tmp_path / "state.db"
    assert "does not exist" in serve(store=store)
    with connect.connect(f"sqlite:///{store}") as client:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = str(taken.getsockname()[1])
            assert serve("--port", port, store=store) == (
                f"error: --port: {port} is taken by another program; choose another one"
            )
        assert "--host: 'nowhere.invalid' cannot be listened on" in serve("--host", "nowhere.invalid", store=store)
        monkeypatch.setattr(connection, "BUSY_SECONDS", 0.3)
        with client.store.transaction():
            assert "is held by another process" in serve(store=store)
    store.write_text("not a database")
    assert "is not a store" in serve(store=store)


@pytest.mark.slow
@pytest.mark.parametrize("browser", [None, "true"], ids=["without", "with"])
def test_the_command_prints_an_address_says_whether_there_is_a_browser_and_ends_with_ctrl_c(
    tmp_path: Path, browser: str | None
) -> None:
    uri = f"sqlite:///{tmp_path}/state.db"
    connect.connect(uri).store.close()
    command = [sys.executable, "-m", "privatekube.cli", "serve", "--port", "0", "--open"]
    places = os.environ["PATH"] if browser else str(tmp_path)  # a browser of this machine would be one, too
    environment = os.environ | {connect.STORE: uri, "PYTHONUNBUFFERED": "1", "PATH": places, "BROWSER": browser or ""}
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as run:
        assert run.stdout is not None
        address = run.stdout.readline().strip()
        opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor())
        with opener.open(address, timeout=waiting.PATIENCE_SECONDS) as answer:
            assert "There are no blocks yet" in answer.read().decode()
        run.send_signal(2)
        _, fault = run.communicate(timeout=waiting.PATIENCE_SECONDS)
        warning = "" if browser else "warning: no browser was found; open the address above\n"
        assert (run.returncode, fault) == (130, f"{warning}interrupted\n")


def test_the_address_of_another_machine_cannot_be_listened_on() -> None:
    with pytest.raises(errors.InvalidInput, match=r"--host: '192\.0\.2\.1'"):
        server.listen("192.0.2.1", 0)


def test_an_entry_that_cannot_be_read_and_a_new_quota_are_shown_as_long_as_they_are_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An unreadable entry was told once, until the next reading, which began behind it."""
    monkeypatch.setenv(connect.STORE, sites.fill(tmp_path / "state.db"))
    monkeypatch.setattr(reader, "_EVERY_SECONDS", 0.0)
    with connect.connect() as client, Reader() as reading:
        before = asyncio.run(reading.snapshot())
        client.set_quota(PrivacyBudgetQuota(ObjectMeta("q", "ns"), QuotaSpec("reviews", share=0.0)))
        assert asyncio.run(reading.snapshot()).revision != before.revision
    with contextlib.closing(sqlite3.connect(tmp_path / "state.db")) as spoiled, spoiled:
        spoiled.execute("DROP TRIGGER ledger_is_not_changed")
        spoiled.execute("UPDATE ledger SET body = '{' WHERE sequence = 2")
    with Reader() as reading:
        for number in range(2):
            with contextlib.closing(sqlite3.connect(tmp_path / "state.db")) as other, other:
                other.execute("INSERT OR REPLACE INTO settings VALUES ('note', ?)", [str(number)])
            found = asyncio.run(reading.snapshot())
            assert "entry 2" in found.unreadable[-1]
            assert found.quotas[0].fault is not None
