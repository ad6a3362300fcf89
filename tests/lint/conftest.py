"""The shipped pipeline as it is submitted: compiled, with images that are pinned by their digests."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipelines import dp_lstm
from privatekube.images import component_yaml
from privatekube.kubeflow import compilation

ROOT = Path(__file__).resolve().parents[2]
DIGEST = "sha256:" + "0" * 64


@pytest.fixture(scope="session")
def shipped_json(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return the package of the shipped pipeline as JSON, which is read quickly."""
    folder = tmp_path_factory.mktemp("shipped")
    for name in dp_lstm.STEPS:
        shutil.copytree(ROOT / "components" / name, folder / name)
        pinned = component_yaml.with_image(folder / name, f"registry.example.org/{name}@{DIGEST}")
        (folder / name / component_yaml.FILE).write_text(pinned)
    compilation.compile_to(dp_lstm.build({name: folder / name for name in dp_lstm.STEPS}), folder / "pipeline.yaml")
    return json.dumps(next(yaml.safe_load_all((folder / "pipeline.yaml").read_text())))


@pytest.fixture
def shipped(shipped_json: str) -> dict[str, Any]:
    """Return a copy of the package of the shipped pipeline, to be changed by a test."""
    document: dict[str, Any] = json.loads(shipped_json)
    return document
