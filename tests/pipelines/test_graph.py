"""The compiled pipeline: caching off everywhere, the edges, the limits, and paying before publishing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from kfp import compiler, dsl

from pipelines import dp_lstm
from privatekube import errors
from privatekube.kubeflow import loading
from privatekube.kubeflow.pod_settings import PodSettings
from privatekube.kubeflow.step_components import StepComponents
from privatekube.runs import run_arguments
from tests.e2e.conftest import ROOT

STANDARD = StepComponents.of_project(ROOT, dp_lstm.STEPS)
EDGES = {
    "download": {"allocate"},
    "dp-preprocess": {"allocate", "download"},
    "dp-train": {"allocate", "dp-preprocess"},
    "dp-evaluate": {"allocate", "dp-preprocess", "dp-train"},
    "consume": {"allocate", "dp-preprocess", "dp-train", "dp-evaluate"},
    "upload": {"allocate", "consume", "dp-preprocess", "dp-train", "dp-evaluate"},
}


@pytest.fixture(scope="module", params=[False, True], ids=["cpu", "gpu"])
def compiled(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    path = tmp_path_factory.mktemp("compiled") / "p.yaml"
    pods = PodSettings(gpus=int(request.param))
    compiler.Compiler().compile(dp_lstm.build(STANDARD.folders, pods=pods), str(path))
    document, platform = yaml.safe_load_all(path.read_text())
    return {**document, "gpu": request.param, "platform": platform}


def tasks(compiled: dict[str, Any]) -> dict[str, Any]:
    groups = [compiled["root"], *compiled["components"].values()]
    return {name: task for group in groups for name, task in group.get("dag", {}).get("tasks", {}).items()}


def test_caching_is_off_on_every_task(compiled: dict[str, Any]) -> None:
    options = {name: task["cachingOptions"] for name, task in tasks(compiled).items() if name != "exit-handler-1"}
    assert len(options) == 8
    assert all(option == {} for option in options.values())


def test_the_edges_are_the_design(compiled: dict[str, Any]) -> None:
    edges = {name: set(task.get("dependentTasks", [])) for name, task in tasks(compiled).items()}
    assert {name: edges[name] for name in EDGES} == EDGES
    assert edges["release"] == {"exit-handler-1"}


def test_allocate_knows_the_memory_that_the_steps_of_the_model_have(compiled: dict[str, Any]) -> None:
    told = tasks(compiled)["allocate"]["inputs"]["parameters"]["step_memory"]
    assert told == {"runtimeValue": {"constant": "8Gi"}}


def test_the_steps_of_the_data_share_a_workspace_of_the_run_that_the_exit_task_erases(compiled: dict[str, Any]) -> None:
    placeholder = {"runtimeValue": {"constant": dsl.WORKSPACE_PATH_PLACEHOLDER}}
    parameters = {name: task.get("inputs", {}).get("parameters", {}) for name, task in tasks(compiled).items()}
    given = {name: values.get("workspace") for name, values in parameters.items()}
    sharing = {"download", "dp-preprocess", "dp-train", "dp-evaluate", "release"}
    assert given == {name: placeholder if name in sharing else None for name in given}
    # what kfp's API server makes the volume of
    (config,) = [platform["pipelineConfig"] for platform in compiled["platform"]["platforms"].values()]
    assert config["workspace"] == {"size": "10Gi", "kubernetes": {"pvcSpecPatch": {"accessModes": ["ReadWriteOnce"]}}}


def test_publishing_takes_the_receipt_as_an_input(compiled: dict[str, Any]) -> None:
    receipt = tasks(compiled)["upload"]["inputs"]["artifacts"]["receipt"]["taskOutputArtifact"]
    assert receipt == {"outputArtifactKey": "receipt", "producerTask": "consume"}


def test_the_exit_task_runs_however_the_rest_ends_and_learns_how(compiled: dict[str, Any]) -> None:
    release = compiled["root"]["dag"]["tasks"]["release"]
    assert release["triggerPolicy"] == {"strategy": "ALL_UPSTREAM_TASKS_COMPLETED"}
    assert "taskFinalStatus" in release["inputs"]["parameters"]["status"]


def test_no_step_is_retried_by_kubeflow_which_would_not_retry_a_step_that_failed(compiled: dict[str, Any]) -> None:
    assert [name for name, task in tasks(compiled).items() if "retryPolicy" in task] == []


def test_every_step_fits_a_small_node_and_a_gpu_is_requested_where_the_model_is_trained(
    compiled: dict[str, Any],
) -> None:
    executors = compiled["deploymentSpec"]["executors"]
    resources = {name.removeprefix("exec-"): executor["container"]["resources"] for name, executor in executors.items()}
    for resource in resources.values():
        assert resource["cpuRequest"] <= 0.5
        assert resource["memoryRequest"] < 1.1
        assert {"resourceCpuLimit", "resourceMemoryLimit"} <= resource.keys()
    with_gpu = {name: resource["accelerator"] for name, resource in resources.items() if "accelerator" in resource}
    expected = {"resourceCount": "1", "resourceType": "nvidia.com/gpu"}
    assert with_gpu.keys() == ({"dp-train"} if compiled["gpu"] else set())
    assert all(expected.items() <= accelerator.items() for accelerator in with_gpu.values())


def test_the_parameters_are_the_run_arguments(compiled: dict[str, Any]) -> None:
    kinds = {"str": "STRING", "float": "NUMBER_DOUBLE", "int": "NUMBER_INTEGER", "list": "LIST", "dict": "STRUCT"}
    run = run_arguments.load(ROOT / "arguments.yaml")
    expected = {name: kinds[type(value).__name__] for name, value in run.model_dump().items()}
    parameters = compiled["root"]["inputDefinitions"]["parameters"]
    assert {name: parameter["parameterType"] for name, parameter in parameters.items()} == expected


def test_images_that_are_not_built_are_named_with_the_command_that_builds_them() -> None:
    with pytest.raises(
        errors.InvalidInput, match=r"image of allocate: .* names no digest; .*build_components.py --reg"
    ):
        STANDARD.require_images(pushed=True)
    with pytest.raises(errors.InvalidInput, match=r"image of allocate: .* was not built; .*build_components.py --no-p"):
        STANDARD.require_images(pushed=False)


def pinned_to(folder: Path, reference: str) -> Path:
    folder.mkdir()
    (folder / "component.yaml").write_text(f"implementation: {{container: {{image: '{reference}'}}}}")
    return folder


def test_pinned_images_are_accepted_and_one_that_was_not_pushed_only_on_this_machine(tmp_path: Path) -> None:
    pushed = {"a": pinned_to(tmp_path / "a", "host:5000/a@sha256:00")}
    here = {"b": pinned_to(tmp_path / "b", "localhost/privatekube/b:12ab")}
    assert StepComponents(ROOT, pushed).require_images(pushed=True) == ["host:5000/a@sha256:00"]
    assert StepComponents(ROOT, here).require_images(pushed=False) == ["localhost/privatekube/b:12ab"]
    with pytest.raises(errors.InvalidInput, match=r"names no digest; build it: .*b --single --registry"):
        StepComponents(ROOT, here).require_images(pushed=True)
    with pytest.raises(errors.InvalidInput, match="was not built"):
        StepComponents(ROOT, {"c": pinned_to(tmp_path / "c", "host:5000/c")}).require_images(pushed=False)


@pytest.mark.parametrize("text", [None, "{", "a list"])
def test_a_component_that_cannot_be_read_is_a_line(text: str | None, tmp_path: Path) -> None:
    if text is not None:
        (tmp_path / "component.yaml").write_text(text)
    with pytest.raises(errors.InvalidInput, match=r"component\.yaml: "):
        loading.load(tmp_path)
