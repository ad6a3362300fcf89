"""The tables at the end of a run."""

from __future__ import annotations

import io
import re
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from privatekube.kubeflow import summary
from privatekube.privacy.budget import EpsilonDelta
from privatekube.resources.wire import common
from privatekube.steps import documents
from tests import builders

CLAIM = f"{builders.NAMESPACE}/run-7"
DIGEST = documents.digest(b"content")
LAPLACE = {"type": "discrete_laplace", "noise_parameter": 0.05, "sensitivity": 1}
GAUSSIAN = {"type": "gaussian", "noise_multiplier": 10.06}
SAMPLED = {"type": "poisson_sampled", "sampling_probability": 0.2, "event": GAUSSIAN}
SGD = {"type": "self_composed", "count": 75, "event": SAMPLED}


def published(folder: Path, blocks: int, **metrics: Any) -> Path:
    """Write the documents that a run of some blocks publishes."""
    committed = {f"{builders.NAMESPACE}/b-{index:02}": EpsilonDelta(1.0, 1e-9) for index in range(blocks)}
    events = {"dp_preprocess": ("all", LAPLACE), "dp_train": ("train", SGD), "dp_evaluate": ("test", LAPLACE)}
    receipt = {
        "run_id": "7",
        "claim": CLAIM,
        "grant": DIGEST,
        "committed": {block: common.budget_to_wire(amount) for block, amount in committed.items()},
        "epsilon": 0.999987,
        "delta": 1e-9,
        "spends": [
            {"step": step, "claim": CLAIM, "part": part, "event": event, "inputs": (DIGEST,), "outputs": (DIGEST,)}
            for step, (part, event) in events.items()
        ],
    }
    accuracy = {"estimate": 0.62, "low": 0.591, "high": 0.65}
    noise = {"scale": 5.758, "sensitivity": 1}
    scores = {"accuracy": accuracy, "task": "product", "model": "lstm", "noise": noise} | metrics
    documents.write(documents.Receipt.model_validate(receipt), folder / "receipt.json")
    documents.write(documents.Metrics.model_validate(scores), folder / "metrics.json")
    return folder


def summary_of(folder: Path) -> str:
    """The text of the summary; the first block had epsilon 10 before and after the run."""
    left = {f"{builders.NAMESPACE}/b-00": EpsilonDelta(10.0, 1e-6)}
    written = io.StringIO()
    summary.show(Console(file=written, width=200), folder, left, left)
    return written.getvalue()


def test_a_narrow_terminal_does_not_cut_the_name_of_a_block(tmp_path: Path) -> None:
    folder = published(tmp_path, 1)
    name = "amazon-electronics-2013-01-01-0"
    receipt = folder / "receipt.json"
    receipt.write_text(receipt.read_text().replace("b-00", name))
    written = io.StringIO()
    summary.show(Console(file=written, width=80), folder, {}, {})
    assert name in written.getvalue()


def test_results_in_the_working_folder_are_named_as_a_user_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "out" / "7").mkdir(parents=True)
    folder = published(tmp_path / "out" / "7", 1)
    monkeypatch.chdir(tmp_path)
    assert lines_of(summary_of(folder))["results"] == "out/7"
    monkeypatch.chdir(tmp_path / "out" / "7")
    assert lines_of(summary_of(tmp_path / "out" / ".." / "out" / "7"))["results"].startswith(str(tmp_path))


def lines_of(text: str) -> dict[str, str]:
    """The rest of each line by the words in its first column."""
    rows = [re.split(r"\s{2,}", line.strip(), maxsplit=1) for line in text.splitlines()]
    return {row[0]: row[1] for row in rows if len(row) == 2}


def test_it_shows_budget_spends_metrics_and_results(tmp_path: Path) -> None:
    share = {"estimate": None, "low": 0.0, "high": 1.0}
    lines = lines_of(summary_of(published(tmp_path, 1, majority_share=share)))
    assert re.split(r"\s{2,}", lines["b-00"])[1] == "epsilon 1, delta 1e-09"
    assert lines["claim"] == CLAIM
    assert lines["spent by dp_preprocess"] == "discrete Laplace, scale 20, sensitivity 1, on all units"
    training = "Gaussian, noise multiplier 10.06, 75 steps at sampling rate 0.2, on train units"
    assert lines["spent by dp_train"] == training
    assert lines["total"] == "epsilon 0.999987 at delta 1e-09"
    assert lines["accuracy (product, lstm)"] == "0.620 (95 %: 0.591 to 0.650)"
    assert lines["majority class"] == "unknown: too few held-out reviews for the noise"
    assert lines["results"] == str(tmp_path)


@pytest.mark.parametrize("confidence", [0.9, 0.95])
def test_a_replacement_of_dp_evaluate_may_publish_less(tmp_path: Path, confidence: float) -> None:
    lines = lines_of(summary_of(published(tmp_path, 1, confidence=confidence)))
    assert "majority class" not in lines
    assert f"({100 * confidence:.0f} %: " in lines["accuracy (product, lstm)"]


def test_many_blocks_are_cut_with_the_command_that_lists_them(tmp_path: Path) -> None:
    text = summary_of(published(tmp_path, summary.MOST_BLOCKS + 3))
    assert f"b-{summary.MOST_BLOCKS - 1:02} " in text
    assert f"b-{summary.MOST_BLOCKS:02} " not in text
    assert "and 3 more: privatekube get blocks" in text


def test_metrics_of_another_form_hide_nothing_else(tmp_path: Path) -> None:
    folder = published(tmp_path, 1)
    (folder / "metrics.json").write_text('{"f1": 0.5}')
    lines = lines_of(summary_of(folder))
    assert lines["results"] == str(folder)
    assert not [line for line in lines if line.startswith("accuracy")]
