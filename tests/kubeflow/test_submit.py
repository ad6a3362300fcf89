"""The command that submits: which file selects the cluster, and what is checked before anything is sent."""

import shutil
from pathlib import Path

import pytest
import yaml
from kfp import dsl
from rich.console import Console

from privatekube import errors
from privatekube.kubeflow import cluster_run, loading
from privatekube.kubeflow.cluster_file import ClusterFile
from privatekube.kubeflow.step_components import StepComponents
from privatekube.runs.run_arguments import RunArguments
from tests.e2e.conftest import ROOT, Laptop

pytestmark = pytest.mark.slow  # the commands run in the process of the tests


def test_the_presence_of_secrets_selects_the_cluster_and_unbuilt_images_are_refused(tmp_path: Path) -> None:
    shutil.copy(ROOT / "client_secrets.example.yaml", tmp_path / "client_secrets.yaml")
    line = Laptop(tmp_path).run("run_pipeline.py", "--arguments", str(ROOT / "arguments.yaml"), status=2)
    assert "names no digest" in line
    assert len(line.splitlines()) == 1


def test_a_check_without_secrets_says_how_to_write_them(tmp_path: Path) -> None:
    options = ("run_pipeline.py", "--arguments", str(ROOT / "arguments.yaml"), "--check")
    missing = Laptop(tmp_path).run(*options, status=2)
    assert missing.strip().endswith("a cluster; copy client_secrets.example.yaml to client_secrets.yaml and fill it in")
    assert Laptop(tmp_path).run(*options, "--local", status=2).strip().endswith("a cluster; leave out --local")


def test_compiling_alone_needs_neither_cluster_nor_blocks(tmp_path: Path) -> None:
    options = ("--arguments", str(ROOT / "arguments.yaml"), "--compile-only", "p.yaml")
    Laptop(tmp_path).run("run_pipeline.py", *options)
    assert next(yaml.safe_load_all((tmp_path / "p.yaml").read_text()))["pipelineInfo"]["name"] == "dp-lstm"


def test_a_pipeline_that_breaks_its_promise_is_not_submitted(tmp_path: Path) -> None:
    folder = tmp_path / "claim"
    folder.mkdir()
    (folder / "component.yaml").write_text(
        f"name: claim\noutputs: [{{name: grant, type: Artifact}}]\nimplementation: {{container: {{"
        f"image: 'host/claim@sha256:{0:064}', command: [python3, -m, claim], args: [--grant, {{outputPath: grant}}]}}}}"
    )
    claim = loading.load(folder)

    @dsl.pipeline  # type: ignore[untyped-decorator]  # kfp has no types
    def cached() -> None:
        claim()

    with pytest.raises(errors.InvalidInput, match=r"^pipeline: claim: claims, but is cached; .*lint.md#cached-step\)$"):
        cluster_run.start(
            cached,
            RunArguments(prefix="gs://bucket/runs"),
            StepComponents(tmp_path, {"claim": folder}),
            ClusterFile.model_validate({"host": "http://127.0.0.1:9"}),
            is_checked=False,
            is_followed=False,
            console=Console(),
        )
