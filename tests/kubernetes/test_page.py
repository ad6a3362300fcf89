"""The page of a cluster, with real tokens on a real API server: a visitor sees what their own roles let them read."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from privatekube import errors
from privatekube.client import cluster
from privatekube.page import reader, visitors
from privatekube.privacy.budget import EpsilonDelta
from privatekube.resources import transitions
from privatekube.resources.wire import claims
from privatekube.store import kinds
from privatekube.store.base import R
from privatekube.store.kubernetes.core_objects import CoreObjects
from privatekube.store.kubernetes.store import KubernetesStore
from privatekube.store.kubernetes.visible_objects import VisibleObjects
from tests import builders, waiting
from tests.kubernetes import attacks
from tests.kubernetes.apiserver import RIVAL, USERS_NAMESPACE, ApiServer
from tests.page import sites
from tests.page.test_sign_in import Ask, asking, bearer, signed_in
from tests.reconcile.harness import Plane

pytestmark = pytest.mark.kubernetes

BLOCKS = "privatedatablocks.columbia.github.com"
VISITORS = {"ann": "ns", "bob": "elsewhere"}
"""Users with the role of a viewer in one namespace each."""
CLAIMANTS = {"ann": "claimant", "bob": RIVAL}
"""Who makes the claim there."""


@pytest.fixture
def visited(apiserver: ApiServer, store: KubernetesStore) -> Iterator[ApiServer]:
    """Return a cluster with a claim in each of two namespaces that has consumed, and a visitor of each."""
    plane = Plane(store)
    for user, namespace in VISITORS.items():
        store.create(in_namespace(namespace, builders.block(f"block-of-{user}")))
        claim = in_namespace(namespace, builders.claim(f"claim-of-{user}"))
        attacks.create(apiserver, claims.to_wire(claim), user=CLAIMANTS[user])
        apiserver.add_user(user)
        let_view(apiserver, user, namespace)
    plane.run()
    for user, namespace in VISITORS.items():
        paid = {f"{namespace}/block-of-{user}": {"epsDel": {"epsilon": 0.1}}}
        request = {"identifier": "pay", "consumeRequest": {"consume": paid}}
        claim_name = ("pbc", f"claim-of-{user}", "-n", namespace)
        assert not attacks.patch(apiserver, attacks.appended(request), user=CLAIMANTS[user], of=claim_name)
    plane.run()
    assert len(store.ledger()) == len(VISITORS)
    for user, namespace in VISITORS.items():
        waiting.until(partial(apiserver.may, user, "list", BLOCKS, f"--namespace={namespace}"))
    yield apiserver
    for user, namespace in VISITORS.items():
        apiserver.unbind(user)
        apiserver.kubectl("delete", "serviceaccount", user, "-n", USERS_NAMESPACE, "--ignore-not-found")
        apiserver.kubectl("delete", "rolebinding", user, "-n", namespace, "--ignore-not-found")


@pytest.fixture
def ask(visited: ApiServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[Ask]:
    """Return a function that asks the page of the cluster, which reads the cluster for each request."""
    monkeypatch.setattr(reader, "_EVERY_SECONDS_IN_CLUSTER", 0.0)
    place = visitors.Cluster(visited.url, visited.certificate, tuple(VISITORS.values()))
    with sites.serving_to(visitors.door(place, most=8)) as base:
        yield asking(base)


def in_namespace(namespace: str, resource: R) -> R:
    moved: R = replace(resource, meta=replace(resource.meta, namespace=namespace))
    return moved


def let_view(server: ApiServer, user: str, namespace: str, *, name: str | None = None) -> None:
    account, role = f"--serviceaccount={USERS_NAMESPACE}:{user}", "--clusterrole=privatekube-viewer"
    server.kubectl("create", "rolebinding", name or user, role, account, "-n", namespace)


def test_a_user_with_rights_on_one_namespace_sees_that_one_and_is_told_what_is_missing(
    visited: ApiServer, ask: Ask
) -> None:
    for user, other in (("ann", "bob"), ("bob", "ann")):
        visit = bearer(visited.tokens[user])
        for path in ("/", "/blocks", "/claims", "/teams", "/ledger", "/spending", "/policy"):
            status, page, _ = ask(path, **visit)
            assert status == 200, page
            assert f"-of-{other}" not in page
            assert f"no access to namespaces {VISITORS[other]}, {USERS_NAMESPACE}" in page
            assert "no access to the ledger" in page
        assert f"claim-of-{user}" in ask("/claims", **visit)[1]
        assert ask(f"/claims/{VISITORS[user]}/claim-of-{user}", **visit)[0] == 200
        assert ask(f"/claims/{VISITORS[other]}/claim-of-{other}", **visit)[0] == 404
        assert f"kubernetes as system:serviceaccount:{USERS_NAMESPACE}:{user}" in ask(**visit)[1]
        status, page, _ = ask("/ledger/verification", **visit)
        assert (status, "only a user who may read everything can verify it" in page) == (403, True)


def test_a_viewer_of_the_cluster_sees_everything(visited: ApiServer, ask: Ask) -> None:
    visit = bearer(visited.tokens["viewer"])
    _, page, _ = ask("/claims", **visit)
    assert "claim-of-ann" in page
    assert "claim-of-bob" in page
    assert "no access" not in page
    assert "are unchanged and add up" in ask("/ledger/verification", **visit)[1]


def test_a_user_without_rights_and_a_token_that_is_not_accepted_are_told_so(visited: ApiServer, ask: Ask) -> None:
    status, page, _ = ask(**bearer(visited.tokens["nobody"]))
    assert status == 403
    assert f"system:serviceaccount:{USERS_NAMESPACE}:nobody: may read no block; ask for the role" in page
    token = visited.tokens["ann"]
    for wrong in ("unknown", f"{token.rpartition('.')[0]}.{'A' * 342}", f"{token}.x", token.partition(".")[0]):
        status, page, _ = ask(**bearer(wrong))
        assert status == 401
        assert "token: is wrong or has expired; get a new one" in page


def test_a_token_that_has_expired_is_told_so(visited: ApiServer, ask: Ask) -> None:
    key_file = visited.folder / "sa.key"
    if not key_file.exists():
        pytest.skip("an existing cluster does not give the key that signs its tokens")
    assert ask(**bearer(signed_again(visited.tokens["ann"], key_file, until=time.time() + 600)))[0] == 200
    status, page, _ = ask(**bearer(signed_again(visited.tokens["ann"], key_file, until=time.time() - 600)))
    assert (status, "token: is wrong or has expired" in page) == (401, True)


def signed_again(token: str, key_file: Path, *, until: float) -> str:
    """Return a token of the API server that expires at another time."""
    header, payload, _ = token.split(".")
    claimed = json.loads(base64.urlsafe_b64decode(payload + "=="))
    text = f"{header}.{in_base64(json.dumps(claimed | {'exp': round(until)}).encode())}"
    key = serialization.load_pem_private_key(key_file.read_bytes(), password=None)
    assert isinstance(key, rsa.RSAPrivateKey)
    return f"{text}.{in_base64(key.sign(text.encode(), padding.PKCS1v15(), hashes.SHA256()))}"


def in_base64(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).decode().rstrip("=")


def test_rights_and_tokens_that_are_withdrawn_end_what_a_visitor_sees(visited: ApiServer, ask: Ask) -> None:
    visits = {user: signed_in(ask, visited.tokens[user]) for user in VISITORS}
    assert [ask("/claims", **visit)[0] for visit in visits.values()] == [200, 200]
    visited.kubectl("delete", "rolebinding", "ann", "-n", "ns")
    waiting.until(lambda: ask("/claims", **visits["ann"])[0] == 403)
    assert "-of-" not in ask("/claims", **visits["ann"])[1]
    let_view(visited, "ann", "ns")
    waiting.until(lambda: "claim-of-ann" in ask("/claims", **visits["ann"])[1])
    visited.kubectl("delete", "serviceaccount", "bob", "-n", USERS_NAMESPACE)  # which ends its tokens
    waiting.until(lambda: ask("/claims", **visits["bob"])[0] == 401)
    assert "-of-" not in ask("/claims", **visits["bob"])[1]


def test_a_visitor_who_may_no_longer_read_the_ledger_sees_none_of_its_entries(visited: ApiServer, ask: Ask) -> None:
    visit = signed_in(ask, visited.tokens["ann"])
    visited.bind("ann", "viewer")
    waiting.until(lambda: "claim-of-bob" in ask("/ledger", **visit)[1])
    visited.unbind("ann")
    waiting.until(lambda: "no access to the ledger" in ask("/ledger", **visit)[1])
    for path in ("/ledger", "/ledger.csv", "/ledger.json", "/spending", "/"):
        assert "claim-of-bob" not in ask(path, **visit)[1]


def test_a_refusal_is_remembered_for_a_minute_and_a_right_is_asked_for_each_time(visited: ApiServer) -> None:
    seconds = 0.0
    with contextlib.closing(visited.api("ann")) as api:
        objects = VisibleObjects(api, CoreObjects(api), namespaces=["ns", "elsewhere"], elapsed_seconds=lambda: seconds)

        def names() -> set[str]:
            return {document["metadata"]["name"] for document in objects.list_objects(kinds.BLOCK.plural)}

        assert names() == {"block-of-ann"}
        assert objects.gaps() == [f"no access to namespaces elsewhere, {USERS_NAMESPACE}"]
        let_view(visited, "ann", "elsewhere", name="ann-there")
        waiting.until(lambda: visited.may("ann", "list", BLOCKS, "--namespace=elsewhere"))
        seconds = 59.0
        assert names() == {"block-of-ann"}
        seconds = 61.0
        assert names() == {"block-of-ann", "block-of-bob"}
        assert objects.gaps() == [f"no access to namespace {USERS_NAMESPACE}"]
        visited.kubectl("delete", "rolebinding", "ann-there", "-n", "elsewhere")
        waiting.until(lambda: names() == {"block-of-ann"})
        visited.bind("ann", "viewer")
        waiting.until(lambda: visited.may("ann", "list", BLOCKS))
        seconds = 200.0
        assert names() == {"block-of-ann", "block-of-bob"}
        assert objects.gaps() == []
        visited.unbind("ann")


def test_two_visitors_at_once_never_get_the_page_of_the_other(visited: ApiServer, ask: Ask) -> None:
    visits = {user: signed_in(ask, visited.tokens[user]) for user in VISITORS}

    def visit(number: int) -> tuple[str, str]:
        user = list(VISITORS)[number % 2]
        return user, ask("/claims", **(visits[user] if number % 3 else bearer(visited.tokens[user])))[1]

    with ThreadPoolExecutor(max_workers=8) as pool:
        for user, page in pool.map(visit, range(48)):
            (other,) = VISITORS.keys() - {user}
            assert f"claim-of-{user}" in page
            assert f"-of-{other}" not in page


def test_a_reading_connection_writes_nothing_even_for_a_user_who_may(apiserver: ApiServer, granted: Plane) -> None:
    api = apiserver.api()
    token = api.configuration.api_key["authorization"].removeprefix("Bearer ")
    api.close()
    client, objects = cluster.connect_to_read(token, server=apiserver.url, certificate_authority=apiserver.certificate)
    with client:
        (block,), (claim,) = client.store.list_blocks(), client.store.list_claims()
        before = granted.store.list_blocks(), granted.store.list_claims(), len(granted.store.ledger())
        for write in (
            lambda: client.store.create(builders.block("new")),
            lambda: client.store.update(claim),
            lambda: client.store.update_status(transitions.unlock(block, EpsilonDelta(1.0, 1e-7))),
            lambda: client.store.delete(claim),
            lambda: client.store.set_setting("order", "fcfs"),
            lambda: client.store.ensure_secret("new", b"key"),
            lambda: client.consume(claim.id),
        ):
            with pytest.raises(errors.Forbidden, match="as this connection only reads"):
                write()
        assert objects.gaps() == []
    assert (granted.store.list_blocks(), granted.store.list_claims(), len(granted.store.ledger())) == before


@pytest.mark.slow
def test_the_command_serves_visitors_and_prints_no_token(visited: ApiServer, tmp_path: Path) -> None:
    options = ["--server", visited.url, "--certificate-authority", str(visited.certificate), "--port", "0"]
    command = [sys.executable, "-m", "privatekube.cli", "serve-cluster", *options, "--namespace", "ns"]
    environment = os.environ | {"PYTHONUNBUFFERED": "1"}
    with (
        (tmp_path / "errors").open("w+") as written,
        subprocess.Popen(
            command, env=environment, cwd=tmp_path, stdout=subprocess.PIPE, stderr=written, text=True
        ) as run,
    ):
        assert run.stdout is not None
        ask = asking(run.stdout.readline().strip())
        with contextlib.closing(run.stdout):
            token = visited.tokens["ann"]
            assert "claim-of-ann" in ask("/claims", **signed_in(ask, token))[1]
            assert ask(f"/claims?q={token}", **bearer(token))[0] == 200
            assert ask(**bearer("wrong"))[0] == 401
            run.send_signal(2)
            said = run.stdout.read()
        assert run.wait(waiting.PATIENCE_SECONDS) == 130
        written.seek(0)
        errors_written = written.read()
    assert errors_written == "interrupted\n"
    assert token not in said
