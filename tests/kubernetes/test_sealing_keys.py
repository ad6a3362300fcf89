"""Nobody can get the key of a claim before all of it is paid, with the token of any role; after that its run can."""

from __future__ import annotations

import contextlib

import pytest

from privatekube import errors
from privatekube.client import connect
from privatekube.reconcile import read_world
from privatekube.resources.wire import claims
from privatekube.store.kubernetes.core_objects import CoreObjects
from privatekube.store.kubernetes.custom_objects import Cluster
from privatekube.store.kubernetes.store import KubernetesStore
from tests import builders, waiting
from tests.kubernetes import attacks
from tests.kubernetes.apiserver import ROLES, ApiServer
from tests.kubernetes.conftest import Starter
from tests.kubernetes.test_releases import act_as

pytestmark = pytest.mark.kubernetes

USERS = [role for role in ROLES if role != "controller"]
FORGED = {"status": {"sealing": {"publicKey": f"x25519:{0:064x}"}}}


def private_half(apiserver: ApiServer, user: str) -> str:
    """Return the private half of the key of the claim `c`, as a user can read it; empty if it has none."""
    return apiserver.kubectl("get", *attacks.CLAIM, "-o", "jsonpath={.status.sealing.privateKey}", user=user)


def test_no_user_gets_the_key_before_all_is_paid_and_the_run_gets_it_afterwards(
    apiserver: ApiServer, store: KubernetesStore, start: Starter, monkeypatch: pytest.MonkeyPatch
) -> None:
    start()
    store.create(builders.block())
    act_as(apiserver, monkeypatch, "claimant")
    with connect.connect() as client:
        granted = client.allocate("ns", "c", builders.allocate(0.25), timeout_seconds=waiting.PATIENCE_SECONDS)
        assert granted.status.sealing is not None
        assert attacks.patch(apiserver, {"spec": {"openReleases": True}}, user="claimant") == ""
        client.mark_opened("ns/c")
        client.register_release("ns/c", builders.release())  # the controller has answered after it was asked
        for user in USERS:
            assert private_half(apiserver, user) == ""
            with contextlib.closing(apiserver.api(user)) as api, pytest.raises(errors.InvalidInput, match="forbidden"):
                KubernetesStore(Cluster(api), CoreObjects(api)).ensure_secret(read_world.SEALING_KEY, bytes(32))
            status = (*attacks.CLAIM, "--subresource=status")
            assert attacks.FORBIDDEN in attacks.patch(apiserver, FORGED, user=user, of=status)
        with pytest.raises(errors.BudgetUnavailable, match="consume it first"):
            client.opening_key("ns/c")
        client.consume("ns/c")
        key = client.opening_key("ns/c")
    assert key is not None
    assert key.withheld == granted.status.sealing
    assert private_half(apiserver, "viewer") == key.private
    stored = store.get_claim("ns/c")
    assert stored is not None
    assert claims.from_store(claims.to_wire(stored)).status.sealing == key
