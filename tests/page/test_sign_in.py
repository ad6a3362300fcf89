"""A shared page: each visitor brings a token, in a header or once in a form, and gets a reader of their own."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlencode

import certifi
import pytest

from privatekube import errors
from privatekube.client.store_client import StoreClient
from privatekube.page import visitors
from privatekube.page.reader import Source
from privatekube.page.readers import Readers
from privatekube.page.sessions import Sessions
from privatekube.page.sign_in import COOKIE, SignIn
from privatekube.store.memory import MemoryStore
from tests import builders
from tests.page import sites

Ask = Callable[..., tuple[int, str, dict[str, str]]]
TOKENS = {"token-of-ann": "of-ann", "token-of-bob": "of-bob"}
"""The tokens that are accepted, each with the name of the only block that its user sees."""


def source(token: str) -> Source:
    """Return the store of a token's user."""
    if token not in TOKENS:
        raise errors.Unauthenticated("user: refused by the API server: Unauthorized")
    client = StoreClient(MemoryStore())
    client.create_blocks([builders.block(TOKENS[token])])
    return Source(client, f"the store of {TOKENS[token]}")


@pytest.fixture
def ask() -> Iterator[Ask]:
    """Return a function that asks the page: for a path, by a method, with a body and headers."""
    door = SignIn(Readers(source, most=2), Sessions(seconds=60, most=2), hosts=["page.example"])
    with sites.serving_to(door) as base:
        yield asking(base)


def asking(base: str) -> Ask:
    def ask(path: str = "/", method: str = "GET", body: str = "", **headers: str) -> tuple[int, str, dict[str, str]]:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        with contextlib.closing(http.client.HTTPConnection(base.removeprefix("http://"), timeout=60)) as connection:
            connection.request(method, path, body or None, named)
            answer = connection.getresponse()
            assert "default-src 'none'" in (answer.headers["Content-Security-Policy"] or "")
            return answer.status, answer.read().decode(), dict(answer.headers)

    return ask


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def signed_in(ask: Ask, token: str, **headers: str) -> dict[str, str]:
    """Sign in with the form; return the header with the cookie."""
    status, page, given = ask("/sign-in", "POST", urlencode({"token": token}), **headers)
    assert (status, given.get("location")) == (303, "/"), page
    return {"Cookie": given["set-cookie"].partition(";")[0]}


def test_a_visitor_with_a_token_sees_their_own_store_and_no_other(ask: Ask) -> None:
    for token, block in TOKENS.items():
        (other,) = set(TOKENS.values()) - {block}
        for visit in (bearer(token), signed_in(ask, token)):
            status, page, _ = ask("/blocks", **visit)
            assert status == 200
            assert block in page
            assert other not in page
            assert ask(f"/blocks/ns/{other}", **visit)[0] == 404
            assert f"the store of {block}" in page


def test_a_visitor_without_a_token_or_with_a_wrong_one_gets_the_form_and_nothing_else(ask: Ask) -> None:
    for visit in ({}, {"Cookie": f"{COOKIE}=guessed"}, {"Authorization": "Basic YTpi"}):
        for path in ("/", "/blocks", "/events", "/ledger.json", "/nothing"):
            status, page, headers = ask(path, **visit)
            assert (status, headers["www-authenticate"]) == (401, "Bearer")
            assert 'action="/sign-in"' in page
            assert "of-ann" not in page
    for token in ("unknown", "", "two words", "<script>", "x" * 40_000):
        status, page, headers = ask("/sign-in", "POST", urlencode({"token": token}))
        assert (status, "set-cookie" in headers) == (401, False)
        assert "token: is wrong or has expired; get a new one" in page
    assert ask(**bearer("unknown"))[0] == 401
    assert ask("/static/page.css")[0] == ask("/sign-in")[0] == 200


def test_the_cookie_of_a_session_is_kept_from_scripts_and_other_sites_and_has_no_token(ask: Ask) -> None:
    _, _, headers = ask("/sign-in", "POST", urlencode({"token": "token-of-ann"}), X_Forwarded_Proto="https")
    cookie = headers["set-cookie"]
    assert "token-of-ann" not in cookie
    assert {"HttpOnly", "SameSite=strict", "Secure", "Path=/"} <= set(cookie.split("; "))


def test_a_visitor_who_signs_out_needs_the_token_again_and_only_one_who_signed_in_can_sign_out(ask: Ask) -> None:
    visit = signed_in(ask, "token-of-ann")
    assert 'action="/sign-out"' in ask(**visit)[1]
    assert 'action="/sign-out"' not in ask(**bearer("token-of-ann"))[1]
    assert ask("/sign-out", "POST", **visit)[0] == 303
    assert ask(**visit)[0] == 401


def test_another_site_signs_nobody_in_and_another_host_is_refused(ask: Ask) -> None:
    form = urlencode({"token": "token-of-ann"})
    status, page, headers = ask("/sign-in", "POST", form, Sec_Fetch_Site="cross-site")
    assert (status, "set-cookie" in headers) == (403, False)
    assert "comes from another site" in page
    signed_in(ask, "token-of-ann", Sec_Fetch_Site="same-origin")
    assert ask(Host="attacker.example", **bearer("token-of-ann"))[0] == 421
    assert ask("/sign-in", Host="attacker.example")[0] == 421
    assert ask(Host="page.example", **bearer("token-of-ann"))[0] == 200


def test_the_page_takes_no_other_request_than_to_read(ask: Ask) -> None:
    for method in ("POST", "PUT", "PATCH", "DELETE", "OPTIONS"):
        for path in ("/", "/blocks/ns/of-ann", "/static/page.css"):
            assert ask(path, method, **bearer("token-of-ann"))[0] == 405


def test_a_shared_page_shows_no_published_run(ask: Ask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sites.publish(tmp_path / "out", "r1")
    monkeypatch.chdir(tmp_path)
    assert "shows no published runs" in ask("/runs", **bearer("token-of-ann"))[1]


def test_there_are_so_many_sessions_at_most_and_each_ends() -> None:
    seconds = 0.0
    sessions = Sessions(seconds=60, most=2, elapsed_seconds=lambda: seconds)
    names = [sessions.begin(token) for token in ("a", "b", "c")]
    assert [sessions.token(name) for name in names] == [None, "b", "c"]
    seconds = 60.0
    assert [sessions.token(name) for name in names] == [None, None, None]


def test_there_are_so_many_readers_at_most() -> None:
    async def visit() -> None:
        readers = Readers(lambda token: Source(StoreClient(MemoryStore()), token), most=2)
        first = await readers.current("a")
        assert await readers.current("a") is first
        assert await readers.current("b") is not first
        with pytest.raises(errors.StoreBusy, match="has 2 visitors, the most that it takes"):
            await readers.current("c")

    asyncio.run(visit())


def test_a_reader_that_nobody_uses_is_closed_and_leaves_its_place() -> None:
    async def visit() -> None:
        readers = Readers(lambda token: Source(StoreClient(MemoryStore()), token), most=1, idle_seconds=2)
        first = await readers.current("a")
        for _ in range(300):
            if not readers.n_open:
                break
            await asyncio.sleep(0.1)
        with pytest.raises(errors.StoreBusy, match="was closed meanwhile"):
            await first.snapshot()
        assert await readers.current("a") is not first

    asyncio.run(visit())


def test_visits_at_once_with_one_token_share_one_reader_and_a_failed_one_takes_no_place() -> None:
    opened: list[str] = []

    def open_source(token: str) -> Source:
        opened.append(token)
        return source(token)

    async def visit() -> None:
        readers = Readers(open_source, most=1)
        failed = await asyncio.gather(*[readers.current("wrong") for _ in range(3)], return_exceptions=True)
        assert {type(failure) for failure in failed} == {errors.Unauthenticated}
        assert len({id(await visit) for visit in [readers.current("token-of-ann") for _ in range(3)]}) == 1

    asyncio.run(visit())
    assert opened.count("token-of-ann") == 1


@pytest.mark.parametrize(
    "server",
    [
        "http://api.example",
        "api.example",
        "https://",
        "https://:6443",
        "https://api.example:99999",
        "https://api.example:0",
        "https://[::1",
        "https://api example",
        "https://api.example\n",
        "https://ann:secret@api.example",
        "https://api.example/?query",
        "https://api.example/#fragment",
    ],
)
def test_a_server_that_tokens_must_not_be_sent_to_is_refused(server: str) -> None:
    with pytest.raises(errors.InvalidInput, match=r"--server: .* is not an https URL of a host") as refusal:
        visitors.Cluster(server, Path(certifi.where()))
    assert "\n" not in str(refusal.value)
    assert "secret" not in str(refusal.value)


@pytest.mark.parametrize(
    "server", ["https://api.example", "https://[::1]:6443", "https://api.example/k8s/clusters/c-1"]
)
def test_an_https_url_of_a_host_is_taken_with_its_port_and_path(server: str) -> None:
    assert visitors.Cluster(server, Path(certifi.where())).server == server


@pytest.mark.parametrize("name", ["A B", "", "a/b", "a.b", "a" * 64, "-a", "a\n"])
def test_a_namespace_that_cannot_exist_is_refused(name: str) -> None:
    with pytest.raises(errors.InvalidInput, match=r"^--namespace: .* must be at most 63 lower-case letters"):
        visitors.Cluster("https://api.example", Path(certifi.where()), ("team-b", name))


@pytest.mark.parametrize(
    "host", ["http://x/y", "page.example:80", "page.example/", "", "*.example", "a b", "a..b", "a\n"]
)
def test_a_name_that_no_visitor_can_have_come_by_is_refused(host: str) -> None:
    place = visitors.Cluster("https://api.example", Path(certifi.where()), ("team-b",))
    visitors.door(place, most=1, hosts=["page.example.org", "Intranet"])
    with pytest.raises(errors.InvalidInput, match=r"^--allow-host: .* is not the name of a host; write it like"):
        visitors.door(place, most=1, hosts=[host])


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (None, "is not a file"),
        ("", "has no certificates that can be read"),
        ("# a page of text", "has no certificates that can be read"),
        ("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "has no certificates that can be read"),
    ],
)
def test_a_file_without_certificates_is_refused_before_a_token_comes(
    tmp_path: Path, content: str | None, expected: str
) -> None:
    file = tmp_path / "ca.crt"
    if content is not None:
        file.write_text(content)
    with pytest.raises(errors.InvalidInput, match=f"--certificate-authority: .*{expected}"):
        visitors.Cluster("https://api.example", file)
