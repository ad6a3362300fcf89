"""Grant, Spend and Receipt are validated on reading; a repeated DP step keeps its first output."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from privatekube import errors
from privatekube.steps import documents


def grant(**changes: Any) -> documents.Grant:
    plan = {
        "statistics_scale": 20.0,
        "noise_multiplier": 1.2,
        "sampling_rate": 0.1,
        "steps": 20,
        "evaluation_scale": 5.0,
        "sensitivity": 1,
    }
    fields: dict[str, Any] = {
        "run_id": "r1",
        "claim": "ns/run-r1",
        "epsilon": 1.0,
        "delta": 1e-9,
        "unit": "event",
        "max_contribution": 1,
        "test_fraction": 0.2,
        "plan": plan,
        "blocks": [{"id": "ns/a", "uri": "file:///a", "digest": None, "budget": {"epsDel": {"epsilon": 1.0}}}],
    }
    return documents.Grant.model_validate(fields | changes)


def spend(inputs: str = "sha256:1", claim: str = "ns/run-r1") -> documents.Spend:
    event = {"type": "discrete_laplace", "noise_parameter": 0.05, "sensitivity": 1}
    return documents.Spend(step="dp_preprocess", claim=claim, part="all", event=event, inputs=inputs)


def test_a_document_survives_writing_and_reading(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "grant.json"
    documents.write(grant(), path)
    assert documents.read(documents.Grant, path) == grant()
    assert [each.name for each in path.parent.iterdir()] == ["grant.json"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"schema_version": 2}, r"schema_version: 2"),
        ({"epsilon": 0}, r"epsilon: 0 must be greater than 0"),
        ({"delta": 1}, r"delta: 1 must be less than 1"),
        ({"unit": "user"}, r"unit: 'user'"),
        ({"blocks": []}, r"blocks"),
        ({"more": 1}, r"more: unknown"),
    ],
)
def test_a_field_that_does_not_fit_is_named(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    path = tmp_path / "grant.json"
    path.write_text(json.dumps(grant().model_dump(mode="json") | change))
    with pytest.raises(errors.InvalidInput, match=message):
        documents.read(documents.Grant, path)


def test_a_missing_file_and_text_that_is_no_json_are_refused(tmp_path: Path) -> None:
    with pytest.raises(errors.InvalidInput, match="does not exist"):
        documents.read(documents.Grant, tmp_path / "grant.json")
    (tmp_path / "grant.json").write_text("{")
    with pytest.raises(errors.InvalidInput, match=r"Grant grant.json"):
        documents.read(documents.Grant, tmp_path / "grant.json")


def test_a_step_without_a_spend_has_not_finished(tmp_path: Path) -> None:
    path = tmp_path / "spend"
    assert not documents.finished(path, claim="c", inputs="i", outputs=())
    path.touch()
    assert not documents.finished(path, claim="c", inputs="i", outputs=())


def test_a_step_with_its_spend_and_outputs_is_not_repeated(tmp_path: Path) -> None:
    output = tmp_path / "statistics.json"
    output.write_text("{}")
    documents.write(spend(), tmp_path / "spend")
    assert documents.finished(tmp_path / "spend", claim="ns/run-r1", inputs="sha256:1", outputs=(output,))


def test_a_spend_of_another_claim_does_not_count(tmp_path: Path) -> None:
    documents.write(spend(claim="ns/run-r0"), tmp_path / "spend")
    assert not documents.finished(tmp_path / "spend", claim="ns/run-r1", inputs="sha256:1", outputs=())


def test_a_second_release_from_other_inputs_is_refused(tmp_path: Path) -> None:
    documents.write(spend(), tmp_path / "spend")
    with pytest.raises(errors.BudgetExceeded, match="second release"):
        documents.finished(tmp_path / "spend", claim="ns/run-r1", inputs="sha256:2", outputs=())


def test_a_digest_depends_on_content_and_order_alone(tmp_path: Path) -> None:
    for name, text in (("a", "1"), ("b", "2"), ("c", "1")):
        (tmp_path / name).write_text(text)
    a, b, c = (tmp_path / name for name in "abc")
    assert documents.digest(a, b) == documents.digest(c, b)
    assert documents.digest(a, b) != documents.digest(b, a)
