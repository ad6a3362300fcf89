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
    (laptop.folder / "examples").symlink_to(EXAMPLES)
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


@pytest.mark.slow
def test_statistics_with_opendp_are_published_as_paid_for(laptop: Laptop) -> None:
    written = run_readme(laptop, "statistics_opendp")
    assert written.count("visits, ") == 4
    paid = receipt(laptop)
    assert [spend["step"] for spend in paid["spends"]] == ["visits", "nights"]
    assert paid["epsilon"] == pytest.approx(1.0, rel=1e-3)
    statistics = json.loads((laptop.folder / "statistics.json").read_text())
    assert all(abs(np.array(list(statistics["visits"].values())) - [7475, 6407, 2762, 1847]) < 300)
