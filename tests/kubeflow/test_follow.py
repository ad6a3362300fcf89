"""Following a run of the cluster: steps, why one failed, why a pod does not start, outages, and going on."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from kfp import compiler
from rich.console import Console

from pipelines import dp_lstm
from privatekube import errors
from privatekube.cli import output, run_commands
from privatekube.kubeflow import cluster_run, pending_pods, pod_log, run_tasks
from privatekube.kubeflow.cluster_file import ClusterFile
from privatekube.kubeflow.follow import Follower
from privatekube.kubeflow.pipelines_api import PipelinesApi
from privatekube.kubeflow.step_components import StepComponents
from tests.e2e.conftest import ROOT
from tests.kubeflow.servers.http_server import Call, Reply
from tests.kubeflow.servers.pipelines import V2, Pipelines

LOG = """I1126 20:00:00.000000       7 launcher_v2.go:193] publish success.
time="2026-11-26T20:00:00.000Z" level=info msg="capturing logs" argo=true
read 10 blocks
error: dp_train: used more than it was granted
F1126 20:00:01.000000       7 main.go:54] failed to execute component: exit status 4
time="2026-11-26T20:00:01.000Z" level=info msg="sub-process exited" argo=true error="<nil>"
"""


def tasks(**states: str) -> list[dict[str, Any]]:
    """Return the tasks of a run as the backend lists them: it names the nodes below a task, and not its own."""
    listed: list[dict[str, Any]] = [{"display_name": "root", "state": "RUNNING"}]
    for number, (step, state) in enumerate(states.items()):
        group = {"display_name": step.replace("_", "-"), "state": state}
        pods = {"display_name": "executor", "state": state}
        listed += [
            group | {"child_tasks": [{"pod_name": f"dp-lstm-x-{number}1"}, {"pod_name": f"dp-lstm-x-{number + 1}0"}]},
            pods | {"child_tasks": [{"pod_name": f"dp-lstm-x-{number}2"}]},
            {"display_name": "executor(0)", "state": state},
        ]
    return listed


def put(server: Pipelines, state: str, run_id: str = "run-0", **states: str) -> None:
    details = {"task_details": tasks(**states)}
    known = server.runs.get(run_id, {"run_id": run_id, "display_name": "amazon epsilon 1"})
    server.runs[run_id] = {**known, "state": state, "run_details": details}


def follower(server: Pipelines, **options: Any) -> tuple[Follower, io.StringIO, Console]:
    cluster = ClusterFile.model_validate({"host": server.url})
    api = PipelinesApi.of(cluster)
    written = io.StringIO()
    console = Console(file=written, width=400)
    return Follower(api, "run-0", dp_lstm.STEPS, "my-team", **options), written, console


def test_a_run_is_followed_to_its_success(pipelines: Pipelines) -> None:
    put(pipelines, "RUNNING", allocate="RUNNING")
    script = [
        {"state": "RUNNING", "allocate": "SUCCEEDED", "download": "RUNNING"},
        {"state": "SUCCEEDED", "allocate": "SUCCEEDED", "download": "SUCCEEDED", "upload": "SUCCEEDED"},
    ]

    def advance(_: float) -> None:
        put(pipelines, **script.pop(0))

    following, output, console = follower(pipelines, sleep=advance)
    assert following.follow(console) == 0
    assert output.getvalue().splitlines() == [
        "allocate: done",
        "download: done",
        "upload: done",
        "run run-0: SUCCEEDED",
    ]


def test_a_failed_step_is_shown_with_its_last_line_and_gives_the_exit_status(pipelines: Pipelines) -> None:
    pipelines.logs["dp-lstm-x-system-container-impl-12"] = LOG
    put(pipelines, "FAILED", allocate="SUCCEEDED", dp_train="FAILED", release="SUCCEEDED")
    following, output, console = follower(pipelines)
    assert following.follow(console) == 4
    assert "dp_train: error: dp_train: used more than it was granted (exit status 4)" in output.getvalue()
    assert output.getvalue().splitlines()[-1] == "error: dp_train: dp_train: used more than it was granted"


def test_a_failed_step_without_a_log_says_where_to_look(pipelines: Pipelines) -> None:
    put(pipelines, "FAILED", dp_train="FAILED")
    following, output, console = follower(pipelines)
    assert following.follow(console) == 1
    assert "its log cannot be read; see kubectl -n my-team logs" in output.getvalue()


def test_a_terminated_run_ends_with_its_state(pipelines: Pipelines) -> None:
    put(pipelines, "CANCELED", allocate="SUCCEEDED")
    following, output, console = follower(pipelines)
    assert following.follow(console) == 1
    assert output.getvalue().splitlines()[-1] == "error: run run-0: CANCELED"


def test_ctrl_c_ends_the_following_and_not_the_run(pipelines: Pipelines) -> None:
    put(pipelines, "RUNNING", dp_train="RUNNING")

    def interrupted(_: float) -> None:
        raise KeyboardInterrupt

    following, written, console = follower(pipelines, sleep=interrupted)
    assert following.follow(console) == 130
    assert written.getvalue() == "interrupted; run run-0 goes on: --resume run-0 follows it again\n"
    assert all(call.method == "GET" for call in pipelines.calls)


def test_an_outage_is_waited_for_and_a_refusal_says_that_the_run_goes_on(pipelines: Pipelines) -> None:
    put(pipelines, "SUCCEEDED")
    failures = [Reply(503, {}), Reply(503, {})]

    def broken(_: Call) -> Reply | None:
        return failures.pop() if failures else None

    pipelines.broken = broken
    following, _, console = follower(pipelines)
    assert following.follow(console) == 0
    pipelines.broken = lambda _: Reply(401, {})
    with pytest.raises(errors.InvalidInput, match=r"401 Unauthorized.*\(run run-0 goes on: --resume run-0 follows it"):
        following.follow(console)


def test_without_a_kubeconfig_a_step_that_does_not_move_is_told_where_to_look_once(pipelines: Pipelines) -> None:
    put(pipelines, "RUNNING", dp_train="RUNNING")
    seconds = [0.0]

    def pause(_: float) -> None:
        seconds[0] += 30
        if seconds[0] > 200:
            put(pipelines, "SUCCEEDED", dp_train="SUCCEEDED")

    following, output, console = follower(pipelines, sleep=pause, clock=lambda: seconds[0])
    assert following.follow(console) == 0
    expected = "a pod may be Pending: kubectl -n my-team get pods -l pipeline/runid=run-0"
    assert output.getvalue().count(expected) == 1


@pytest.mark.parametrize(
    ("log", "end"),
    [
        (LOG, pod_log.StepEnd(4, "error: dp_train: used more than it was granted")),
        ("Traceback\nboom\n", pod_log.StepEnd(1, "boom")),
        ("", pod_log.StepEnd(1, "")),
        ("I1126 20:00:00.000000 7 a.go:1] x\nF1126 20:00:00.000000 7 a.go:1] no such image\n",
         pod_log.StepEnd(1, "no such image")),
        ("the exit status 3 of a line of its own\n", pod_log.StepEnd(1, "the exit status 3 of a line of its own")),
    ],
)  # fmt: skip
def test_the_log_of_a_step_tells_how_it_ended(log: str, end: pod_log.StepEnd) -> None:
    assert pod_log.end_of_failed(log) == end


def test_the_pod_of_a_failed_step_is_looked_for_under_the_names_that_argo_may_give_it() -> None:
    run = {"run_details": {"task_details": tasks(allocate="SUCCEEDED", dp_train="FAILED")}}
    names = run_tasks.steps(run, ["dp_train"])["dp_train"].pods
    assert names[:3] == (
        "dp-lstm-x-system-container-impl-12",
        "dp-lstm-x-retry-system-container-impl-12",
        "dp-lstm-x-12",
    )
    assert "dp-lstm-x-system-container-impl-11" in names
    assert "dp-lstm-x-02" not in names


@pytest.mark.parametrize(
    ("status", "events", "words"),
    [
        (
            {"conditions": [{"type": "PodScheduled", "status": "False", "reason": "Unschedulable",
                             "message": "0/1 nodes are available: 1 Insufficient cpu."}]},
            [], "Unschedulable: 0/1 nodes are available: 1 Insufficient cpu.; lower what the step requests",
        ),
        (
            {"containerStatuses": [{"state": {"waiting": {"reason": "ImagePullBackOff", "message": "no\nimage"}}}]},
            [], "ImagePullBackOff: no image; check that the image is in the registry",
        ),
        (
            {"containerStatuses": [{"state": {"waiting": {"reason": "CreateContainerConfigError",
                                                          "message": 'secret "x" not found'}}}]},
            [], 'CreateContainerConfigError: secret "x" not found; create the secret',
        ),
        (
            {"containerStatuses": [{"state": {"waiting": {"reason": "ContainerCreating"}}}]},
            [{"type": "Warning", "reason": "FailedMount", "message": "no volume"}],
            "FailedMount: no volume; create the secret or volume",
        ),
    ],
)  # fmt: skip
def test_a_pod_that_does_not_start_says_why_and_what_to_do(
    status: dict[str, Any], events: list[dict[str, Any]], words: str
) -> None:
    node = {"workflows.argoproj.io/node-name": "dp-lstm-x.root(0).exit-handler-1.dp-train(0).executor(1)"}
    pod = {"metadata": {"name": "p", "annotations": node}, "status": {"phase": "Pending", **status}}
    assert pending_pods.is_pending(pod)
    assert pending_pods.step_of(pod, dp_lstm.STEPS) == "dp_train"
    assert words in str(pending_pods.reason(pod, events))


# --- going on with a run


@pytest.fixture(scope="module")
def spec(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    path = tmp_path_factory.mktemp("package") / "p.yaml"
    compiler.Compiler().compile(dp_lstm.build(StepComponents.of_project(ROOT, dp_lstm.STEPS).folders), str(path))
    content: dict[str, Any] = next(yaml.safe_load_all(path.read_text()))
    return content


def resumed(server: Pipelines) -> tuple[int, str]:
    written = io.StringIO()
    cluster = ClusterFile.model_validate({"host": server.url, "namespace": "my-team"})
    return cluster_run.resume("run-0", cluster, console=Console(file=written, width=400)), written.getvalue()


def test_a_run_that_paid_and_did_not_publish_runs_again_what_failed(
    pipelines: Pipelines, spec: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KUBECONFIG", "/dev/null")
    put(pipelines, "FAILED", consume="SUCCEEDED", upload="FAILED")
    pipelines.runs["run-0"]["pipeline_spec"] = spec

    def broken(call: Call) -> Reply | None:
        if call.path.endswith(":retry"):
            put(pipelines, "SUCCEEDED", consume="SUCCEEDED", upload="SUCCEEDED")
        return None

    pipelines.broken = broken
    status, output = resumed(pipelines)
    assert status == 0
    assert pipelines.retried == ["run-0"]
    assert "upload: done" in output
    assert resumed(pipelines) == (0, "run run-0: is published already\n")


@pytest.mark.parametrize("states", [{"dp_train": "FAILED", "release": "SUCCEEDED"}, {"consume": "FAILED"}, {}])
def test_a_run_that_did_not_pay_is_refused_in_one_line_and_never_retried(
    pipelines: Pipelines, spec: dict[str, Any], states: dict[str, str]
) -> None:
    put(pipelines, "FAILED", **states)
    pipelines.runs["run-0"]["pipeline_spec"] = {"pipeline_spec": spec, "platform_spec": {}}
    with pytest.raises(errors.BudgetUnavailable, match="before it had paid, so its claim is settled and its data must"):
        resumed(pipelines)
    assert not pipelines.retried


def test_a_run_that_the_cluster_does_not_know_is_named(pipelines: Pipelines) -> None:
    with pytest.raises(errors.NotFound, match=r"404 \(Run run-0 not found\)"):
        resumed(pipelines)


def test_runs_of_the_cluster_are_listed_beside_local_ones_page_by_page(
    pipelines: Pipelines, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for number in range(3):
        put(pipelines, "SUCCEEDED", run_id=f"run-{number}")
        pipelines.runs[f"run-{number}"]["runtime_config"] = {"parameters": {"namespace": "privacy-example"}}
    (tmp_path / "client_secrets.yaml").write_text(f"host: {pipelines.url}\nnamespace: my-team\n")
    monkeypatch.chdir(tmp_path)
    run_commands.runs(output.Format.JSON)
    listed = json.loads(capsys.readouterr().out)["runs"]
    assert [run["run"] for run in listed] == ["run-0", "run-1", "run-2"]
    assert listed[0]["claim"] == "privacy-example/run-run-0"
    assert listed[0]["state"] == "succeeded in the cluster: amazon epsilon 1"
    pipelines.broken = lambda call: Reply(500, {}) if call.path == f"{V2}/healthz" else None
    run_commands.runs(output.Format.JSON)
    shown = capsys.readouterr()
    assert json.loads(shown.out)["runs"] == []
    assert shown.err.startswith("warning: runs of the cluster are not listed: host: http://127.0.0.1")
