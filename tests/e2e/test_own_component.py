"""A user's component in place of a step: accepted if its interface fits, refused in one line otherwise."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import yaml

from tests.e2e.conftest import ROOT, Laptop, committed

pytestmark = pytest.mark.slow  # the commands run in the process of the tests

EXAMPLE = ROOT / "examples" / "my_component"


def test_the_example_evaluates_in_place_of_dp_evaluate(laptop_with_blocks: Laptop) -> None:
    laptop = laptop_with_blocks
    options = laptop._options(())
    written = laptop.run("run_pipeline.py", "--component", f"dp_evaluate={EXAMPLE}", *options)
    assert "majority class" not in written
    published = laptop.folder / "out" / "latest"
    metrics = json.loads((published / "metrics.json").read_text())
    assert "per_class" not in metrics
    assert 0 <= metrics["accuracy"]["low"] <= metrics["accuracy"]["high"] <= 1
    receipt = json.loads((published / "receipt.json").read_text())
    assert [spend["step"] for spend in receipt["spends"]] == ["dp_preprocess", "dp_train", "dp_evaluate"]
    assert [committed(block) for block in laptop.blocks().values()] == pytest.approx([1.0, 1.0])


def test_it_compiles_for_a_cluster_with_its_own_image(laptop: Laptop) -> None:
    laptop.run(
        "run_pipeline.py", "--component", f"dp_evaluate={EXAMPLE}", "--compile-only", "p.yaml", *laptop._options(())
    )
    compiled = next(yaml.safe_load_all((laptop.folder / "p.yaml").read_text()))
    container = compiled["deploymentSpec"]["executors"]["exec-my-component"]["container"]
    assert container["image"] == "example/my-component"
    assert container["command"] == ["python3", "-m", "my_component"]


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("type: Model", "type: Dataset", "input checkpoint: 'Dataset' must be Model, as in components/dp_evaluate"),
        ("{name: spend,", "{name: cost,", "output spend: None must be Artifact"),
        (
            "inputs:\n",
            "inputs:\n- {name: extra, type: String}\n",
            "input extra is not passed by the pipeline; declare a default for it",
        ),
    ],
)
def test_another_interface_is_refused(laptop: Laptop, tmp_path: Path, old: str, new: str, expected: str) -> None:
    component = tmp_path / "component"
    shutil.copytree(EXAMPLE, component)
    text = (component / "component.yaml").read_text()
    assert old in text
    (component / "component.yaml").write_text(text.replace(old, new, 1))
    assert expected in refusal(laptop, f"dp_evaluate={component}")


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        ("dp_judge=x", "--component: 'dp_judge=x' does not name a step (allocate, download, "),
        ("dp_evaluate", "--component: 'dp_evaluate' does not name a step"),
        ("dp_evaluate=nowhere", "is not a directory"),
    ],
)
def test_a_choice_that_names_nothing_is_refused(laptop: Laptop, choice: str, expected: str) -> None:
    assert expected in refusal(laptop, choice)


def refusal(laptop: Laptop, choice: str) -> str:
    """Return the one line that refuses a choice before anything starts."""
    written = laptop.run("run_pipeline.py", "--component", choice, *laptop._options(()), status=2)
    assert len(written.splitlines()) == 1
    return written
