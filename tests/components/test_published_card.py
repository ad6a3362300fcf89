"""The card that a run publishes depends on the data through the noisy files alone."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from privatekube.client import connect
from privatekube.privacy import solving
from privatekube.privacy.budget import EpsilonDelta
from privatekube.resources.block import BlockSpec, Dimension, PrivateDataBlock
from privatekube.resources.meta import CONTENT_DIGEST, ObjectMeta
from tests.components.run_steps import Run, synthetic_block


def published_card(folder: Path, monkeypatch: pytest.MonkeyPatch, *, day: int, n: int) -> dict[str, Any]:
    """Run all steps on one block of `n` reviews and return the card, with the digests of its files left out."""
    folder.mkdir()
    uri = f"sqlite:///{folder}/state.db"
    monkeypatch.setenv(connect.STORE, uri)
    path = folder / "b.h5"
    meta = ObjectMeta("b", "ns", annotations={CONTENT_DIGEST: synthetic_block(path, day, n=n)})
    dimensions = (Dimension("startTime", numeric_value="0"), Dimension("unit", string_value="event"))
    with connect.connect(uri) as client:
        spec = BlockSpec(EpsilonDelta(3, 1e-7), "d", f"file://{path}", dimensions)
        client.create_blocks([PrivateDataBlock(meta, spec)])
        run = Run(folder, client)
        run.to_the_end()
        run.consume()
        card: dict[str, Any] = json.loads((run.upload() / "privacy-card.json").read_text())
    assert set(card["run"].pop("files")) == {"metrics.json", "model.pt", "receipt.json", "statistics.json"}
    assert card.pop("signature")
    for name in ("card", "time_ms"):
        card["statement"].pop(name)
    card["statement"]["blocks"][0].pop("ledger_digest")
    assert all(release.pop("outputs") for release in card["statement"]["releases"])
    return card


def test_two_runs_on_different_data_publish_the_same_card_but_for_digests(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, solve: Callable[..., solving.SolvedPlan]
) -> None:
    monkeypatch.setattr(solving, "solve", solve)
    first = published_card(tmp_path / "first", monkeypatch, day=0, n=200)
    assert first == published_card(tmp_path / "second", monkeypatch, day=3, n=171)
