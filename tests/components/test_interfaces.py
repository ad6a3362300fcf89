"""Each component.yaml loads, uses only what Kubeflow supports, and agrees with its program."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_type_hints

import pydantic
import pytest
import yaml
from kfp import components

from privatekube.steps import component_file

ROOT = Path(__file__).resolve().parents[2]
NAMES = sorted(path.parent.name for path in ROOT.glob("components/*/component.yaml"))
PARAMETERS = {"String", "Integer", "Float", "Boolean", "JsonArray", "JsonObject", "PipelineTaskFinalStatus"}
ARTIFACTS = {"Dataset", "Model", "Metrics", "ClassificationMetrics", "HTML", "Markdown", "Artifact"}
PLACEHOLDERS = {"inputValue", "inputPath", "outputPath"}


def interface(name: str) -> dict[str, Any]:
    document: dict[str, Any] = yaml.safe_load((ROOT / "components" / name / "component.yaml").read_text())
    return document


def program(name: str) -> Callable[..., None]:
    step: Callable[..., None] = getattr(importlib.import_module(f"components.{name}.__main__"), name)
    return step


def flag(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def test_the_seven_components_and_the_exit_task_are_there() -> None:
    assert set(NAMES) == {
        *("allocate", "download", "dp_preprocess", "dp_train", "dp_evaluate", "consume", "upload"),
        "release",
    }


@pytest.mark.parametrize("name", NAMES)
def test_it_loads_and_keeps_its_names(name: str) -> None:
    loaded = components.load_component_from_file(str(ROOT / "components" / name / "component.yaml"))
    spec = loaded.component_spec
    given = interface(name)
    assert set(spec.inputs or {}) == {entry["name"] for entry in given["inputs"]}
    assert set(spec.outputs or {}) == {entry["name"] for entry in given.get("outputs", [])}


@pytest.mark.parametrize("name", NAMES)
def test_it_uses_only_what_kubeflow_supports(name: str) -> None:
    given = interface(name)
    assert set(given) <= {"name", "description", "inputs", "outputs", "implementation"}
    container = given["implementation"]["container"]
    assert set(container) == {"image", "command", "args"}
    for entry in given["inputs"] + given.get("outputs", []):
        assert entry["type"] in PARAMETERS | ARTIFACTS
        assert entry["description"]
        assert entry["type"] in PARAMETERS or "default" not in entry
    for argument in container["args"]:
        assert isinstance(argument, str) or set(argument) < PLACEHOLDERS


@pytest.mark.parametrize(
    "folder", [*(ROOT / "components" / name for name in NAMES), ROOT / "examples" / "my_component"]
)
def test_it_is_what_its_program_says(folder: Path) -> None:
    assert component_file.is_current(folder), f"run: privatekube component generate {folder.relative_to(ROOT)}"


@pytest.mark.parametrize("name", NAMES)
def test_every_input_and_output_is_handed_to_the_program_in_its_own_flag(name: str) -> None:
    given = interface(name)
    expected: list[object] = []
    for entry in given["inputs"]:
        kind = "inputPath" if entry["type"] in ARTIFACTS else "inputValue"
        expected += [flag(entry["name"]), {kind: entry["name"]}]
    for entry in given.get("outputs", []):
        expected += [flag(entry["name"]), {"outputPath": entry["name"]}]
    container = given["implementation"]["container"]
    assert container["args"] == expected
    assert container["command"] == ["python3", "-m", f"components.{name}"]


@pytest.mark.parametrize("name", NAMES)
def test_the_program_refuses_text_that_is_not_of_the_declared_type(name: str) -> None:
    hints = get_type_hints(program(name), include_extras=True)
    samples = {"Integer": "1.5", "Float": "much", "JsonArray": "{"}
    for entry in interface(name)["inputs"]:
        if entry["type"] in samples:
            with pytest.raises(pydantic.ValidationError):
                pydantic.TypeAdapter(hints[entry["name"]]).validate_strings(samples[entry["type"]])


@pytest.mark.parametrize("name", NAMES)
def test_it_has_a_dockerfile_that_proves_the_image_complete(name: str) -> None:
    text = (ROOT / "components" / name / "Dockerfile").read_text()
    assert f'RUN ["python3", "-c", "import components.{name}.__main__"]' in text
    assert "ENTRYPOINT" not in text
    assert "USER" in text
