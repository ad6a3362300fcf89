"""Objects that cannot be processed are quarantined with all that depends on them: no claim gets or pays too little."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from dataclasses import replace

import pytest

from privatekube.privacy.budget import EpsilonDelta
from privatekube.resources.requests import ConsumeRequest
from privatekube.store.kubernetes.store import KubernetesStore
from tests import builders, waiting
from tests.kubernetes import controller_stores, rejecting_policy
from tests.kubernetes.apiserver import ApiServer
from tests.kubernetes.conftest import Starter
from tests.kubernetes.controllers import is_answered
from tests.reconcile.harness import Plane

pytestmark = pytest.mark.kubernetes
PIECE = EpsilonDelta(0.25)
UNREADABLE = {"ns/x": {"epsDel": {"epsilon": 1, "delta": 0}, "renyi": [{"alpha": 2, "epsilon": 1}]}}
"""A map of budgets, one of which has two types at once."""


def granted(store: KubernetesStore, name: str) -> set[str]:
    """Return the blocks on which a claim holds its amount."""
    held = Plane(store).claim(name).status.acquired
    assert set(held.values()) <= {PIECE}
    return set(held)


def is_left_out(apiserver: ApiServer, named: str) -> bool:
    described = apiserver.kubectl("get", "events", "-n", "ns", f"--field-selector=involvedObject.name={named}")
    return "quarantined for a while" in described


@contextlib.contextmanager
def without_role(apiserver: ApiServer) -> Iterator[None]:
    """Deny the controller everything, like an API server that has just started and has not loaded its roles yet."""
    apiserver.unbind("controller")
    waiting.until(lambda: not apiserver.may("controller", "list", "privacybudgetclaims.columbia.github.com"))
    try:
        yield
    finally:
        apiserver.bind("controller")


def patch_reserved(apiserver: ApiServer, kind: str, name: str, reserved: object) -> None:
    of_kind = {"pb": "reservedBudgetMap", "pbc": "reservedBudgets"}[kind]
    patch = json.dumps({"status": {of_kind: reserved}})
    apiserver.kubectl("patch", kind, name, "-n", "ns", "--subresource=status", "--type=merge", "-p", patch)


def test_a_claim_waits_for_the_block_whose_status_is_refused_and_others_do_not(
    apiserver: ApiServer, store: KubernetesStore, start: Starter
) -> None:
    controller = start()
    for name in ("poison", "b"):
        store.create(builders.block(name))
    store.create(builders.block("e", dataset="other"))
    waiting.until(lambda: all(block.status for block in store.list_blocks()), controller.log)
    with rejecting_policy.reject_poison(apiserver, store):
        store.create(builders.claim("all", builders.allocate(0.25)))
        store.create(builders.claim("one", replace(builders.allocate(0.25), dataset="other")))
        waiting.until(lambda: is_left_out(apiserver, "poison"), controller.log)
        waiting.until(lambda: is_answered(store, "one"), controller.log)
        assert not is_answered(store, "all")
        assert "privatekube_dataset_blocks{" in controller.get("/metrics")[1]
    waiting.until(lambda: is_answered(store, "all"), controller.log)
    assert granted(store, "all") == {"ns/poison", "ns/b"}
    assert granted(store, "one") == {"ns/e"}


def test_a_new_block_that_an_unreadable_one_keeps_out_says_so_in_an_event(
    apiserver: ApiServer, store: KubernetesStore, start: Starter
) -> None:
    controller = start()
    store.create(builders.block("bad", day=1))
    waiting.until(lambda: all(block.status for block in store.list_blocks()), controller.log)
    patch_reserved(apiserver, "pb", "bad", UNREADABLE)
    waiting.until(lambda: "quarantined" in apiserver.kubectl("get", "events", "-n", "ns"), controller.log)
    store.create(builders.block("new", day=2))

    def described() -> str:
        return apiserver.kubectl("get", "events", "-n", "ns", "--field-selector=involvedObject.name=new")

    waiting.until(lambda: "waits for an object that cannot be read" in described(), controller.log)


def test_a_server_that_does_not_know_its_roles_yet_says_nothing_about_an_object(
    apiserver: ApiServer, store: KubernetesStore, start: Starter
) -> None:
    controller = start()
    for name in "abcd":
        store.create(builders.block(name))
    waiting.until(lambda: all(block.status for block in store.list_blocks()), controller.log)
    with without_role(apiserver):
        store.create(builders.claim("c", builders.allocate(0.25)))
        waiting.until(lambda: controller.metric('privatekube_failed_passes_total{reason="Forbidden"}') > 3)
        assert not is_answered(store, "c")
    waiting.until(lambda: is_answered(store, "c"), controller.log)
    assert granted(store, "c") == {f"ns/{name}" for name in "abcd"}
    assert not any(is_left_out(apiserver, name) for name in "abcd")


def test_what_depends_on_an_unreadable_block_waits_until_it_is_readable(
    apiserver: ApiServer, store: KubernetesStore
) -> None:
    plane = Plane(store)
    for name in "ab":
        plane.block(name)
    plane.ask("holds", builders.allocate(0.25))
    watching, _, observer = controller_stores.open_leading(apiserver, 1)
    patch_reserved(apiserver, "pb", "a", UNREADABLE)
    waiting.until(lambda: bool(observer.faults))
    assert "block ns/a: status.reservedBudgetMap" in observer.faults[0]
    plane.append("holds", ConsumeRequest({"ns/a": PIECE, "ns/b": PIECE}))
    store.create(builders.claim("new", builders.allocate(0.25)))
    store.create(builders.block("again", digest="sha256:1"))
    store.create(builders.block("renamed", dataset="other", digest="sha256:2", day=1))  # no days are known of a
    controller = Plane(watching)
    waiting.until(lambda: len(watching.known_claims()) == 2 and len(watching.known_blocks()) == 3)
    watching.take_over(2, fence=True)
    epochs = apiserver.kubectl("get", "pbc", "-n", "ns", "-o", "jsonpath={.items[*].status.controllerEpoch}")
    assert epochs.split() == ["2", "2"]  # quarantined claims are fenced off from a late controller as well
    controller.run()
    assert controller.states("holds") == ["success"]
    assert controller.states("new") == []
    assert controller.blocks().keys() == {"ns/b"}

    patch_reserved(apiserver, "pb", "a", None)
    waiting.until(lambda: len(watching.list_blocks()) == 4)
    controller.run()
    assert controller.states("holds") == ["success", "success"]
    assert dict(controller.claim("holds").status.committed) == {"ns/a": PIECE, "ns/b": PIECE}
    assert granted(store, "new") >= {"ns/a", "ns/b"}


def test_a_claim_that_cannot_be_read_keeps_what_it_holds_and_does_not_delay_others(
    apiserver: ApiServer, store: KubernetesStore
) -> None:
    plane = Plane(store)
    plane.block("a")
    plane.ask("holds", builders.allocate(0.25))
    plane.ask("waits", builders.allocate(0.9))
    patch_reserved(apiserver, "pbc", "waits", UNREADABLE)
    watching, _, observer = controller_stores.open_leading(apiserver, 1)
    assert "claim ns/waits: status.reservedBudgets" in observer.faults[0]
    store.create(builders.claim("new", builders.allocate(0.25)))
    waiting.until(lambda: "ns/new" in {claim.id for claim in watching.known_claims()})
    controller = Plane(watching)
    controller.run()
    assert controller.states("new") == ["success"]
    assert controller.status("a").reserved.keys() == {"ns/waits"}
    patch_reserved(apiserver, "pbc", "waits", {"ns/x": None})
    waiting.until(lambda: "ns/waits" in {claim.id for claim in watching.known_claims()})
    controller.clock.time_ms += 10_000
    controller.run()
    assert controller.states("waits") == ["failure"]
    controller.require_sound()
