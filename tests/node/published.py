"""What a run published, and how it compares with what another run of the same plan did."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from privatekube.training import checkpoint as checkpoints
from tests.node.node import Json

FILES = {"statistics.json", "model.pt", "metrics.json", "receipt.json", "privacy-card.md"}


def read(path: Path) -> Json:
    """A JSON document."""
    return dict(json.loads(path.read_text()))


def require_alike(one: Path, other: Path) -> None:
    """Check that two runs differ by their names and their noise, and by nothing else."""
    for folder in (one, other):
        assert {path.name for path in folder.iterdir()} == FILES
    assert _paid_for(read(one / "receipt.json")) == _paid_for(read(other / "receipt.json"))
    for name in ("statistics.json", "metrics.json"):
        assert _shape(read(one / name)) == _shape(read(other / name))
    ours, theirs = (checkpoints.load(folder / "model.pt") for folder in (one, other))
    assert ours.config == theirs.config
    assert _headings(one) == _headings(other) != []


def _shape(document: Any) -> Any:
    """A document without its numbers and texts: which keys it has, and whether a text is under each."""
    if isinstance(document, dict):
        return {key: _shape(value) for key, value in document.items()}
    if isinstance(document, list):
        return [_shape(each) for each in document]
    return "text" if isinstance(document, str) else "number"  # an estimate that the noise drowns is null


def _paid_for(receipt: Json) -> Json:
    """A receipt without what names its run."""
    spends = [{key: each[key] for key in ("step", "part", "event")} for each in receipt["spends"]]
    return {key: receipt[key] for key in ("committed", "epsilon", "delta")} | {"spends": spends}


def _headings(folder: Path) -> list[str]:
    return [line for line in (folder / "privacy-card.md").read_text().splitlines() if line.startswith("#")]
