"""The facts of a Workload, as the API server has it."""

from __future__ import annotations

from typing import Any

import pytest

from privatekube.controller.kueue.workload import CLAIM, Check, State, Workload

SINCE = "2026-11-27T10:00:00Z"


def document(
    *conditions: str, state: str = "Pending", claims: tuple[str, ...] = ("c",), active: bool = True
) -> dict[str, Any]:
    stated = [{"type": name, "status": "True", "lastTransitionTime": SINCE} for name in conditions]
    absent = [{"type": name, "status": "False", "lastTransitionTime": SINCE} for name in ("Other", "Finished")]
    checks = [{"name": "privacy", "state": state, "message": "why"}]
    return {
        "metadata": {"name": "w", "namespace": "ns", "uid": "1", "resourceVersion": "7"},
        "spec": {
            "active": active,
            "podSets": [{"name": name, "template": {"metadata": {"annotations": {CLAIM: name}}}} for name in claims],
        },
        "status": {"conditions": [*absent, *stated], "admissionChecks": checks},
    }


def test_its_facts_are_read() -> None:
    workload = Workload.from_document(document("QuotaReserved", claims=("c", "d")))
    assert workload.id == "ns/w"
    assert workload.claims == {"c", "d"}
    assert workload.reserved_ms == 1_795_773_600_000
    assert workload.checks == {"privacy": Check(State.PENDING, "why")}
    assert (workload.is_admitted, workload.is_evicted, workload.is_over) == (False, False, False)


def test_a_new_workload_has_no_status_and_pods_without_annotations() -> None:
    metadata = {"name": "w", "namespace": "ns", "uid": "1", "resourceVersion": "7"}
    workload = Workload.from_document({"metadata": metadata, "spec": {"podSets": [{"template": {"spec": {}}}]}})
    assert (workload.claims, workload.reserved_ms, workload.checks) == (frozenset(), None, {})
    assert not workload.is_over
    assert not workload.awaits("privacy")


@pytest.mark.parametrize("state", ["Pending", "Ready"])
def test_it_awaits_a_decision_while_quota_is_reserved_and_nothing_runs(state: str) -> None:
    assert Workload.from_document(document("QuotaReserved", state=state)).awaits("privacy")
    assert not Workload.from_document(document("QuotaReserved", state=state)).awaits("another check")
    assert not Workload.from_document(document(state=state)).awaits("privacy")


@pytest.mark.parametrize("condition", ["Admitted", "Evicted", "Finished"])
def test_it_awaits_nothing_once_it_runs_is_evicted_or_has_finished(condition: str) -> None:
    assert not Workload.from_document(document("QuotaReserved", condition)).awaits("privacy")


@pytest.mark.parametrize("state", ["Retry", "Rejected", "Unheard-of"])
def test_a_state_that_kueue_acts_on_is_left_to_it(state: str) -> None:
    assert not Workload.from_document(document("QuotaReserved", state=state)).awaits("privacy")


def test_it_is_over_when_it_finished_was_deactivated_or_is_being_deleted() -> None:
    assert Workload.from_document(document("Finished")).is_over
    assert Workload.from_document(document(active=False)).is_over
    deleted = document()
    deleted["metadata"]["deletionTimestamp"] = SINCE
    assert Workload.from_document(deleted).is_over
