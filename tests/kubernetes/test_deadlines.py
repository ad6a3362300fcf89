"""Deadlines of claims on a real API server: what the definition accepts, and what a controller does at the time."""

from __future__ import annotations

import json
import time
from dataclasses import replace

import pytest

from privatekube.privacy.budget import EpsilonDelta
from privatekube.resources import meta, summary
from privatekube.resources.claim import PrivacyBudgetClaim
from privatekube.resources.summary import ClaimState
from privatekube.resources.wire import claims
from privatekube.store.kubernetes.store import KubernetesStore
from tests import builders, waiting
from tests.kubernetes import attacks
from tests.kubernetes.apiserver import ApiServer
from tests.kubernetes.attacks import Json
from tests.kubernetes.conftest import Starter
from tests.reconcile.harness import Plane

pytestmark = pytest.mark.kubernetes

LATER = "2099-12-01T12:00:00Z"


def of_deadline(name: str, epsilon: float, deadline_ms: int | None, timeout_ms: int = 10**8) -> PrivacyBudgetClaim:
    claim = builders.claim(name, builders.allocate(epsilon, timeout_ms=timeout_ms))
    return replace(claim, spec=replace(claim.spec, deadline_ms=deadline_ms))


def document(name: str, deadline: object) -> Json:
    wire = claims.to_wire(builders.claim(name))
    wire["spec"]["deadline"] = deadline
    return wire


def test_the_definition_accepts_a_time_in_whole_seconds_of_utc_which_never_changes(
    apiserver: ApiServer, store: KubernetesStore
) -> None:
    for wrong in ("2099-12-01T13:00:00+01:00", "2099-13-01T12:00:00Z", "2099-02-30T12:00:00Z", "soon", "", 5):
        assert "spec.deadline" in attacks.create(apiserver, document("c", wrong), user="claimant", status=1), wrong
    attacks.create(apiserver, document("c", LATER), user="claimant")
    attacks.create(apiserver, claims.to_wire(builders.claim("without")), user="claimant")
    stored = store.get_claim("ns/c")
    assert stored is not None
    assert stored.spec.deadline_ms == meta.parse_time(LATER, "deadline")
    of_without = ("pbc", "without", "-n", "ns")
    for of, change in ((attacks.CLAIM, "2099-12-01T12:00:01Z"), (attacks.CLAIM, None), (of_without, LATER)):
        for user in ("claimant", "administrator", "admin"):
            refused = attacks.patch(apiserver, {"spec": {"deadline": change}}, user=user, of=of)
            assert "spec.deadline" in refused, (of, change, user)
            assert "create another claim" in refused
    assert not attacks.patch(apiserver, {"spec": {"dataOpened": True}}, user="claimant")
    header, row = apiserver.kubectl("get", "pbc", "c", "-n", "ns", "-o", "wide", user="viewer").splitlines()
    assert "DEADLINE" in header
    assert LATER in row


@pytest.mark.parametrize("order", ["dpf", "dpack"])
def test_the_earliest_deadline_of_equals_is_granted_and_one_that_has_passed_is_refused(
    apiserver: ApiServer, store: KubernetesStore, order: str
) -> None:
    plane = Plane(store, order=order)
    plane.block("b", EpsilonDelta(1.0, 1e-6))
    for name, deadline_ms in (("none", None), ("late", 90_000), ("soon", 50_000)):
        attacks.create(apiserver, claims.to_wire(of_deadline(name, 0.6, deadline_ms)), user="claimant")
    plane.run()
    granted = [name for name in ("none", "late", "soon") if summary.state(plane.claim(name)) is ClaimState.ACQUIRED]
    assert granted == ["soon"]
    plane.clock.time_ms = 90_000
    plane.run()
    assert str(plane.claim("late").status.responses[0].refusal) == "deadline: 1970-01-01T00:01:30Z has passed"
    assert summary.state(plane.claim("none")) is ClaimState.WAITING
    shown = json.loads(apiserver.kubectl("get", "pbc", "late", "-n", "ns", "-o", "json", user="viewer"))
    (condition,) = [item for item in shown["status"]["conditions"] if item["type"] == "Granted"]
    assert condition["reason"] == "DeadlinePassed"
    plane.require_sound()


def test_a_controller_wakes_up_for_a_deadline(apiserver: ApiServer, store: KubernetesStore, start: Starter) -> None:
    store.create(builders.block("b", EpsilonDelta(1.0, 1e-6)))
    start("a", "--unlock", "n=100", "--period", "300s")
    deadline_ms = (int(time.time()) + 10) * 1000
    attacks.create(apiserver, claims.to_wire(of_deadline("c", 0.5, deadline_ms)), user="claimant")

    def is_refused() -> bool:
        claim = store.get_claim("ns/c")
        return claim is not None and summary.state(claim) is ClaimState.FAILURE

    waiting.until(is_refused)
    claim = store.get_claim("ns/c")
    assert claim is not None
    assert str(claim.status.responses[0].refusal) == f"deadline: {meta.format_time(deadline_ms)} has passed"
