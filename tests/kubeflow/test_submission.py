"""Submitting a run: the request fits KFP's published schema, and an answer without a run is an error."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from kfp import compiler

from pipelines import dp_lstm
from privatekube import errors
from privatekube.kubeflow import pipeline_arguments, submission
from privatekube.kubeflow.cluster_file import ClusterFile
from privatekube.kubeflow.pipelines_api import PipelinesApi
from privatekube.kubeflow.step_components import StepComponents
from privatekube.runs import run_arguments
from tests.e2e.conftest import ROOT
from tests.kubeflow.servers.http_server import Call, Reply
from tests.kubeflow.servers.pipelines import V2, Pipelines


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("package") / "p.yaml"
    compiler.Compiler().compile(dp_lstm.build(StepComponents.of_project(ROOT, dp_lstm.STEPS).folders), str(path))
    return path


def arguments(**changes: Any) -> dict[str, Any]:
    stated = run_arguments.load(ROOT / "arguments.yaml", ["epsilon=2.5", "prefix=gs://bucket/runs"])
    return stated.model_dump() | changes


def cluster(pipelines: Pipelines, **values: Any) -> ClusterFile:
    return ClusterFile.model_validate({"host": pipelines.url, "namespace": "my-team", **values})


def submit(pipelines: Pipelines, package: Path, **changes: Any) -> submission.SubmittedRun:
    content = cluster(pipelines, service_account="default-editor", pipeline_root="gs://b/root")
    return submission.submit(PipelinesApi.of(content), content, package, arguments(**changes))


def test_a_submission_carries_pipeline_arguments_account_and_a_name_that_tells_it_apart(
    pipelines: Pipelines, package: Path
) -> None:
    submitted = submit(pipelines, package)
    assert submitted.url == f"{pipelines.url}/#/runs/details/run-0"
    assert re.fullmatch(r"amazon epsilon 2\.5 \d{8}-\d{6}-[0-9a-f]{4}", submitted.name)
    run = pipelines.runs["run-0"]
    assert run["display_name"] == submitted.name
    assert run["service_account"] == "default-editor"
    assert run["runtime_config"]["pipeline_root"] == "gs://b/root"
    assert run["runtime_config"]["parameters"]["prefix"] == "gs://bucket/runs"
    assert pipelines.experiments[0]["namespace"] == "my-team"


def test_no_secret_is_in_what_is_sent_but_in_the_header(
    pipelines: Pipelines, package: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KUBEFLOW_TOKEN", "sesame")
    content = cluster(pipelines, sign_in={"kind": "token", "value": "env:KUBEFLOW_TOKEN"})
    submission.submit(PipelinesApi.of(content), content, package, arguments())
    assert {call.headers["authorization"] for call in pipelines.calls} == {"Bearer sesame"}
    assert not any(b"sesame" in call.body or "sesame" in str(call.query) for call in pipelines.calls)


def test_no_task_of_a_request_is_cached_also_inside_a_group(pipelines: Pipelines, package: Path) -> None:
    cached = package.with_name("cached.yaml")
    cached.write_text(package.read_text().replace("cachingOptions: {}", "cachingOptions: {enableCache: true}"))
    submit(pipelines, cached)
    assert "enableCache" in cached.read_text()
    assert "enableCache" not in str(pipelines.runs["run-0"]["pipeline_spec"])


def test_an_experiment_is_created_once(pipelines: Pipelines, package: Path) -> None:
    submit(pipelines, package)
    submit(pipelines, package)
    assert len(pipelines.experiments) == 1
    assert {run["experiment_id"] for run in pipelines.runs.values()} == {"experiment-0"}


def test_an_installation_of_one_user_is_told_no_namespace(pipelines: Pipelines, package: Path) -> None:
    pipelines.multi_user = False
    assert submit(pipelines, package).run_id == "run-0"


def test_an_installation_of_many_users_needs_a_namespace_that_is_yours(pipelines: Pipelines, package: Path) -> None:
    for namespace, words in ((None, "namespace: is not given"), ("theirs", r"403 Forbidden \(User is not authorized")):
        content = cluster(pipelines, namespace=namespace)
        with pytest.raises(errors.InvalidInput, match=words):
            submission.submit(PipelinesApi.of(content), content, package, arguments())


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("timeout_seconds", 1.5, "timeout_seconds: 1.5"),
        ("timeout_seconds", "soon", "timeout_seconds: 'soon'"),
        ("epsilon", float("nan"), "epsilon: nan"),
        ("dataset", 7, "dataset: 7"),
        ("colour", "red", "colour"),
    ],
)
def test_arguments_are_checked_against_the_package_before_any_call(
    pipelines: Pipelines, package: Path, name: str, value: object, words: str
) -> None:
    with pytest.raises(errors.InvalidInput, match=words):
        submit(pipelines, package, **{name: value})
    assert not pipelines.calls


def test_a_missing_argument_is_named(package: Path) -> None:
    values = arguments()
    del values["dataset"]
    with pytest.raises(errors.InvalidInput, match="dataset"):
        pipeline_arguments.checked(submission.Package.read(package).spec, values)


@pytest.mark.parametrize(
    "body", [{}, {"run_id": None}, {"run_id": ""}, {"display_name": "x"}, {"run_id": {"id": 1}}], ids=str
)
def test_an_answer_without_the_id_of_a_run_is_an_error(pipelines: Pipelines, package: Path, body: Any) -> None:
    def broken(call: Call) -> Reply | None:
        return Reply(200, body) if call.path == f"{V2}/runs" else None

    pipelines.broken = broken
    with pytest.raises(errors.InvalidInput, match="answered without the id of a run; look in its list of runs"):
        submit(pipelines, package)


def test_a_login_page_in_place_of_a_run_is_an_error(pipelines: Pipelines, package: Path) -> None:
    def broken(call: Call) -> Reply | None:
        return Reply(200, b"<html>Log in</html>") if call.method == "POST" else None

    pipelines.broken = broken
    with pytest.raises(errors.InvalidInput, match="answered with a login page: not signed in"):
        submit(pipelines, package)
