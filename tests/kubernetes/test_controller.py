"""The controller as a process on a real API server: its decisions, Events, logs and metrics."""

from __future__ import annotations

import json
import re
import threading
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from privatekube import errors
from privatekube.controller.controller import Controller, Settings
from privatekube.privacy.budget import EpsilonDelta
from privatekube.resources import refusals, transitions
from privatekube.resources.requests import ConsumeRequest
from privatekube.resources.wire.common import Json
from privatekube.scheduling import policy
from privatekube.store import recent_records
from privatekube.store.kubernetes.core_objects import CoreObjects
from privatekube.store.kubernetes.custom_objects import Cluster
from privatekube.store.kubernetes.store import RETIRED, SYSTEM_NAMESPACE, KubernetesStore
from tests import builders, waiting
from tests.kubernetes.apiserver import ApiServer
from tests.kubernetes.conftest import Starter
from tests.kubernetes.controllers import is_answered
from tests.reconcile.harness import Plane

pytestmark = pytest.mark.kubernetes


def test_claims_are_granted_and_paid(store: KubernetesStore, start: Starter) -> None:
    controller = start()
    for name in "ab":
        store.create(builders.block(name))
    store.create(builders.claim("c", builders.allocate(0.25)))
    waiting.until(lambda: is_answered(store, "c"), controller.log)
    plane = Plane(store)
    assert plane.claim("c").status.acquired == {"ns/a": EpsilonDelta(0.25), "ns/b": EpsilonDelta(0.25)}
    plane.append("c", ConsumeRequest({"ns/a": EpsilonDelta(0.25)}, "allOrNothing=true"))
    waiting.until(lambda: is_answered(store, "c", 1), controller.log)
    waiting.until(
        lambda: not any(transitions.status_of(block).locks for block in plane.blocks().values()), controller.log
    )
    assert plane.status("a").committed == {"ns/c": EpsilonDelta(0.25)}
    assert plane.status("b").acquired == {"ns/c": EpsilonDelta(0.25)}
    plane.require_sound()
    plane.require_settled()
    assert controller.stop() == 0


def test_it_reports_what_happened(apiserver: ApiServer, store: KubernetesStore, start: Starter) -> None:
    controller = start()
    store.create(builders.block("b"))
    store.create(builders.claim("c", builders.allocate(0.25)))
    store.create(builders.claim("none", builders.allocate(0.25, blocks=3)))
    waiting.until(lambda: is_answered(store, "c") and is_answered(store, "none"), controller.log)
    claim = json.loads(apiserver.kubectl("get", "pbc", "c", "-n", "ns", "-o", "json", user="viewer"))
    conditions = {condition["type"]: condition for condition in claim["status"]["conditions"]}
    assert conditions["Granted"]["status"] == "True"
    assert conditions["Settled"]["reason"] == "Holding"
    assert conditions["Granted"]["observedGeneration"] == 1
    apiserver.kubectl("wait", "--for=condition=Granted", "pbc/c", "-n", "ns", "--timeout=60s", user="viewer")
    waiting.until(lambda: {"Granted", "Admitted", "Refused"} <= reasons(apiserver), controller.log)
    assert "Granted" in apiserver.kubectl("describe", "pbc", "c", "-n", "ns")
    assert controller.get("/healthz") == (200, "ok\n")
    assert controller.get("/nowhere")[0] == 404
    metrics = {
        "privatekube_grants_total": 1.0,
        'privatekube_refusals_total{reason="Refused"}': 1.0,
        'privatekube_dataset_epsilon_left{dataset="d",namespace="ns"}': 0.75,
        "privatekube_claims_waiting": 0.0,
    }  # which the controller counts after it has written an answer
    waiting.until(lambda: {name: controller.metric(name) for name in metrics} == metrics, controller.log)
    granted = {"reason": "Granted", "claim": "ns/c"}.items()
    waiting.until(lambda: any(granted <= entry.items() for entry in controller.log_entries()), controller.log)


def test_a_nearly_exhausted_block_is_told_once_though_the_controller_starts_again(
    apiserver: ApiServer, store: KubernetesStore, start: Starter, tmp_path: Path
) -> None:
    out, half, told = tmp_path / "notices", EpsilonDelta(0.45), "at least 40% of its budget is committed"
    options = ("--unlock", "all", "--alarm-at", "40%", "--notify", f"sh -c 'cat >> \"$0\"' {out}")
    store.create(builders.block("b"))
    for name in ("c", "d"):
        controller = start(name, *options)
        store.create(Plane.claim_of(name, builders.allocate(demand=half), ConsumeRequest({"ns/b": half})))
        waiting.until(lambda: is_answered(store, name, 1), controller.log)  # noqa: B023 - it is waited for here
        waiting.until(lambda: told in events(apiserver, "NearlyExhausted"), controller.log)
        assert controller.stop() == 0
        assert str(out) not in controller.log()
    apiserver.kubectl("wait", "--for=condition=NearlyExhausted", "pb/b", "-n", "ns", "--timeout=60s", user="viewer")
    assert events(apiserver, "NearlyExhausted") == [told]
    notice = json.loads(out.read_text())
    assert notice.items() >= {"kind": "NearlyExhausted", "block": "ns/b", "blocks": 1, "threshold": 0.4}.items()


def test_a_controller_that_ends_writes_the_events_of_what_it_has_decided(
    apiserver: ApiServer, store: KubernetesStore, start: Starter
) -> None:
    names = [f"b{number}" for number in range(150)]
    store.concurrently([partial(store.create, builders.block(name)) for name in names])
    controller = start("a")
    waiting.until(lambda: all(block.status for block in store.list_blocks()), controller.log)
    assert controller.stop() == 0
    items = json.loads(apiserver.kubectl("get", "events", "-n", "ns", "-o", "json"))["items"]
    admitted = {item["involvedObject"]["name"] for item in items if item["reason"] == "Admitted"}
    told = re.search(r"events not written: (\d+) were still queued", controller.log())
    assert len(admitted) + int(told[1] if told else 0) >= len(names)


def test_a_controller_ends_though_the_api_server_does_not_answer(apiserver: ApiServer, start: Starter) -> None:
    controller = start("a", "--unlock", "all", "--period", "1h")
    waiting.until(lambda: controller.metric("privatekube_decision_seconds_count") > 0, controller.log)
    with apiserver.paused():
        assert controller.stop() == 0
    assert "the lease is not released, and expires" in controller.log()
    assert controller.log_entries()[-1]["message"] == "ended"


def events(apiserver: ApiServer, reason: str) -> list[str]:
    """Return the messages of the Events of a reason about the block that is now named b."""
    uid = json.loads(apiserver.kubectl("get", "pb", "b", "-n", "ns", "-o", "json"))["metadata"]["uid"]
    items = json.loads(apiserver.kubectl("get", "events", "-n", "ns", "-o", "json"))["items"]
    return [item["message"] for item in items if item["reason"] == reason and item["involvedObject"]["uid"] == uid]


def test_many_requests_of_a_claim_are_answered_pass_after_pass_without_waiting_for_a_change(
    store: KubernetesStore, start: Starter
) -> None:
    controller = start("a", "--unlock", "all", "--period", "1h")
    store.create(builders.block("b"))
    part = EpsilonDelta(0.25 / 64)
    store.create(Plane.claim_of("c", builders.allocate(0.25), *[ConsumeRequest({"ns/b": part})] * 40))
    waiting.until(lambda: is_answered(store, "c", 40), controller.log)
    assert Plane(store).states("c") == ["success"] * 41


def reasons(apiserver: ApiServer) -> set[str]:
    events = json.loads(apiserver.kubectl("get", "events", "-n", "ns", "-o", "json"))
    return {event["reason"] for event in events["items"]}


def test_a_claim_times_out_without_a_change(store: KubernetesStore, start: Starter) -> None:
    controller = start("a", "--unlock", "n=100", "--period", "1h")
    store.create(builders.block("b"))
    store.create(builders.claim("c", builders.allocate(0.5, timeout_ms=700)))
    waiting.until(lambda: is_answered(store, "c"), controller.log)
    claim = store.get_claim("ns/c")
    assert claim is not None
    assert claim.status.responses[0].refusal == refusals.TIMED_OUT
    assert not claim.status.reserved


def test_time_unlocks_without_a_change(store: KubernetesStore, start: Starter) -> None:
    controller = start("a", "--unlock", "t=200ms,1s", "--period", "1h")
    store.create(builders.block("b"))
    store.create(builders.claim("c", builders.allocate(1.0)))
    waiting.until(lambda: is_answered(store, "c"), controller.log)
    assert Plane(store).states("c") == ["success"]


def test_a_block_that_is_deleted_and_made_again_starts_with_what_was_committed(
    apiserver: ApiServer, store: KubernetesStore, start: Starter
) -> None:
    controller = start()
    store.create(builders.block("b", digest="sha256:1"))
    store.create(builders.claim("c", builders.allocate(0.25)))
    waiting.until(lambda: is_answered(store, "c"), controller.log)
    apiserver.kubectl("delete", "pb", "--all", "-n", "ns", "--timeout=60s")
    assert store.get_block("ns/b") is None
    again = builders.block("b", digest="sha256:1")
    store.create(again)
    waiting.until(lambda: (block := store.get_block("ns/b")) is not None and block.status is not None, controller.log)
    assert Plane(store).status("b").committed == {"ns/c": EpsilonDelta(0.25)}
    Plane(store).require_sound()


class ForgetfulCluster(Cluster):
    """A connection that fails the fourth time that the records of deleted data are listed.

    Two lists admit a block; the third refuses the next one, and the fourth is to tell why.
    """

    n_lists = 0

    def list_objects(self, plural: str, namespace: str | None = None) -> list[Json]:
        self.n_lists += plural == RETIRED
        if plural == RETIRED and self.n_lists == 4:
            raise errors.StoreBusy("kubernetes: does not answer; try again")
        return super().list_objects(plural, namespace)


def test_it_goes_on_where_it_cannot_tell_why_a_block_is_not_admitted(
    apiserver: ApiServer, store: KubernetesStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recent_records, "KEPT_SECONDS", 0.0)  # else half a minute passes between two lists
    api = apiserver.api("controller")
    cluster = ForgetfulCluster(api)
    settings = Settings(policy.DEFAULTS, 0.2, "a", SYSTEM_NAMESPACE)
    controller = Controller(cluster, CoreObjects(api), settings)
    thread = threading.Thread(target=controller.run, daemon=True)
    thread.start()
    block = store.create(builders.block("a"))
    waiting.until(lambda: (known := store.get_block("ns/a")) is not None and known.status is not None)
    store.create(replace(builders.block("b"), spec=block.spec))  # the same data
    waiting.until(lambda: cluster.n_lists > 4 or not thread.is_alive())
    store.create(builders.claim("c", builders.allocate(0.25)))
    waiting.until(lambda: is_answered(store, "c"))
    controller.stop()
    thread.join(waiting.PATIENCE_SECONDS)
    assert Plane(store).states("c") == ["success"]
