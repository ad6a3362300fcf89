"""The definitions bound everything that a claimant or a data owner writes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from privatekube.scheduling.policy import LONGEST_MS

BASE = Path(__file__).resolve().parent.parent.parent / "manifests" / "base"
WRITTEN_BY_USERS = ("privacybudgetclaims", "privatedatablocks", "dataidentities")
Json = dict[str, Any]


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
    assert spec["settleAfter"]["properties"]["seconds"]["maximum"] * 1000 == LONGEST_MS
    assert request["timeout"]["maximum"] == LONGEST_MS
