"""What is not a compiled pipeline is refused in one line that says what to do."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from privatekube import errors
from privatekube.lint import package, reading

ARGO = "apiVersion: argoproj.io/v1alpha1\nkind: Workflow\nspec: {}\n"
FAULTS = {
    "an empty file": ("", "holds 0 pipelines"),
    "a list": ("- a\n- b\n", "is not a mapping"),
    "not YAML": ("a: [", "is not valid YAML"),
    "a key twice": ("root: 1\nroot: 2\n", "root is given twice"),
    "an impossible date": ("root: 2001-99-99\n", "line 1: 2001-99-99 is not a date; correct it, or put it in quotes"),
    "lists without end": ("[" * 1500, "is not valid YAML"),
    "a workflow of Argo": (ARGO, "has no root, so it is not a compiled pipeline; compile the pipeline with kfp 2"),
    "two pipelines": ("root: {}\n---\nroot: {}\n", "holds 2 pipelines"),
    "two platforms": (
        "{root: {}, schemaVersion: 2.1.0}\n---\nplatforms: {}\n---\nplatforms: {}\n",
        "holds 2 settings of platforms, must hold one",
    ),
    "a pod that is a number": (
        "{root: {}, schemaVersion: 2.1.0, deploymentSpec: {}}\n---\n"
        "platforms: {kubernetes: {deploymentSpec: {executors: {a: 3}}}}\n",
        r"kubernetes\.deploymentSpec\.executors\.a: 3 must be",
    ),
    "a later format": ("{root: {}, schemaVersion: 3.0.0}", r"schemaVersion: '3\.0\.0' is not 2\.x, which kfp 2 writes"),
    "no format": ("{root: {}, deploymentSpec: {}}", "schemaVersion: 'None' is not 2"),
    "no executors": ("root: {}\nschemaVersion: 2.1.0\n", r"deploymentSpec: missing; compile"),
    "a task that is a number": (
        "{root: {dag: {tasks: {a: 3}}}, schemaVersion: 2.1.0, deploymentSpec: {}}",
        r"root\.dag\.tasks\.a: 3 must be",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_what_is_not_a_package_is_a_line(fault: str, tmp_path: Path) -> None:
    text, message = FAULTS[fault]
    path = tmp_path / "pipeline.yaml"
    path.write_text(text)
    with pytest.raises(errors.InvalidInput, match=message) as refusal:
        package.read(path)
    assert "\n" not in str(refusal.value)


def test_a_missing_file_and_a_compressed_one_are_a_line(tmp_path: Path) -> None:
    with pytest.raises(errors.InvalidInput, match="cannot be read"):
        package.read(tmp_path / "none.yaml")
    (tmp_path / "pipeline.zip").write_bytes(b"PK\x03\x04\xff\xfe")
    with pytest.raises(errors.InvalidInput, match="is not UTF-8 text"):
        package.read(tmp_path / "pipeline.zip")


def test_a_pipeline_without_a_step_is_named(tmp_path: Path) -> None:
    (tmp_path / "pipeline.yaml").write_text("{root: {dag: {tasks: {}}}, schemaVersion: 2.1.0, deploymentSpec: {}}")
    with pytest.raises(errors.InvalidInput, match=r"pipeline\.yaml: has no step, so there is nothing to check"):
        reading.read(tmp_path / "pipeline.yaml")


def test_json_and_a_second_document_are_read(shipped: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "pipeline.json"
    path.write_text(json.dumps(shipped))
    read = package.read(path)
    for second in ("", "platforms: {kubernetes: {}}\n"):
        path.write_text(f"{yaml.safe_dump(shipped)}---\n{second}")
        assert package.read(path) == read
