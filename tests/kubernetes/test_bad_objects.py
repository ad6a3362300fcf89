"""Invalid objects: each is refused with a reason, and the controller continues with the others."""

from __future__ import annotations

import json
from typing import Any

import pytest

from privatekube.controller.event_recorder import EventRecorder
from privatekube.controller.problem_reports import ProblemReports
from privatekube.privacy.budget import EpsilonDelta
from privatekube.reconcile.reconcile import Pass
from privatekube.resources import transitions
from privatekube.resources.retired_data import RetiredData
from privatekube.store.kubernetes.core_objects import CoreObjects
from privatekube.store.kubernetes.store import KubernetesStore
from tests import builders, waiting
from tests.kubernetes import controller_stores, rejecting_policy
from tests.kubernetes.apiserver import ApiServer
from tests.kubernetes.conftest import Starter
from tests.kubernetes.controllers import is_answered
from tests.reconcile.harness import Plane

pytestmark = pytest.mark.kubernetes
Json = dict[str, Any]


def applied(apiserver: ApiServer, requests: list[Json], *, status: int = 0, name: str = "bad") -> str:
    document = {
        "apiVersion": "columbia.github.com/v1",
        "kind": "PrivacyBudgetClaim",
        "metadata": {"name": name, "namespace": "ns"},
        "spec": {"requests": requests},
    }
    return apiserver.kubectl("apply", "-f", "-", user="claimant", stdin=json.dumps(document), status=status)


def asking(budget: Json, dataset: str = "d") -> Json:
    return {"identifier": "1", "allocateRequest": {"dataset": dataset, "expectedBudget": {"constant": budget}}}


@pytest.mark.parametrize(
    ("request_", "error"),
    [
        (asking({"epsDel": {"epsilon": 0.1}}, "unknown"), "match dataset 'unknown'"),
        (asking({"epsDel": {"epsilon": 0.1}, "renyi": [{"alpha": 2, "epsilon": 1}]}), "give either epsDel or renyi"),
        (asking({"epsDel": {"epsilon": -1}}), "negative"),
        (asking({"renyi": [{"alpha": 2, "epsilon": 0.1}]}), "budget types do not match"),
        (asking({}), "budget"),
        ({"identifier": "1", "allocateRequest": {"dataset": "d", "expectedBudget": {"function": "f"}}}, "function"),
    ],
)
def test_an_invalid_request_fails_with_a_reason_and_the_next_claim_is_granted(
    apiserver: ApiServer, store: KubernetesStore, start: Starter, request_: Json, error: str
) -> None:
    controller = start()
    store.create(builders.block("b"))
    applied(apiserver, [request_])
    waiting.until(lambda: is_answered(store, "bad"), controller.log)
    claim = store.get_claim("ns/bad")
    assert claim is not None
    assert error in str(claim.status.responses[0].refusal)
    store.create(builders.claim("good"))
    waiting.until(lambda: is_answered(store, "good"), controller.log)
    assert Plane(store).states("good") == ["success"]


def test_a_request_list_that_is_too_long_is_rejected(apiserver: ApiServer, store: KubernetesStore) -> None:
    refused = applied(apiserver, [asking({"epsDel": {"epsilon": 0.1}})] * 300, status=1)
    assert "spec.requests" in refused
    assert "256" in refused


def test_a_claim_that_cannot_be_answered_does_not_delay_others(
    apiserver: ApiServer, store: KubernetesStore, start: Starter
) -> None:
    controller = start()
    store.create(builders.block("b"))
    with rejecting_policy.reject_poison(apiserver, store):
        store.create(builders.claim("poison", builders.allocate(0.25)))
        store.create(builders.claim("good", builders.allocate(0.25)))
        waiting.until(lambda: is_answered(store, "good"), controller.log)
        described = ("describe", "pbc", "poison", "-n", "ns")
        waiting.until(lambda: "quarantined for a while" in apiserver.kubectl(*described), controller.log)
        assert not is_answered(store, "poison")
        waiting.until(lambda: not transitions.unfinished_locks(Plane(store).blocks()["ns/b"]), controller.log)
        poison = store.get_claim("ns/poison")
        assert poison is not None
        store.delete(poison)
    waiting.until(lambda: not Plane(store).status("b").locks, controller.log)
    acquired = dict(Plane(store).status("b").acquired)
    assert acquired.pop("ns/good") == EpsilonDelta(0.25)
    assert acquired in ({}, {"ns/poison": EpsilonDelta(0.1)})  # of the claim that waited for the policy, if granted
    Plane(store).require_sound()


def test_a_block_with_another_budget_than_its_data_had_is_not_admitted_and_says_why(
    apiserver: ApiServer, store: KubernetesStore, start: Starter
) -> None:
    controller = start()
    store.create(builders.block("b", digest="sha256:1"))
    store.create(builders.claim("c", builders.allocate(0.25)))
    waiting.until(lambda: is_answered(store, "c"), controller.log)
    apiserver.kubectl("delete", "pb", "b", "-n", "ns", "--timeout=60s")
    store.create(builders.block("b", EpsilonDelta(5.0), digest="sha256:1"))
    reason, described = "a budget is for the data's whole life", ("describe", "pb", "b", "-n", "ns")
    waiting.until(lambda: reason in apiserver.kubectl(*described), controller.log)
    assert "NotAdmitted" in apiserver.kubectl(*described)
    block = store.get_block("ns/b")
    assert block is not None
    assert block.status is None


def test_why_a_block_is_not_admitted_is_told_also_where_it_came_before_the_record_of_its_data(
    apiserver: ApiServer, store: KubernetesStore, caplog: pytest.LogCaptureFixture
) -> None:
    leading, _, _ = controller_stores.open_unwatched(apiserver, 1)
    reports = ProblemReports(leading, EventRecorder(CoreObjects(apiserver.api("controller")), "a"))
    nothing_decided = Pass(has_unwritten=False, has_more=False)
    block = store.create(builders.block("b", EpsilonDelta(5.0), digest="sha256:1"))
    leading.refresh()
    reports.report(nothing_decided)
    assert caplog.text == ""
    leading.retire(RetiredData(block.spec.dataset, "sha256:1", "ns/earlier", EpsilonDelta(1.0), {}))
    leading.list_retired()  # as the next pass does
    reports.report(nothing_decided)
    assert "a budget is for the data's whole life" in caplog.text
    leading.close()


@pytest.mark.parametrize("call", ["replace", "get"])
def test_an_object_that_is_created_again_while_its_predecessor_is_removed_stays_known(
    apiserver: ApiServer, store: KubernetesStore, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    leading, cluster, _ = controller_stores.open_unwatched(apiserver, 1)
    store.request_deletion(store.create(builders.block("b")))  # which waits for its finalizer
    leading.refresh()
    (block,) = leading.known_blocks()
    asked = getattr(cluster, call)

    def answered_late(*given: Any) -> Any:
        if call == "get":
            store.delete(block)
        answer = asked(*given)
        store.create(builders.block("b"))
        leading.refresh()  # as the watch does
        return answer

    monkeypatch.setattr(cluster, call, answered_late)
    if call == "get":
        assert leading.get_block(block.id) is None
    else:
        leading.delete(block)  # takes its finalizer away
    assert [known.meta.uid for known in leading.known_blocks()] == [store.list_blocks()[0].meta.uid]
    leading.close()
