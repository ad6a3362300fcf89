"""A search of hyper-parameters is one claim, and the best of its trials is all that leaves the run."""

from __future__ import annotations

import json
from typing import Any

import pytest

from privatekube.training import checkpoint
from tests.e2e.conftest import ROOT, Laptop

GRID: dict[str, list[float]] = {"learning_rate": [0.01, 0.02], "hidden_dim": [2]}


@pytest.mark.slow
def test_the_best_of_a_random_number_of_trials_is_published_and_paid_for_as_one_release(laptop: Laptop) -> None:
    laptop.run("demo_blocks.py", "create", "--days", "1")
    plan = f"plan={ROOT / 'pipelines' / 'search.yaml'}"
    shown = laptop.pipeline(plan, "embedding_dim=2", "vocab_size=200", f"hyperparameters={json.dumps(GRID)}")
    said = [line for line in shown.splitlines() if line.startswith("dp_train:")]
    steps, *others = said
    assert steps.startswith("dp_train: training steps by ")
    assert others == ["dp_train: training several models, of which the best one is released"]  # whatever their number
    published = (laptop.folder / "out" / "latest").resolve()
    assert [path.name for path in laptop.folder.rglob("*.pt")] == ["model.pt"]

    def read(name: str) -> Any:
        return json.loads((published / name).read_text())

    trained, metrics, card = checkpoint.load(published / "model.pt"), read("metrics.json"), read("privacy-card.json")
    assert trained.found["learning_rate"] in GRID["learning_rate"]
    assert trained.found["hidden_dim"] == trained.config.hidden_dim == 2
    search = card["run"]["hyperparameters"]["search"]
    assert metrics["hyperparameters"] == search["found"] == trained.found
    assert 0 < search["epsilon_of_one_trial"] < search["epsilon"] < card["run"]["guarantee"]["epsilon"] <= 1
    (spend,) = (each for each in read("receipt.json")["spends"] if each["step"] == "dp_train")
    assert (spend["event"]["type"], spend["event"]["mean"], len(spend["outputs"])) == ("repeat_and_select", 5.0, 1)
    assert "epsilon: the registered" in laptop.run("privatekube", "verify-card", str(published / "privacy-card.json"))
