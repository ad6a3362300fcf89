"""Compare the published results of two runs of the same plan."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from privatekube.training import checkpoint as checkpoints
from tests.node.node import Json

FILES = {"statistics.json", "model.pt", "metrics.json", "receipt.json", "privacy-card.md", "privacy-card.json"}
LOCAL = {"report.html"}
"""What only a run on this machine ends with."""


def read(path: Path) -> Json:
    """Read a JSON document."""
    return dict(json.loads(path.read_text()))


def require_alike(one: Path, other: Path) -> None:
    """Check that two runs differ in their names and their noise only."""
    for folder in (one, other):
        assert {path.name for path in folder.iterdir()} - LOCAL == FILES
    assert _paid_for(read(one / "receipt.json")) == _paid_for(read(other / "receipt.json"))
    for name in ("statistics.json", "metrics.json"):
        assert _shape(read(one / name)) == _shape(read(other / name))
    first, second = (checkpoints.load(folder / "model.pt") for folder in (one, other))
    assert first.config == second.config
    assert _headings(one) == _headings(other) != []


def _shape(document: Any) -> Any:
    """Return a document with the type of each value in place of the value."""
    if isinstance(document, dict):
        return {key: _shape(value) for key, value in document.items()}
    if isinstance(document, list):
        return [_shape(item) for item in document]
    return "text" if isinstance(document, str) else "number"  # an estimate below the noise is null


def _paid_for(receipt: Json) -> Json:
    """Return the fields of a receipt that do not depend on the run's name."""
    spends = [{key: spend[key] for key in ("step", "part", "event")} for spend in receipt["spends"]]
    return {key: receipt[key] for key in ("committed", "epsilon", "delta")} | {"spends": spends}


def _headings(folder: Path) -> list[str]:
    return [line for line in (folder / "privacy-card.md").read_text().splitlines() if line.startswith("#")]
