"""The section `cluster` of arguments.yaml: what is refused, and what the compiled package says about each pod."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml
from kfp import compiler

from pipelines import dp_lstm
from privatekube import errors
from privatekube.kubeflow import compilation, pod_settings
from privatekube.kubeflow.one_step import OneStep
from privatekube.kubeflow.pod_settings import PodSettings, Workspace
from privatekube.kubeflow.step_components import StepComponents
from privatekube.lint import reading, rules
from privatekube.runs import run_arguments
from tests.e2e.conftest import ROOT

STANDARD = StepComponents.of_project(ROOT, dp_lstm.STEPS)
SECTION = """
epsilon: 1
cluster:
  gpus: 2
  gpu_type: amd.com/gpu
  workspace: {size: 20Gi, storage_class: fast, access_mode: ReadWriteMany}
  steps:
    dp_train: {cpu_limit: 400m, memory_request: 2Gi, timeout_seconds: 600}
  run_timeout_seconds: 7200
  keep_seconds: 300
  pull_secrets: [registry]
  node_selector: {pool: training}
  tolerations:
  - {key: nvidia.com/gpu, operator: Exists, effect: NoSchedule}
  - {key: dedicated, value: ml}
  environment: {AWS_ENDPOINT_URL: "http://127.0.0.1:9000"}
  secret_environment: {s3-keys: {id: AWS_ACCESS_KEY_ID, secret: AWS_SECRET_ACCESS_KEY}}
  secret_files: {data-bucket: /var/run/bucket}
"""


def load(folder: Path, text: str, overrides: Sequence[str] = ()) -> PodSettings:
    (folder / "arguments.yaml").write_text(text)
    return pod_settings.load(folder / "arguments.yaml", overrides)


def compiled(folder: Path, pods: PodSettings, **given: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the containers and the platform's part of the package, by step."""
    path = folder / "p.yaml"
    compiler.Compiler().compile(dp_lstm.build(STANDARD.folders, pods=pods, **given), str(path))
    spec, platform = yaml.safe_load_all(path.read_text())
    containers = {name: part["container"] for name, part in spec["deploymentSpec"]["executors"].items()}
    return containers, platform["platforms"]["kubernetes"]


def test_a_file_without_the_section_has_the_defaults_and_the_shipped_one_too(tmp_path: Path) -> None:
    assert load(tmp_path, "epsilon: 1") == PodSettings() == pod_settings.load(ROOT / "arguments.yaml")
    assert run_arguments.load(ROOT / "arguments.yaml", ["cluster.gpus=0"]).epsilon == 1.0
    assert load(tmp_path, "epsilon: 1", ["epsilon=2", "cluster.gpus=0"]).gpus == 0


@pytest.mark.slow  # kfp compiles the pipeline
def test_what_the_section_says_is_in_the_package_as_kubeflow_reads_it(tmp_path: Path) -> None:
    containers, platform = compiled(tmp_path, load(tmp_path, SECTION))
    workspace = {"accessModes": ["ReadWriteMany"], "storageClassName": "fast"}
    assert platform["pipelineConfig"] == {
        "activeDeadlineSeconds": 7200,
        "resourceTtlOnCompletion": 300,
        "workspace": {"size": "20Gi", "kubernetes": {"pvcSpecPatch": workspace}},
    }
    train, pod = containers["exec-dp-train"], platform["deploymentSpec"]["executors"]["exec-dp-train"]
    given = train["resources"]
    names = ("resourceCpuRequest", "resourceCpuLimit", "resourceMemoryRequest", "resourceMemoryLimit")
    assert [given[name] for name in names] == ["400m", "400m", "2Gi", "8Gi"]
    assert (given["accelerator"]["resourceType"], given["accelerator"]["resourceCount"]) == ("amd.com/gpu", "2")
    assert pod["activeDeadlineSeconds"] == "600"
    assert pod["imagePullSecret"][0]["secretName"] == "registry"
    assert pod["nodeSelector"]["labels"] == {"pool": "training"}
    assert [toleration["operator"] for toleration in pod["tolerations"]] == ["Exists", "Equal"]


@pytest.mark.slow  # kfp compiles the pipeline
def test_every_pod_reaches_the_control_plane_and_only_those_that_move_data_the_bucket(tmp_path: Path) -> None:
    containers, platform = compiled(tmp_path, load(tmp_path, SECTION))
    pods = platform["deploymentSpec"]["executors"]
    with_bucket = {"exec-allocate", "exec-download", "exec-upload"}
    for name, container in containers.items():
        variables = {variable["name"]: variable["value"] for variable in container["env"]}
        assert variables["PRIVATEKUBE_STORE"] == "kubernetes"
        assert ("AWS_ENDPOINT_URL" in variables) == (name in with_bucket)
        assert ("secretAsEnv" in pods[name], "secretAsVolume" in pods[name]) == (name in with_bucket,) * 2
    keys = pods["exec-download"]["secretAsEnv"][0]["keyToEnv"]
    assert keys == [
        {"secretKey": "id", "envVar": "AWS_ACCESS_KEY_ID"},
        {"secretKey": "secret", "envVar": "AWS_SECRET_ACCESS_KEY"},
    ]
    assert pods["exec-upload"]["secretAsVolume"][0]["mountPath"] == "/var/run/bucket"
    broken = {finding.rule for finding in rules.check(reading.read(tmp_path / "p.yaml"))}
    assert broken <= {"mutable-image"}, "images are pinned when they are built"


@pytest.mark.slow  # kfp compiles the pipeline
@pytest.mark.parametrize(
    ("gpus", "device", "expected"),
    [
        (1, "auto", {"exec-dp-train"}),
        (1, "cpu", set()),
        (0, "auto", set()),
        (1, "cuda", {"exec-dp-train", "exec-dp-evaluate"}),
    ],
)
def test_the_step_that_trains_requests_a_gpu_unless_the_run_needs_none(
    tmp_path: Path, gpus: int, device: str, expected: set[str]
) -> None:
    containers, _ = compiled(tmp_path, PodSettings(gpus=gpus), device=device)
    assert {name for name, container in containers.items() if "accelerator" in container["resources"]} == expected


@pytest.mark.slow  # kfp compiles the pipeline
def test_the_pods_of_a_pipeline_with_one_own_step_get_the_same(tmp_path: Path) -> None:
    own = ROOT / "examples" / "tabular_opacus" / "train_regression"
    step, path = OneStep(project=ROOT, own=own, published={"model": "model.json"}), tmp_path / "p.yaml"
    pods = PodSettings(environment={"AWS_ENDPOINT_URL": "http://store:9000"}, workspace=Workspace(size="20Gi"))
    compilation.compile_to(step.build(in_images=True, pods=pods), path)
    spec, platform = yaml.safe_load_all(path.read_text())
    assert platform["platforms"]["kubernetes"]["pipelineConfig"]["workspace"]["size"] == "20Gi"
    for name, part in spec["deploymentSpec"]["executors"].items():
        container = part["container"]
        variables = {variable["name"]: variable["value"] for variable in container["env"]}
        assert variables["PRIVATEKUBE_STORE"] == "kubernetes"
        assert ("AWS_ENDPOINT_URL" in variables) == (name in {"exec-allocate", "exec-download", "exec-upload"})
        assert container["resources"]["resourceCpuRequest"] != container["resources"]["resourceCpuLimit"]
        assert "accelerator" not in container["resources"]


def test_a_local_run_requests_nothing(tmp_path: Path) -> None:
    compiler.Compiler().compile(dp_lstm.build(STANDARD.folders), str(tmp_path / "p.yaml"))
    spec, _ = yaml.safe_load_all((tmp_path / "p.yaml").read_text())
    for executor in spec["deploymentSpec"]["executors"].values():
        assert not {"env", "resources"} & executor["container"].keys()


@pytest.mark.parametrize(
    ("section", "message"),
    [
        ("gpu: 1", "arguments.yaml: cluster: gpu: "),
        ("gpus: -1", "gpus: -1 "),
        ("gpus: 1.5", "gpus: 1.5 "),
        ("gpus: true", "gpus: True is a boolean"),
        ("workspace: {size: 10GB}", "workspace.size: '10GB'"),
        ("workspace: {size: 0}", "workspace.size: 0"),
        ("workspace: {storage_class: 'a b'}", "workspace.storage_class: 'a b'"),
        ("workspace: {access_mode: ReadOnlyMany}", "workspace.access_mode: 'ReadOnlyMany'"),
        ("steps: {dp_train: {cpu_limit: fast}}", "steps.dp_train.cpu_limit: 'fast'"),
        ("steps: {dp_train: {cpu_limit: 0}}", "steps.dp_train.cpu_limit: 0"),
        ("steps: {dp_train: {memory: 1Gi}}", "steps.dp_train.memory: "),
        ("tolerations: [{key: a}]", "toleration: 'a' needs a key and a value"),
        ("tolerations: [{operator: Exists, value: b}]", "toleration: 'b' has a value"),
        ("environment: {'A B': c}", "environment.A B"),
        ("secret_files: {bucket: relative}", "secret_files.bucket: 'relative'"),
        ("environment: {A: b}\n  secret_environment: {s: {k: A}}", "environment: 'A' is given twice"),
        ("run_timeout_seconds: 0", "run_timeout_seconds: 0"),
        ("[gpus]", "is not a mapping"),
    ],
)
def test_a_section_that_is_wrong_is_one_line(tmp_path: Path, section: str, message: str) -> None:
    with pytest.raises(errors.InvalidInput) as refusal:
        load(tmp_path, f"cluster:\n  {section}\n")
    assert message in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_what_does_not_fit_the_pipeline_or_the_run_is_one_line(tmp_path: Path) -> None:
    for steps, message in (
        ("train: {cpu_limit: 1}", r"cluster: steps: 'train' is not a step; write one of allocate, "),
        ("dp_train: {cpu_request: 3}", r"cpu_request: '3' is above the limit, 2; lower it, or raise the limit"),
        ("dp_train: {memory_request: 9Gi}", r"memory_request: '9Gi' is above the limit, 8Gi"),
    ):
        with pytest.raises(errors.InvalidInput, match=message):
            dp_lstm.build(STANDARD.folders, pods=load(tmp_path, f"cluster:\n  steps:\n    {steps}\n"))
    with pytest.raises(errors.InvalidInput, match="cluster: gpus: 0 is none, and device is cuda; set gpus: 1"):
        dp_lstm.build(STANDARD.folders, pods=PodSettings(gpus=0), device="cuda")
    with pytest.raises(errors.InvalidInput, match="run_timeout_seconds: 600 must be above timeout_seconds, which"):
        PodSettings(run_timeout_seconds=600).require_time_for(900)
    assert dp_lstm.training_memory_of(load(tmp_path, "cluster:\n  steps: {dp_evaluate: {memory_limit: 6Gi}}")) == "6Gi"
