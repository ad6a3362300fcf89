"""The pipeline on one machine, from data blocks to published results."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.conftest import Laptop, committed

CARD = {"privacy-card.md", "privacy-card.json"}
FILES = {"statistics.json", "model.pt", "metrics.json", "receipt.json", "report.html", *CARD}


def latest(laptop: Laptop) -> Path:
    return (laptop.folder / "out" / "latest").resolve()


def receipt(laptop: Laptop) -> dict[str, Any]:
    document: dict[str, Any] = json.loads((latest(laptop) / "receipt.json").read_text())
    return document


@pytest.mark.slow
def test_a_run_publishes_its_files_and_a_report_and_commits_what_its_receipt_says(laptop_with_blocks: Laptop) -> None:
    laptop = laptop_with_blocks
    shown = laptop.pipeline()
    assert {path.name for path in latest(laptop).iterdir()} == FILES
    paid = receipt(laptop)
    blocks = laptop.blocks()
    assert set(paid["committed"]) == set(blocks)
    for block_id, budget in paid["committed"].items():
        held = blocks[block_id]["status"]["committedBudgetMap"][paid["claim"]]
        assert held["epsDel"]["epsilon"] == pytest.approx(budget["epsDel"]["epsilon"], abs=1e-9)
        assert held["epsDel"]["delta"] == pytest.approx(budget["epsDel"]["delta"], abs=1e-9)
    metrics = json.loads((latest(laptop) / "metrics.json").read_text())
    card = latest(laptop) / "privacy-card.json"
    assert "valid, by ed25519:" in laptop.run("privatekube", "verify-card", str(card))
    assert json.loads(card.read_text())["run"]["software"]["commit"]
    assert {"estimate", "low", "high"} <= metrics["accuracy"].keys()
    for expected in (paid["claim"], "accuracy", "Privacy budget", str(latest(laptop))):
        assert expected in shown.replace("\n", "")
    assert shown.splitlines()[-1] == f"report: {laptop.folder / 'out' / 'latest' / 'report.html'}"
    assert paid["claim"] in (latest(laptop) / "report.html").read_text()
    assert not list((laptop.folder / ".privatekube" / "runs").iterdir())


@pytest.mark.slow
def test_two_runs_at_once_end_well_until_the_budget_is_gone_and_the_refusal_changes_nothing(laptop: Laptop) -> None:
    laptop.run("demo_blocks.py", "create", "--days", "1", "--epsilon", "2", "--accounting", "epsdel")
    runs = [laptop.start_pipeline() for _ in range(2)]
    ended = [process.communicate(timeout=250)[1] for process in runs]
    assert [process.returncode for process in runs] == [0, 0], ended
    before, published, newest = (laptop.blocks(), laptop.claims()), receipts(laptop), latest(laptop)
    assert len(before[1]) == 2
    assert set(published) == set(before[1])
    assert [committed(block) for block in before[0].values()] == pytest.approx([2.0])
    refusal = laptop.pipeline(status=3)
    assert (laptop.blocks(), laptop.claims()) == before
    line = next(line for line in refusal.splitlines() if line.startswith("error:"))
    for expected in ("privacy-example/amazon-2013-01-01-0", "asked", "left"):
        assert expected in line
    assert (receipts(laptop), latest(laptop)) == (published, newest)


def receipts(laptop: Laptop) -> dict[str, Any]:
    """Return the published receipts by claim."""
    paths = (laptop.folder / "out").glob("*-*/receipt.json")  # not below `latest`
    documents = [json.loads(path.read_text()) for path in paths]
    return {document["claim"]: document for document in documents}


@pytest.mark.slow
def test_renyi_blocks_are_charged_the_curve_of_the_mechanisms_and_a_user_day_run_names_its_unit_and_bound(
    laptop: Laptop,
) -> None:
    laptop.run("demo_blocks.py", "create", "--days", "1", "--unit", "user-day", "--max-contribution", "2")
    printed = laptop.pipeline("model=lstm", "hidden_dim=8", "embedding_dim=8", "max_text_len=20")
    assert "claiming epsilon 1, delta 1e-09 on all blocks" in printed
    assert re.search(r"committed renyi \S+ at order \S+ on 1 block\b", printed)
    assert re.search(r"renyi \S+ at order (\S+) +renyi \S+ at order \1 +renyi \S+ at order \1", printed)
    paid = receipt(laptop)
    (block_id, budget) = next(iter(paid["committed"].items()))
    held = laptop.blocks()[block_id]["status"]["committedBudgetMap"][paid["claim"]]
    for asked, charged in zip(budget["renyi"], held["renyi"], strict=True):
        assert charged["alpha"] == asked["alpha"]
        assert charged["epsilon"] == pytest.approx(asked["epsilon"], rel=1e-9)
    assert 0 < budget["renyi"][0]["epsilon"] < 0.5
    card = (latest(laptop) / "privacy-card.md").read_text()
    assert "user-day: every review of one user on one day, at most 2 of them per block" in card
    assert json.loads((latest(laptop) / "statistics.json").read_text())["noise"]["sensitivity"] == 2
