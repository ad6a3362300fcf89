"""The command that submits: which file selects the cluster, and what is checked before anything is sent."""

from __future__ import annotations

import shutil
from pathlib import Path

import yaml

from tests.e2e.conftest import ROOT, Laptop


def test_the_presence_of_secrets_selects_the_cluster_and_unbuilt_images_are_refused(tmp_path: Path) -> None:
    shutil.copy(ROOT / "client_secrets.example.yaml", tmp_path / "client_secrets.yaml")
    line = Laptop(tmp_path).run("run_pipeline.py", "--arguments", str(ROOT / "arguments.yaml"), status=2)
    assert "names no digest" in line
    assert len(line.splitlines()) == 1


def test_compiling_alone_needs_neither_cluster_nor_blocks(tmp_path: Path) -> None:
    options = ("--arguments", str(ROOT / "arguments.yaml"), "--compile-only", "p.yaml")
    Laptop(tmp_path).run("run_pipeline.py", *options)
    assert next(yaml.safe_load_all((tmp_path / "p.yaml").read_text()))["pipelineInfo"]["name"] == "dp-lstm"
