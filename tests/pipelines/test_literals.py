"""The parts that every pipeline uses know nothing of the shipped one."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from pipelines import dp_lstm
from privatekube.training.settings import Settings
from tests import shipped_plan
from tests.e2e.conftest import ROOT

COMMON = (
    "components/allocate",
    "components/consume",
    *(f"privatekube/{name}" for name in ("cli", "client", "forecast", "runs")),
)
AMBIGUOUS = {"hyperparameters", "model", "sampling_rate", "seed", "task", "workers"}
"""Settings whose names are words of the library, too."""


def literals() -> list[str]:
    """Names of the shipped pipeline: its settings, their values, the steps of its plan, and what it publishes."""
    steps = re.findall(r"name: (\w+)", shipped_plan.TEXT)
    return [*(Settings.model_fields.keys() - AMBIGUOUS), "sentiment", "lstm", *steps, *dp_lstm.PUBLISHED.values()]


@pytest.mark.parametrize("folder", COMMON)
def test_no_literal_of_the_shipped_pipeline_is_in_what_every_pipeline_uses(folder: str) -> None:
    paths = [path for path in Path(ROOT, folder).rglob("*") if path.suffix in {".py", ".yaml"}]
    assert paths
    found = [(path.name, word) for path in paths for word in literals() if re.search(rf"\b{word}\b", path.read_text())]
    assert found == []
