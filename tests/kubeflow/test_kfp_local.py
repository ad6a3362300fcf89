"""Check what is replaced in kfp.local: failing steps, artifacts, the run id, Ctrl-C, containers."""

from __future__ import annotations

import io
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from kfp import components, dsl
from kfp.dsl.base_component import BaseComponent

from privatekube.kubeflow import container_steps, kfp_local
from privatekube.kubeflow.step_components import StepComponents
from privatekube.kubeflow.subprocess_steps import Observer, StepFailure, Steps
from tests import waiting

ROOT = Path(__file__).resolve().parents[2]
COMPONENTS = StepComponents.of_project(ROOT, ())


def probe(name: str, arguments: str, inputs: str = "[]", outputs: str = "[]") -> BaseComponent:
    return components.load_component_from_text(
        f"""
name: {name}
inputs: {inputs}
outputs: {outputs}
implementation:
  container:
    image: probe
    command: [python3, -m, tests.kubeflow.probe]
    args: {arguments}
"""
    )


ARTIFACT = "[{name: text, type: Artifact}]"
START = probe("start", '[copy, "", {outputPath: text}]', outputs=ARTIFACT)
COPY = probe("copy", "[copy, {inputPath: given}, {outputPath: text}]", "[{name: given, type: Artifact}]", ARTIFACT)
FAIL = probe("fail", "[fail, {inputPath: given}]", "[{name: given, type: Artifact}]")
NOTE = probe(
    "note",
    "[id, {inputValue: run_id}, {inputValue: file}]",
    "[{name: run_id, type: String}, {name: file, type: String}]",
)
SETTLE = probe(
    "settle",
    "[settle, {inputValue: run_id}, {inputValue: file}, {inputValue: status}]",
    "[{name: run_id, type: String}, {name: file, type: String}, {name: status, type: PipelineTaskFinalStatus}]",
)


def pipeline(body: Callable[[str], None]) -> BaseComponent:
    def graph(file: str):  # type: ignore[no-untyped-def]
        settled = SETTLE(run_id=dsl.PIPELINE_JOB_ID_PLACEHOLDER, file=file)
        with dsl.ExitHandler(settled, name="guarded"):
            body(file)

    graph.__annotations__ = {"file": str}
    compiled: BaseComponent = dsl.pipeline(name="probe")(graph)
    return compiled


def run(
    body: Callable[[str], None], tmp_path: Path, events: list[Any], ended: frozenset[str] = frozenset()
) -> StepFailure | None:
    observer = Observer(
        on_start=lambda step: events.append(("begun", step)),
        on_line=lambda step, line: events.append(("wrote", line)),
        on_end=lambda step, status: events.append(("ended", status)),
    )
    return kfp_local.run(
        pipeline(body),
        {"file": str(tmp_path / "notes")},
        run_id="run-7",
        work=tmp_path / "work",
        workspace=tmp_path / "workspace",
        components=COMPONENTS,
        observer=observer,
        log=io.StringIO(),
        ended=ended,
    )


def test_an_artifact_reaches_the_next_step(tmp_path: Path) -> None:
    def body(file: str) -> None:
        first = START()
        COPY(given=COPY(given=first.outputs["text"]).outputs["text"])

    assert run(body, tmp_path, []) is None
    written = sorted(path.read_text() for path in (tmp_path / "work").rglob("text"))
    assert written == ["start+", "start++", "start+++"]


def test_a_failing_step_fails_the_run_with_its_status_and_the_exit_task_runs(tmp_path: Path) -> None:
    def body(file: str) -> None:
        failing = FAIL(given=START().outputs["text"])
        NOTE(run_id="never", file=file).after(failing)

    events: list[Any] = []
    failure = run(body, tmp_path, events)
    assert failure is not None
    assert (failure.exit_status, failure.line) == (3, "error: budget: not there")
    assert (tmp_path / "notes").read_text() == "settle run-7\n"
    assert [status for kind, status in events if kind == "ended"] == [0, 3, 0]


def test_the_run_id_is_ours_in_every_step(tmp_path: Path) -> None:
    assert run(lambda file: NOTE(run_id=dsl.PIPELINE_JOB_ID_PLACEHOLDER, file=file), tmp_path, []) is None
    assert (tmp_path / "notes").read_text() == "id run-7\nsettle run-7\n"


def test_a_step_that_ended_before_is_not_run_again_and_its_artifact_is_found(tmp_path: Path) -> None:
    text = tmp_path / "work" / "steps" / "start" / "text"
    text.parent.mkdir(parents=True)
    text.write_text("kept")
    start = components.load_component_from_text(
        "name: start\noutputs: [{name: text, type: Artifact}]\nimplementation:\n  container:\n    image: probe\n"
        "    command: [python3, -m, tests.kubeflow.nowhere]\n    args: [{outputPath: text}]\n"
    )
    events: list[Any] = []
    failure = run(lambda file: COPY(given=start().outputs["text"]), tmp_path, events, frozenset({"nowhere"}))
    assert failure is None
    assert ("begun", "nowhere") in events
    assert (tmp_path / "work" / "steps" / "copy" / "text").read_text() == "kept+"


def test_kfp_is_as_it_was_after_a_run(tmp_path: Path) -> None:
    from kfp.local import executor_input_utils, executor_output_utils, placeholder_utils, subprocess_task_handler

    before = (
        subprocess_task_handler.SubprocessTaskHandler,
        executor_output_utils.get_outputs_for_task,
        placeholder_utils.make_random_id,
        executor_input_utils.get_local_pipeline_resource_name,
    )
    run(lambda file: START(), tmp_path, [])
    assert before == (
        subprocess_task_handler.SubprocessTaskHandler,
        executor_output_utils.get_outputs_for_task,
        placeholder_utils.make_random_id,
        executor_input_utils.get_local_pipeline_resource_name,
    )


def test_ctrl_c_ends_the_running_step_too(tmp_path: Path) -> None:
    program = f"""
import io, pathlib
from tests.kubeflow import test_kfp_local as t
from privatekube.kubeflow import kfp_local
WAIT = t.probe("wait", "[wait, x, {{inputValue: file}}]", "[{{name: file, type: String}}]")
observer = t.Observer(on_start=lambda s: None, on_line=lambda s, l: None, on_end=lambda s, e: None)
kfp_local.run(t.pipeline(lambda file: WAIT(file=file)), {{"file": {str(tmp_path / "pid")!r}}}, run_id="r",
          components=t.COMPONENTS, work=pathlib.Path({str(tmp_path / "work")!r}),
          workspace=pathlib.Path({str(tmp_path / "workspace")!r}), observer=observer, log=io.StringIO())
"""
    process = subprocess.Popen([sys.executable, "-c", program], cwd=ROOT, stderr=subprocess.DEVNULL)
    try:
        waiting.until(lambda: (tmp_path / "pid").exists() and bool((tmp_path / "pid").read_text()))
        process.send_signal(signal.SIGINT)
        assert process.wait(waiting.PATIENCE_SECONDS) != 0
    finally:
        process.kill()
    waiting.until_ended(int((tmp_path / "pid").read_text()))


class _Container:
    """A container of docker's SDK that ends with a status, which must be read before removal."""

    def __init__(self, status: int) -> None:
        self._status, self.removed = status, False

    def logs(self, *, stream: bool, follow: bool) -> list[bytes]:
        return [b"one\ntwo\n"]

    def wait(self) -> dict[str, int]:
        assert not self.removed
        return {"StatusCode": self._status}

    def remove(self, *, force: bool) -> None:
        self.removed = True


@pytest.mark.parametrize("status", [0, 3, 137])
def test_the_exit_status_of_a_container_is_that_of_the_step(status: int) -> None:
    started: list[_Container] = []

    class Client:
        class api:  # noqa: N801 - as in docker's SDK
            timeout = 60

        class containers:  # noqa: N801 - as in docker's SDK
            @staticmethod
            def run(**options: Any) -> _Container:
                assert options["detach"]
                assert "auto_remove" not in options
                started.append(_Container(status))
                return started[0]

    events: list[str] = []
    observer = Observer(on_start=lambda s: None, on_line=lambda s, line: events.append(line), on_end=lambda s, e: None)
    steps = Steps(COMPONENTS, observer)
    assert container_steps.replacement(steps)(Client, "image", ["python3", "-m", "components.x"], {}) == status
    assert events == ["one", "two"]
    assert started[0].removed
    assert Client.api.timeout == 60  # of the requests after the one to follow
    assert (steps.failure is None) == (status == 0)
