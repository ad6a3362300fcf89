"""The definitions bound everything that a claimant or a data owner writes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from privatekube.resources import bounds
from privatekube.resources.wire import claims
from tests import builders
from tests.kubernetes import attacks
from tests.kubernetes.apiserver import ApiServer
from tests.kubernetes.attacks import Json
from tests.reconcile.harness import Plane

BASE = Path(__file__).resolve().parent.parent.parent / "manifests" / "base"
WRITTEN_BY_USERS = (
    "privacybudgetclaims",
    "privatedatablocks",
    "dataidentities",
    "privacybudgetquotas",
    "privacybudgetapprovals",
)

kubernetes = pytest.mark.kubernetes


def schema(plural: str) -> Json:
    """Return the schema of a kind's objects."""
    (version,) = yaml.safe_load((BASE / f"{plural}.yaml").read_text())["spec"]["versions"]
    top: Json = version["schema"]["openAPIV3Schema"]
    return top


def unbounded(part: Json, path: str) -> Iterator[str]:
    """Yield the path of each part of a schema whose size no bound limits."""
    kind = part["type"]
    bounds = {
        "string": ("maxLength", "enum"),
        "array": ("maxItems",),
        "integer": ("maximum", "format"),
        "object": ("maxProperties",) if "additionalProperties" in part else ("type",),
    }
    if part.get("x-kubernetes-preserve-unknown-fields") or not set(bounds.get(kind, ("type",))) & set(part):
        yield path
    for name, child in part.get("properties", {}).items():
        yield from unbounded(child, f"{path}.{name}")
    for name in ("items", "additionalProperties"):
        if name in part:
            yield from unbounded(part[name], f"{path}[]")


@pytest.mark.parametrize("plural", WRITTEN_BY_USERS)
def test_nothing_that_a_user_writes_is_without_a_bound(plural: str) -> None:
    assert list(unbounded(schema(plural)["properties"]["spec"], "spec")) == []


@pytest.mark.parametrize("plural", [*WRITTEN_BY_USERS, "privacyledgerentries", "retiredprivatedata"])
def test_no_object_is_without_a_spec_whose_former_value_rules_compare_with(plural: str) -> None:
    assert schema(plural)["required"] == ["spec"]


def test_a_claim_states_no_longer_time_than_a_policy_may() -> None:
    spec = schema("privacybudgetclaims")["properties"]["spec"]["properties"]
    request = spec["requests"]["items"]["properties"]["allocateRequest"]["properties"]
    assert spec["settleAfter"]["properties"]["seconds"]["maximum"] * 1000 == bounds.LONGEST_MS
    assert request["timeout"]["maximum"] == bounds.LONGEST_MS


@kubernetes
@pytest.mark.parametrize(
    ("settle_after", "bound"),
    [({"seconds": 10**9, "time": 0}, "316224000"), ({"seconds": 1, "time": 10**17}, "253402300799999")],
)
def test_a_time_to_settle_that_no_calendar_has_is_refused(
    apiserver: ApiServer, granted: Plane, settle_after: Json, bound: str
) -> None:
    assert f"less than or equal to {bound}" in attacks.patch(
        apiserver, {"spec": {"settleAfter": settle_after}}, user="claimant"
    )


HUGE_BUDGET = {"renyi": [{"alpha": 2 + order, "epsilon": 0.1} for order in range(65)]}
LARGE_AMOUNT = {"epsDel": {"epsilon": 1.7e308}}
SMALL_BUDGET = {"epsDel": {"epsilon": 0.1}}


@kubernetes
@pytest.mark.parametrize(
    ("request_", "refusal"),
    [
        (
            {"allocateRequest": {"dataset": "d", "expectedBudget": {"constant": HUGE_BUDGET}}},
            "must have at most 64 items",
        ),
        (
            {"allocateRequest": {"dataset": "d", "expectedBudget": {"constant": LARGE_AMOUNT}}},
            "less than or equal to 1e+15",
        ),
        ({"consumeRequest": {"consume": {"ns/b": LARGE_AMOUNT}}}, "less than or equal to 1e+15"),
        ({"allocateRequest": {"dataset": "d" * 254}}, "may not be more than 253"),
        ({"consumeRequest": {"consume": {"b" * 508: SMALL_BUDGET}}}, "name a block as namespace/name"),
        ({"releaseRequest": {"release": {"b" * 508: SMALL_BUDGET}}}, "name a block as namespace/name"),
        (
            {"consumeRequest": {"consume": {f"ns/{n}": SMALL_BUDGET for n in range(1025)}}},
            "must have at most 1024 items",
        ),
        ({"consumeRequest": {"mechanisms": ["noise"] * 65}}, "must have at most 64 items"),
    ],
)
def test_a_request_beyond_the_bounds_is_refused(apiserver: ApiServer, request_: Json, refusal: str) -> None:
    document = claims.to_wire(builders.claim("large"))
    document["spec"]["requests"] = [{"identifier": "1", **request_}]
    assert refusal in attacks.create(apiserver, document, user="claimant", status=1)
