"""The examples run from their READMEs, in a folder of a user without any data."""

from __future__ import annotations

import json
import re
import shlex
from typing import Any

import numpy as np
import pytest

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
    document: dict[str, Any] = json.loads((laptop.folder / "receipt.json").read_text())
    blocks = laptop.blocks()
    assert list(document["committed"]) == list(blocks)
    for block_id, amount in document["committed"].items():
        assert list(blocks[block_id]["status"]["committedBudgetMap"].values()) == [amount]
    return document


def numbers(written: str) -> list[float]:
    return [float(number) for number in re.findall(r"\d+\.\d+", written)]


@pytest.mark.slow
def test_a_regression_with_opacus_is_nearly_as_good_as_one_without_privacy(laptop: Laptop) -> None:
    private, exact = numbers(run_readme(laptop, "tabular_opacus"))[-2:]
    assert exact > 0.7
    assert private > exact - 0.05
    paid = receipt(laptop)
    assert paid["epsilon"] <= 1
    assert [spend["step"] for spend in paid["spends"]] == ["rows", "train"]
    weights = json.loads((laptop.folder / "model.json").read_text())
    assert np.shape(weights["weight"]) == (2, 12)
    assert len((laptop.folder / "customers.csv").read_text().splitlines()) > 30_000


@pytest.mark.slow
def test_statistics_with_opendp_are_published_as_paid_for(laptop: Laptop) -> None:
    written = run_readme(laptop, "statistics_opendp")
    assert written.count("visits, ") == 4
    paid = receipt(laptop)
    assert [spend["step"] for spend in paid["spends"]] == ["visits", "nights"]
    assert paid["epsilon"] == pytest.approx(1.0, rel=1e-3)
    statistics = json.loads((laptop.folder / "statistics.json").read_text())
    assert all(abs(np.array(list(statistics["visits"].values())) - [7475, 6407, 2762, 1847]) < 300)


@pytest.mark.slow
def test_a_search_pays_once_for_all_of_its_trials(laptop: Laptop) -> None:
    (accuracy,) = numbers(run_readme(laptop, "search"))[-1:]
    assert accuracy > 0.6
    paid = receipt(laptop)
    assert paid["epsilon"] <= 2
    assert [spend["step"] for spend in paid["spends"]] == ["rows", "search"]
    assert paid["spends"][1]["event"]["type"] == "repeat_and_select"
    published = json.loads((laptop.folder / "model.json").read_text())
    assert set(published) == {"settings", "correct", "weights"}
