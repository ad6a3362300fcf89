"""Each way to sign in, against servers that issue and check real tokens; each refusal is one line, within seconds."""

from __future__ import annotations

import os
import sys
import threading
import time
import webbrowser
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import requests
import yaml

from privatekube import errors
from privatekube.kubeflow import cluster_file
from privatekube.kubeflow.pipelines_api import PipelinesApi
from privatekube.kubeflow.sign_in.credentials import RenewedToken
from privatekube.kubeflow.sign_in.tokens import AUDIENCE
from tests import waiting
from tests.kubeflow.servers import tokens
from tests.kubeflow.servers.http_server import Call, Reply
from tests.kubeflow.servers.pipelines import Pipelines
from tests.kubeflow.servers.tokens import DESKTOP, DESKTOP_SECRET, PROXY, Dex, Issuer, Proxy

pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
Signer = Callable[..., PipelinesApi]


@pytest.fixture
def sign_in(pipelines: Pipelines, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Signer:
    """Return a function that reads a client_secrets.yaml with a block `sign_in` and connects."""
    monkeypatch.chdir(tmp_path)

    def signing(block: dict[str, Any], **others: Any) -> PipelinesApi:
        path = tmp_path / "client_secrets.yaml"
        path.touch(mode=0o600)
        path.write_text(yaml.safe_dump({"host": pipelines.url, "sign_in": block, **others}))
        return PipelinesApi.of(cluster_file.load(path))

    return signing


def refused(api: PipelinesApi, kind: type[errors.PrivateKubeError] = errors.InvalidInput) -> str:
    began = time.monotonic()
    with pytest.raises(kind) as error:
        api.health()
    assert time.monotonic() - began < waiting.PATIENCE_SECONDS
    message = str(error.value)
    assert "\n" not in message
    for secret in ("sesame", DESKTOP_SECRET, "hunter", "refresh-", "eyJ"):
        assert secret not in message
    return message


# --- IAP without a person


def test_a_service_account_gets_an_id_token_for_the_proxy(
    pipelines: Pipelines, issuer: Issuer, sign_in: Signer
) -> None:
    pipelines.guard = Proxy()
    key = issuer.key_file(Path())
    api = sign_in({"kind": "iap-service-account", "client_id": PROXY, "key": key.name})
    assert api.health().multi_user
    assert api.health().version == "2.17.0"
    assert len(issuer.calls) == 1


def test_a_pod_gets_its_id_token_from_the_metadata_server(
    pipelines: Pipelines, issuer: Issuer, sign_in: Signer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GCE_METADATA_HOST", f"127.0.0.1:{issuer.server_port}")
    pipelines.guard = Proxy()
    assert sign_in({"kind": "iap-service-account", "client_id": PROXY}).health()


def test_an_expired_token_is_renewed_during_a_long_follow(
    pipelines: Pipelines, issuer: Issuer, sign_in: Signer
) -> None:
    pipelines.guard = Proxy()
    issuer.key_file(Path())
    api = sign_in({"kind": "iap-service-account", "client_id": PROXY, "key": "service-account.json"})
    api.health()
    pipelines.clock_ahead_seconds = issuer.clock_ahead_seconds = 4000  # the token's hour is over there
    with pytest.raises(errors.InvalidInput, match=r"the clock of this machine is (3999|4000|4001) s behind: set it"):
        api.health()  # renewed, and the assertion that this machine's wrong clock dates is refused
    issuer.clock_ahead_seconds = 0
    issuer.lifetime_seconds = 8000
    assert api.health()


def test_a_token_is_fetched_again_before_it_ends_by_a_clock_that_nobody_sets() -> None:
    seconds = [0.0]
    fetched: list[float] = []

    def fetch() -> str:
        fetched.append(seconds[0])
        return tokens.signed({"iat": 10**9, "exp": 10**9 + 3600})  # as if this machine's date were wrong by years

    renewed = RenewedToken(fetch, remedy="none", clock=lambda: seconds[0])
    for seconds[0] in (0, 3000, 3470, 3490, 6900, 6980):
        renewed.headers()
    assert fetched == [0, 3490, 6980]


def test_faults_of_iap_without_a_person(pipelines: Pipelines, issuer: Issuer, sign_in: Signer) -> None:
    pipelines.guard = Proxy()
    key = issuer.key_file(Path())
    block = {"kind": "iap-service-account", "client_id": PROXY, "key": key.name}
    issuer.wrong_audience = "another-client"
    assert "the token is for another-client, not for proxy-client; check client_id" in refused(sign_in(block))
    issuer.wrong_audience = None
    assert "answered 401 Unauthorized; check client_id" in refused(sign_in(block | {"client_id": "another"}))
    key.chmod(0o644)
    assert "run chmod 600" in refused(sign_in(block))
    key.chmod(0o600)
    key.write_text(key.read_text().replace(tokens.pem(tokens.key("account")).decode()[40:60], "x" * 20))
    assert "is not the key of a service account; download it again" in refused(sign_in(block))
    assert "cannot be read, no such file" in refused(sign_in(block | {"key": "lost.json"}))


def test_a_machine_without_an_identity_says_so(sign_in: Signer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GCE_METADATA_HOST", "127.0.0.1:9")
    assert "no pod or machine of Google Cloud" in refused(sign_in({"kind": "iap-service-account", "client_id": PROXY}))


# --- IAP with a person


@pytest.fixture
def browser(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Let the browser be one that follows redirects; return the pages that it was sent to."""
    pages: list[str] = []

    def open_page(url: str) -> bool:
        pages.append(url)
        threading.Thread(target=requests.get, args=(url,), kwargs={"timeout": 60}, daemon=True).start()
        return True

    monkeypatch.setattr(webbrowser, "open_new_tab", open_page)
    return pages


def person(issuer: Issuer) -> dict[str, str]:
    return {
        "kind": "iap",
        "client_id": PROXY,
        "desktop_client_id": DESKTOP,
        "desktop_client_secret": DESKTOP_SECRET,
        "authorization_url": f"{issuer.url}/authorize",
        "token_url": f"{issuer.url}/token",
    }


def test_a_person_signs_in_once_and_what_is_kept_is_private(
    pipelines: Pipelines, issuer: Issuer, sign_in: Signer, browser: list[str]
) -> None:
    pipelines.guard = Proxy()
    assert sign_in(person(issuer)).health()
    assert sign_in(person(issuer)).health()
    assert len(browser) == 1
    kept = Path(".privatekube/sign-in.json")
    assert kept.stat().st_mode & 0o077 == 0
    assert DESKTOP_SECRET not in kept.read_text()


def test_new_secrets_are_used_at_once_whatever_was_kept_for_others(
    pipelines: Pipelines, issuer: Issuer, sign_in: Signer, browser: list[str]
) -> None:
    pipelines.guard = Proxy()
    assert sign_in(person(issuer)).health()
    wrong = sign_in(person(issuer) | {"desktop_client_secret": "sesame"})
    assert "refuses (invalid_client); check the desktop client and its secret" in refused(wrong)
    assert len(browser) == 2


def test_a_refresh_token_that_was_revoked_leads_to_a_new_sign_in(
    pipelines: Pipelines, issuer: Issuer, sign_in: Signer, browser: list[str]
) -> None:
    pipelines.guard = Proxy()
    assert sign_in(person(issuer)).health()
    issuer.refresh_tokens.clear()
    assert "refuses (invalid_grant)" in refused(sign_in(person(issuer)))
    issuer.refresh_tokens.add("refresh-1")
    assert sign_in(person(issuer)).health()
    assert len(browser) == 2


# --- bearer tokens


def token(audience: str = PROXY, *, begins: float = -10, ends: float = 600) -> str:
    now = time.time()
    return tokens.signed({"aud": audience, "iat": int(now + begins), "exp": int(now + ends)})


def test_a_token_is_a_value_a_variable_a_file_or_what_a_command_prints(
    pipelines: Pipelines, sign_in: Signer, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipelines.guard = Proxy()
    text = token()
    Path("token").touch(mode=0o600)
    Path("token").write_text(text + "\n")
    monkeypatch.setenv("KUBEFLOW_TOKEN", text)
    for block in (
        {"value": text},
        {"value": "env:KUBEFLOW_TOKEN"},
        {"value": "file:token"},
        {"file": "token"},
        {"command": ["cat", "token"]},
    ):
        assert sign_in({"kind": "token", **block}).health(), block


def test_a_file_that_is_kept_fresh_is_read_again(pipelines: Pipelines, sign_in: Signer) -> None:
    pipelines.guard = Proxy()
    path = Path("token")
    path.touch(mode=0o600)
    path.write_text(token(begins=-600, ends=-10))
    api = sign_in({"kind": "token", "file": "token"})
    assert "the token expired at" in refused(api)
    path.write_text(token())
    assert api.health()


def test_faults_of_tokens(pipelines: Pipelines, sign_in: Signer) -> None:
    pipelines.guard = Proxy()
    assert "401 Unauthorized; the token expired at" in refused(
        sign_in({"kind": "token", "value": token(begins=-600, ends=-10)})
    )
    assert "which is in the future there: a clock is wrong" in refused(
        sign_in({"kind": "token", "value": token(begins=500)})
    )
    assert "401 Unauthorized; get a new token" in refused(sign_in({"kind": "token", "value": token("other")}))
    assert "401 Unauthorized" in refused(sign_in({"kind": "token", "value": "sesame"}))
    assert "is not one word of ASCII" in refused(sign_in({"kind": "token", "value": "sesame and more"}))
    assert "the environment variable LOST is not set or empty" in refused(
        sign_in({"kind": "token", "value": "env:LOST"})
    )
    assert "ended with exit status 3; run it by hand" in refused(
        sign_in({"kind": "token", "command": [sys.executable, "-c", "import sys; sys.exit(3)"]})
    )
    assert "command lost-program cannot be used, no such file" in refused(
        sign_in({"kind": "token", "command": ["lost-program"]})
    )
    assert "command true: is not one word" in refused(sign_in({"kind": "token", "command": ["true"]}))


def test_what_is_in_netrc_and_the_environment_changes_nothing(
    pipelines: Pipelines, sign_in: Signer, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipelines.guard = Proxy()
    Path("netrc").write_text("machine 127.0.0.1 login me password sesame\n")
    monkeypatch.setenv("NETRC", os.path.abspath("netrc"))
    monkeypatch.setenv("KF_PIPELINES_IAP_OAUTH2_CLIENT_ID", "another")
    assert sign_in({"kind": "token", "value": token()}).health()


# --- in a cluster


def test_a_pod_uses_its_projected_token_whoever_may_read_it(
    pipelines: Pipelines, sign_in: Signer, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipelines.guard = Proxy(AUDIENCE)
    Path("projected").write_text(token(AUDIENCE))
    monkeypatch.setenv("KF_PIPELINES_SA_TOKEN_PATH", str(Path("projected").absolute()))
    assert sign_in({"kind": "in-cluster"}).health()
    Path("projected").write_text(token("https://kubernetes.default.svc"))
    assert "is for https://kubernetes.default.svc, not for pipelines.kubeflow.org" in refused(
        sign_in({"kind": "in-cluster"})
    )
    Path("projected").unlink()
    assert "works in a pod with a projected token" in refused(sign_in({"kind": "in-cluster"}))


# --- Dex


def test_a_user_of_dex_logs_in_and_again_when_the_session_ends(pipelines: Pipelines, sign_in: Signer) -> None:
    dex = Dex()
    pipelines.guard = dex
    api = sign_in({"kind": "dex", "username": "user@example.com", "password": "hunter2"})
    assert api.health()
    dex.session = "session-2"
    assert api.health()
    posts = [call for call in pipelines.calls if call.path == "/dex/auth/local/login" and call.method == "POST"]
    assert len(posts) == 2


def test_faults_of_dex(pipelines: Pipelines, sign_in: Signer) -> None:
    pipelines.guard = Dex()
    block = {"kind": "dex", "username": "user@example.com", "password": "hunter3"}
    assert "Dex refuses this user and password; check username and password" in refused(sign_in(block))
    assert "shows no login form of Dex" in refused(sign_in(block | {"connector": "github"}))


def test_a_password_is_not_sent_in_clear_where_the_form_of_an_https_host_leads_to_http(
    tmp_path: Path, pipelines: Pipelines, sign_in: Signer
) -> None:
    server, path = Pipelines(), tokens.certificate(tmp_path)
    form = f'<form action="{pipelines.url}/dex/auth/local/login"><input type="password"></form>'
    with server.serving(certificate=path):
        server.broken = lambda _call: Reply(200, form.encode())
        block = {"kind": "dex", "username": "user@example.com", "password": "hunter2"}
        message = refused(sign_in(block, host=server.url, ca_cert=path.name))
    assert f"the login form of Dex leads to {pipelines.url}, which would send the password in clear" in message
    assert not pipelines.calls


# --- nothing, TLS, and hosts that are not there


def test_a_host_that_asks_for_a_login_is_not_success(pipelines: Pipelines, sign_in: Signer) -> None:
    pipelines.guard = Proxy()
    message = refused(sign_in({"kind": "none"}))
    assert "answered with a redirect to accounts.example.org: not signed in; choose a way to sign in" in message


def test_a_certificate_is_checked_unless_its_authority_is_named(tmp_path: Path, sign_in: Signer) -> None:
    server, path = Pipelines(), tokens.certificate(tmp_path)
    with server.serving(certificate=path):
        assert "is refused (self-signed); name the file with its certificate authority in ca_cert" in refused(
            sign_in({"kind": "none"}, host=server.url)
        )
        assert sign_in({"kind": "none"}, host=server.url, ca_cert=path.name).health()
        assert sign_in({"kind": "none"}, host=server.url, verify_ssl=False).health()
        plain = refused(sign_in({"kind": "none"}, host=server.url.replace("https", "http")), errors.PrivateKubeError)
        assert "host: http://127.0.0.1" in plain


def test_a_host_that_cannot_be_reached_is_named(pipelines: Pipelines, sign_in: Signer) -> None:
    refusing = sign_in({"kind": "none"}, host="http://127.0.0.1:9")
    assert "http://127.0.0.1:9 cannot be reached: it refuses connections" in refused(refusing, errors.Temporary)
    unknown = sign_in({"kind": "none"}, host="https://kubeflow.invalid")
    assert "https://kubeflow.invalid cannot be reached" in refused(unknown, errors.Temporary)
    over_tls = sign_in({"kind": "none"}, host=pipelines.url.replace("http", "https"))
    assert "it does not speak TLS" in refused(over_tls)


@pytest.mark.parametrize(
    ("reply", "kind", "words"),
    [
        (Reply(200, b"<html>Log in</html>"), errors.InvalidInput, "answered with a login page: not signed in"),
        (Reply(302, b"", {"Location": "/dex/auth"}), errors.InvalidInput, "answered with a redirect: not signed in"),
        (Reply(200, b"", {"Content-Type": "application/json"}), errors.InvalidInput, "answered 200 with nothing"),
        (Reply(200, b"[1", {"Content-Type": "application/json"}), errors.InvalidInput, "with what is not JSON"),
        (Reply(200, [1]), errors.InvalidInput, "with what is not JSON"),
        (Reply(200, {}), errors.InvalidInput, "is not the API of Kubeflow Pipelines 2; check host"),
        (Reply(401, {"error": "no"}), errors.InvalidInput, "answered 401 Unauthorized"),
        (
            Reply(403, {"error": "sesame\n no"}),
            errors.InvalidInput,
            "answered 403 Forbidden ((the token) no); check nam",
        ),
        (
            Reply(403, b"<html>Sign in</html>"),
            errors.InvalidInput,
            "answered 403 with a page: not signed in, or not a",
        ),
        (Reply(404, b"not found"), errors.InvalidInput, "has no API of Kubeflow Pipelines 2 at this URL"),
        (Reply(404, {"error": "gone"}), errors.NotFound, "answered 404 (gone)"),
        (Reply(400, {"message": "bad"}), errors.InvalidInput, "answered 400 (bad); correct the request"),
        (Reply(429, {}), errors.Temporary, "answered 429; try again"),
        (Reply(500, {"error": "boom"}), errors.Temporary, "answered 500 (boom); try again"),
        (Reply(503, b"upstream"), errors.Temporary, "answered 503; try again"),
    ],
)
def test_an_answer_that_is_not_the_apis_is_one_line(
    pipelines: Pipelines, sign_in: Signer, reply: Reply, kind: type[errors.PrivateKubeError], words: str
) -> None:
    def broken(_: Call) -> Reply:
        return reply

    pipelines.broken = broken
    message = refused(sign_in({"kind": "token", "value": "sesame"}), kind)
    assert words in message
