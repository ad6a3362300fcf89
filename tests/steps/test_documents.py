"""The documents of a run are validated on reading, and their JSON form is fixed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from privatekube import errors
from privatekube.privacy import events
from privatekube.privacy.sensitivity import Per, Sensitivity
from privatekube.privacy.solving import SolvedPlan, SolvedStep
from privatekube.privacy.unit import PrivacyUnit
from privatekube.steps import documents, stated_noise
from privatekube.training.settings import TrainingSettings
from tests.steps.builders import grant, plan

NOISE = documents.CountNoise(scale=20.0, sensitivity=1)
ESTIMATE = documents.Estimate(estimate=0.5, low=0.25, high=0.75)


def test_a_document_survives_writing_and_reading(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "grant.json"
    documents.write(grant(), path)
    assert documents.read(documents.Grant, path) == grant()
    assert [file.name for file in path.parent.iterdir()] == ["grant.json"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"schema_version": 1}, r"Grant: schema_version: 1 must be 4.*; start a new run"),
        ({"epsilon": 0}, r"epsilon: 0 must be greater than 0"),
        ({"delta": 1}, r"delta: 1 must be less than 1"),
        ({"unit": "household"}, r"unit: 'household'"),
        ({"blocks": []}, r"blocks"),
        ({"more": 1}, r"more: unknown"),
    ],
)
def test_a_field_that_does_not_fit_is_named(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    path = tmp_path / "grant.json"
    path.write_text(json.dumps(grant().model_dump(mode="json") | change))
    with pytest.raises(errors.InvalidInput, match=message):
        documents.read(documents.Grant, path)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"part": "all"}, "Spend: step: missing; give it a value"),
        ({"step": "a", "claim": "t/c", "part": "all", "event": {}, "inputs": ["x"]}, "Spend: inputs.0: 'x' must match"),
        ({"stepp": "a"}, "Spend: "),
    ],
)
def test_a_document_that_a_program_makes_of_wrong_fields_is_refused_in_one_line(
    fields: dict[str, Any], message: str
) -> None:
    with pytest.raises(errors.InvalidInput, match=message) as refused:
        documents.Spend(**fields)
    assert len(str(refused.value).splitlines()) == 1


def test_a_missing_file_text_that_is_not_json_and_a_folder_are_refused(tmp_path: Path) -> None:
    with pytest.raises(errors.InvalidInput, match="does not exist"):
        documents.read(documents.Grant, tmp_path / "grant.json")
    (tmp_path / "grant.json").write_text("{")
    with pytest.raises(errors.InvalidInput, match=r"Grant grant.json"):
        documents.read(documents.Grant, tmp_path / "grant.json")
    with pytest.raises(errors.InvalidInput, match="cannot be used"):
        documents.read(documents.Grant, tmp_path)


def test_the_grant_states_the_solved_plan() -> None:
    counts, training = events.discrete_laplace(20.0, 1), events.poisson_gaussian(0.1, 1.2, 20)
    evaluation = events.discrete_laplace(5.0, 1)
    noise, stated = {"sensitivity": 1, "queries": 1}, Sensitivity(1, Per.UNIT)
    steps = (
        SolvedStep("dp_preprocess", "all", "discrete_laplace", {"scale": 20.0, **noise}, counts, stated),
        SolvedStep(
            "dp_train", "train", "dp_sgd", {"sampling_rate": 0.1, "steps": 20, "noise_multiplier": 1.2}, training
        ),
        SolvedStep("dp_evaluate", "test", "discrete_laplace", {"scale": 5.0, **noise}, evaluation, stated),
    )
    assert documents.GrantedPlan.of(SolvedPlan(steps, ("train", "test"))) == grant().plan


def test_a_plan_that_names_a_step_twice_or_a_part_that_is_not_disjoint_is_refused() -> None:
    first, *_ = plan()["steps"]
    for steps, message in (([first, first], "given twice"), ([{**first, "part": "x"}], "not declared disjoint")):
        with pytest.raises(errors.InvalidInput, match=message):
            grant(plan={"steps": steps})


def test_noise_is_read_of_a_step_that_runs_such_a_mechanism_alone() -> None:
    planned = grant().plan
    assert documents.CountNoise.planned(planned.step("dp_evaluate"), max_contribution=1).scale == 5.0
    assert documents.TrainingNoise.planned(planned.step("dp_train")).steps == 20
    with pytest.raises(errors.InvalidInput, match="'dp_sgd' is not one query with discrete Laplace noise"):
        documents.CountNoise.planned(planned.step("dp_train"), max_contribution=1)
    with pytest.raises(errors.InvalidInput, match="'discrete_laplace' is not dp_sgd, which dp_evaluate runs"):
        documents.TrainingNoise.planned(planned.step("dp_evaluate"))
    with pytest.raises(errors.InvalidInput, match="step: 'other' is not in the plan, which has dp_preprocess, dp_tr"):
        planned.step("other")


def test_counts_of_records_get_no_noise_for_less_than_a_unit_may_have() -> None:
    fault = r"^dp_evaluate: sensitivity: 1 must be at least 2, .*; say `per: record` in the plan$"
    with pytest.raises(errors.InvalidInput, match=fault):
        documents.CountNoise.planned(grant().plan.step("dp_evaluate"), max_contribution=2)


def test_the_json_of_statistics_is_fixed() -> None:
    statistics = documents.Statistics(counts={"a": {"1": -3, "2": 5}}, noise=NOISE, unit=PrivacyUnit.USER_DAY)
    assert json.loads(documents.encode(statistics)) == {
        "schema_version": 4,
        "counts": {"a": {"1": -3, "2": 5}},
        "noise": {"mechanism": "discrete Laplace", "scale": 20.0, "sensitivity": 1},
        "unit": "user-day",
        "adjacency": "add or remove one unit",
    }
    assert statistics.total == 2


def test_the_json_of_metrics_is_fixed_and_leaves_out_what_a_component_does_not_measure() -> None:
    estimate = {"estimate": 0.5, "low": 0.25, "high": 0.75}
    few = documents.Metrics(accuracy=ESTIMATE, task="product", model="lstm", noise=NOISE)
    json_of_few = {
        "schema_version": 4,
        "accuracy": estimate,
        "task": "product",
        "model": "lstm",
        "confidence": 0.95,
        "noise": {"mechanism": "discrete Laplace", "scale": 20.0, "sensitivity": 1},
    }
    assert json.loads(documents.encode(few)) == json_of_few
    changes = {"per_class": {"a": ESTIMATE}, "majority_share": ESTIMATE, "examples": -1}
    assert json.loads(documents.encode(few.model_copy(update=changes))) == json_of_few | {
        "per_class": {"a": estimate},
        "majority_share": estimate,
        "examples": -1,
    }


def test_metrics_without_an_estimate_say_so(tmp_path: Path) -> None:
    unknown = documents.Estimate(estimate=None, low=0, high=1)
    metrics = documents.Metrics(accuracy=unknown, task="product", model="lstm", noise=NOISE)
    documents.write(metrics, tmp_path / "metrics")
    assert json.loads((tmp_path / "metrics").read_text())["accuracy"] == {"estimate": None, "low": 0.0, "high": 1.0}
    assert documents.read(documents.Metrics, tmp_path / "metrics") == metrics


def test_metrics_may_have_more_fields_and_must_have_an_accuracy(tmp_path: Path) -> None:
    path = tmp_path / "metrics"
    metrics = documents.Metrics(accuracy=ESTIMATE, task="product", model="lstm", noise=NOISE)
    content = metrics.model_dump(mode="json") | {"recall": 0.5}
    path.write_text(json.dumps(content))
    assert documents.read(documents.Metrics, path).model_dump(mode="json") == content
    del content["accuracy"]
    path.write_text(json.dumps(content))
    with pytest.raises(errors.InvalidInput, match="Metrics metrics: accuracy: missing"):
        documents.read(documents.Metrics, path)


LAST_VERSION = Path(__file__).parents[1] / "samples" / "documents" / "3"


def test_documents_of_the_last_version_are_read_as_those_of_this_one() -> None:
    granted = documents.read(documents.Grant, LAST_VERSION / "grant.json")
    assert granted.schema_version == documents.SCHEMA_VERSION
    settings = TrainingSettings.of(granted.settings)
    assert (settings.test_fraction, settings.model, settings.learning_rate) == (0.3, "bow", 0.01)
    assert documents.TrainingNoise.planned(granted.plan.step("dp_train")).steps == 2
    stated_noise.require_stated_sensitivities(granted)
    receipt = documents.read(documents.Receipt, LAST_VERSION / "receipt.json")
    assert [spend.step for spend in receipt.spends] == ["dp_preprocess", "dp_train", "dp_evaluate"]
    spend = documents.read(documents.Spend, LAST_VERSION / "spend-statistics.json")
    assert spend == receipt.spends[0]
    assert spend.inputs == (documents.digest((LAST_VERSION / "grant.json").read_bytes()),)
    assert documents.read(documents.Statistics, LAST_VERSION / "statistics.json").noise.scale == 20.0
    assert documents.read(documents.Metrics, LAST_VERSION / "metrics.json").task == "product"
