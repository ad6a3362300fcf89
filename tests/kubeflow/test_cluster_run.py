"""A run in the cluster from the command's point of view: the table of checks, a refusal, a submission, following it."""

from __future__ import annotations

import io
import re
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from kfp.dsl.base_component import BaseComponent
from kfp.pipeline_spec import pipeline_spec_pb2
from rich.console import Console

from pipelines import dp_lstm
from privatekube import errors
from privatekube.kubeflow import cluster_run
from privatekube.kubeflow.checks.all_checks import CHECKS
from privatekube.kubeflow.checks.check import Subject, Verdict
from privatekube.kubeflow.cluster_file import ClusterFile
from privatekube.kubeflow.step_components import StepComponents
from privatekube.kubeflow.submission import Package
from privatekube.runs import run_arguments
from privatekube.storage import uris
from tests.e2e.conftest import ROOT
from tests.kubeflow.servers.http_server import Call, LoopbackServer, Reply
from tests.kubeflow.servers.pipelines import V2, Pipelines
from tests.kubeflow.test_follow import put

Project = tuple[StepComponents, BaseComponent]
DIGEST = f"sha256:{'0' * 64}"


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Return the components with images that are pinned by a digest, in a registry that nobody can reach."""
    components = pinned(tmp_path_factory.mktemp("project"), "127.0.0.1:9")
    return components, dp_lstm.build(components.folders)


def pinned(folder: Path, registry: str) -> StepComponents:
    """Return the components with images that are pinned by a digest in a registry."""
    for step in dp_lstm.STEPS:
        target = folder / "components" / step
        target.mkdir(parents=True)
        shutil.copy(ROOT / "components" / step / "component.yaml", target)
        text = (target / "component.yaml").read_text()
        (target / "component.yaml").write_text(re.sub(r"image: \S+", f"image: {registry}/{step}@{DIGEST}", text))
    return StepComponents.of_project(folder, dp_lstm.STEPS)


@pytest.fixture(autouse=True)
def without_kubeconfig(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBECONFIG", "/dev/null")


def called(function: Callable[..., int], pipelines: Pipelines, project: Project, **options: bool) -> tuple[int, str]:
    components, pipeline = project
    values = {"host": pipelines.url, "namespace": "my-team", "prefix": "s3://no-such-bucket/runs"}
    cluster, written = ClusterFile.model_validate(values), io.StringIO()
    run, console = run_arguments.load(ROOT / "arguments.yaml"), Console(file=written, width=500)
    status = function(pipeline, run, components, cluster, console=console, **options)
    return status, written.getvalue()


def start(pipelines: Pipelines, project: Project, **options: bool) -> tuple[int, str]:
    chosen = {"is_checked": False, "is_followed": False, **options}
    return called(cluster_run.start, pipelines, project, **chosen)


def checks(pipelines: Pipelines, project: Project) -> tuple[int, str]:
    return called(cluster_run.show_checks, pipelines, project)


@pytest.fixture
def no_bucket(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the buckets' server be one that refuses connections."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "x")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "x")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    monkeypatch.setattr(uris, "ATTEMPTS", 1)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
def test_the_table_has_a_row_for_each_check_and_the_exit_status_of_the_first_failure(
    pipelines: Pipelines, project: Project, no_bucket: None
) -> None:
    status, table = checks(pipelines, project)
    rows = [line.split("  ")[0].strip() for line in table.splitlines()[1:]]
    assert rows == [check.name for check in CHECKS]
    assert "failed" not in table
    assert status == 0
    assert re.search(r"arguments +ok +\d+ arguments fit the pipeline", table)
    assert re.search(r"images +could not be checked +not from this machine: registry: 127\.0\.0\.1:9", table)
    assert re.search(r"sign-in +ok +by none, version 2\.17\.0", table)
    pipelines.broken = lambda _: Reply(503, {})
    status, table = checks(pipelines, project)
    assert re.search(r"sign-in +failed +host: http://127\.0\.0\.1:\d+ answered 503; try again", table)
    assert re.search(r"namespace +failed +see sign-in *$", table, re.MULTILINE)
    assert re.search(r"definitions +could not be checked +see cluster *$", table, re.MULTILINE)
    assert status == errors.Temporary.exit_status
    assert not pipelines.runs


class Registry(LoopbackServer):
    """A registry that answers for each manifest with the digest that `kept` has for its repository."""

    def __init__(self, kept: Mapping[str, str]) -> None:
        super().__init__()
        self.kept = kept

    def answer(self, call: Call) -> Reply:
        repository, _, wanted = call.path.removeprefix("/v2/").partition("/manifests/")
        assert (call.method, wanted) == ("HEAD", DIGEST)
        found = self.kept.get(repository)
        return Reply(404) if found is None else Reply(200, headers={"Docker-Content-Digest": found})


@pytest.mark.parametrize(
    ("changed", "verdict", "text"),
    [
        ({}, Verdict.OK, "images are in their registry$"),
        ({"dp_train": None}, Verdict.FAILED, f"/dp_train@{DIGEST}: is not in its registry; build and push again"),
        ({"consume": f"sha256:{'1' * 64}"}, Verdict.FAILED, f"/consume@{DIGEST}: is not in its registry"),
    ],
    ids=["there", "gone", "another digest"],
)
def test_images_must_be_in_their_registry_under_their_digest(
    changed: dict[str, str | None], verdict: Verdict, text: str, tmp_path: Path
) -> None:
    kept = dict.fromkeys(dp_lstm.STEPS, DIGEST) | changed
    run = run_arguments.load(ROOT / "arguments.yaml")
    cluster = ClusterFile.model_validate({"host": "http://127.0.0.1:9", "namespace": "my-team"})
    registry = Registry({name: digest for name, digest in kept.items() if digest})
    with registry.serving():
        components = pinned(tmp_path, urlsplit(registry.url).netloc)
        package = Package(pipeline_spec_pb2.PipelineSpec(), {})
        (images,) = (check for check in CHECKS if check.name == "images")
        found = images.finding(Subject(cluster, run, {}, components, package))
    assert found.verdict is verdict
    assert re.search(text, found.text)


def test_images_that_are_not_pinned_are_one_row_of_the_table_among_all(pipelines: Pipelines) -> None:
    components = StepComponents.of_project(ROOT, dp_lstm.STEPS)
    status, table = checks(pipelines, (components, dp_lstm.build(components.folders)))
    assert re.search(r"images pinned +failed +image of allocate: .* names no digest; build it", table)
    assert re.search(r"sign-in +ok +by none", table)
    assert status == errors.InvalidInput.exit_status
    with pytest.raises(errors.InvalidInput, match="names no digest"):
        start(pipelines, (components, dp_lstm.build(components.folders)))
    assert not pipelines.runs


def test_a_submission_is_refused_by_the_first_check_that_fails(pipelines: Pipelines, project: Project) -> None:
    pipelines.namespaces = {"another"}
    with pytest.raises(errors.InvalidInput, match=r"403 Forbidden \(User is not authorized in namespace my-team\)"):
        start(pipelines, project, is_checked=True)
    assert not pipelines.runs


def test_a_submission_goes_to_the_bucket_of_the_file_and_is_followed_to_the_status_of_its_step(
    pipelines: Pipelines, project: Project
) -> None:
    def broken(call: Call) -> Reply | None:
        if call.path == f"{V2}/runs/run-0":
            put(pipelines, "FAILED", allocate="FAILED")
            pipelines.logs["dp-lstm-x-02"] = (
                "error: budget: refused\nF1126 20:00:00.000001 1 main.go:1] x: exit status 3\n"
            )
        return None

    pipelines.broken = broken
    status, output = start(pipelines, project, is_followed=True)
    assert status == errors.BudgetUnavailable.exit_status
    assert re.match(rf"submitted: amazon epsilon 1 \S+: {pipelines.url}/#/runs/details/run-0\n", output)
    assert output.splitlines()[-1] == "error: allocate: budget: refused"
    assert pipelines.runs["run-0"]["runtime_config"]["parameters"]["prefix"] == "s3://no-such-bucket/runs"
