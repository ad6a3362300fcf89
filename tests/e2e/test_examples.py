"""The examples run from their READMEs, in a folder of a user without any data."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from privatekube import config, errors
from privatekube.kubeflow import compilation
from privatekube.kubeflow.one_step import OneStep
from privatekube.lint import reading, rules
from privatekube.lint.roles import Role
from privatekube.steps import component_file
from tests.e2e.conftest import ROOT, Laptop

EXAMPLES = ROOT / "examples"


def run_readme(laptop: Laptop, name: str) -> str:
    """Run the commands of an example's README but the installation, and return what the last one wrote."""
    for entry in ("examples", "pipelines", "arguments.yaml"):
        (laptop.folder / entry).symlink_to(ROOT / entry)
    block = re.search(r"```\n(.*?)```", (EXAMPLES / name / "README.md").read_text(), re.DOTALL)
    assert block is not None
    written = ""
    for command in block[1].splitlines():
        words = shlex.split(command)
        if words[0] != "pip":
            written = laptop.run(*(words[1:] if words[0] == "python" else words))
    return written


def receipt(laptop: Laptop) -> dict[str, Any]:
    """Return the receipt, after checking that what it says is what the blocks have committed."""
    document: dict[str, Any] = json.loads(published(laptop, "receipt.json"))
    blocks = laptop.blocks()
    assert list(document["committed"]) == list(blocks)
    for block_id, amount in document["committed"].items():
        assert list(blocks[block_id]["status"]["committedBudgetMap"].values()) == [amount]
    return document


def published(laptop: Laptop, name: str) -> str:
    return (laptop.folder / "out" / "latest" / name).read_text()


def numbers(written: str) -> list[float]:
    return [float(number) for number in re.findall(r"\d+\.\d+", written)]


@pytest.mark.slow  # a process for each
@pytest.mark.parametrize("program", ["tabular_opacus/compare.py", "statistics_opendp/show.py"])
def test_a_result_that_is_not_there_is_a_line(laptop: Laptop, program: str) -> None:
    line = laptop.run(str(EXAMPLES / program), "out/latest", status=2)
    assert re.fullmatch(
        r"error: out/latest\S*: cannot be read \(No such file or directory\); name another file\n", line
    )


@pytest.mark.slow
def test_a_regression_with_opacus_is_nearly_as_good_as_one_without_privacy(laptop: Laptop) -> None:
    private, exact = numbers(run_readme(laptop, "tabular_opacus"))[-2:]
    assert exact > 0.7
    assert private > exact - 0.05
    paid = receipt(laptop)
    assert paid["epsilon"] <= 1
    assert [spend["step"] for spend in paid["spends"]] == ["train"]
    assert np.shape(json.loads(published(laptop, "model.json"))["weight"]) == (2, 12)
    assert len((laptop.folder / "customers.csv").read_text().splitlines()) > 30_000


@pytest.mark.slow
def test_statistics_with_opendp_are_published_as_paid_for(laptop: Laptop) -> None:
    assert run_readme(laptop, "statistics_opendp").count("visits, ") == 4
    visits = json.loads(published(laptop, "visits.json"))
    paid = receipt(laptop)
    assert [spend["step"] for spend in paid["spends"]] == ["visits", "nights"]
    assert paid["epsilon"] == pytest.approx(1.0, rel=1e-3)
    assert all(abs(np.array(list(visits.values())) - [7475, 6407, 2762, 1847]) < 300)
    assert list(json.loads(published(laptop, "nights.json"))) == list(visits)


@pytest.mark.slow
def test_a_search_pays_once_for_all_of_its_trials(laptop: Laptop) -> None:
    accuracy, _ = numbers(run_readme(laptop, "search"))[-2:]
    paid = receipt(laptop)
    assert paid["epsilon"] <= 2
    (spend,) = paid["spends"]
    assert (spend["step"], spend["event"]["type"]) == ("search", "repeat_and_select")
    model = json.loads(published(laptop, "model.json"))
    assert set(model) == {"settings", "correct", "weights"}
    # on a fifth of 32,000 rows, give or take 0.015; a single trial, which one search in three has, may be no good
    assert model["correct"] / 6400 == pytest.approx(accuracy, abs=0.1)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["tabular_opacus", "statistics_opendp", "search"])
def test_the_pipeline_keeps_its_promise_but_for_images_that_are_not_built(name: str, tmp_path: Path) -> None:
    (own,) = [path.parent for path in (EXAMPLES / name).glob("*/component.yaml")]
    assert component_file.is_current(own)
    outputs = interface_outputs(own)
    step = OneStep(project=ROOT, own=own, published={output: f"{output}.json" for output in outputs})
    compilation.compile_to(step.build(in_images=True), tmp_path / "package.yaml")
    pipeline = reading.read(tmp_path / "package.yaml")
    assert {finding.rule for finding in rules.check(pipeline)} <= {"mutable-image"}
    assert [found.name for found in pipeline.steps(Role.DRAWS_NOISE)] == [own.name.replace("_", "-")]


@pytest.mark.slow
def test_an_example_is_not_submitted_before_its_images_are_pushed(laptop: Laptop) -> None:
    (laptop.folder / "client_secrets.yaml").write_text("host: http://127.0.0.1:9\n")
    written = laptop.run("examples/tabular_opacus/pipeline.py", "--cluster", status=2)
    assert "allocate" in written
    assert "names no digest" in written
    assert len(written.splitlines()) == 1


def interface_outputs(own: Path) -> list[str]:
    names = [output["name"] for output in config.read_mapping(own / "component.yaml")["outputs"]]
    return [name for name in names if not name.startswith("spend")]


def test_a_pipeline_with_one_step_names_an_output_that_is_not_there_and_a_missing_spend(tmp_path: Path) -> None:
    own = EXAMPLES / "tabular_opacus" / "train_regression"
    with pytest.raises(errors.InvalidInput, match="published: 'weights' is not an output of train_regression"):
        OneStep(project=ROOT, own=own, published={"weights": "model.json"})
    (tmp_path / "component.yaml").write_text("outputs: [{name: counts, type: Artifact}]")
    with pytest.raises(errors.InvalidInput, match="has no output spend"):
        OneStep(project=ROOT, own=tmp_path, published={"counts": "counts.json"})
