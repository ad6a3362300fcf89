"""A DP step releases once: a repetition keeps the first output, and a second release is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from privatekube import errors
from privatekube.privacy import events
from privatekube.steps import documents, dp_step
from tests.steps.builders import grant, spend

EVENT = events.discrete_laplace(20.0, 1)
METRICS = documents.Metrics(
    accuracy=documents.Estimate(estimate=0.5, low=0.25, high=0.75),
    task="product",
    model="lstm",
    noise=documents.CountNoise(scale=20.0, sensitivity=1),
)


class Mechanism:
    """Counts how often it is called."""

    def __init__(self, *contents: documents.Document | bytes) -> None:
        self.contents, self.calls = contents, 0

    def __call__(self, granted: documents.Grant) -> dp_step.Release:
        assert granted.claim == "ns/run-r1"
        self.calls += 1
        return dp_step.Release(EVENT, self.contents)


@pytest.fixture
def paths(tmp_path: Path) -> dict[str, Any]:
    documents.write(grant(), tmp_path / "grant")
    (tmp_path / "checkpoint").write_text("noisy")
    return {
        "grant": tmp_path / "grant",
        "noisy_inputs": (tmp_path / "checkpoint",),
        "outputs": (tmp_path / "out" / "metrics", tmp_path / "out" / "bytes"),
        "spend": tmp_path / "out" / "spend",
    }


def test_the_outputs_and_the_spend_are_written(paths: dict[str, Any]) -> None:
    dp_step.run("dp_evaluate", Mechanism(METRICS, b"bytes"), **paths)
    metrics, content = paths["outputs"]
    assert documents.read(documents.Metrics, metrics) == METRICS
    assert content.read_bytes() == b"bytes"
    assert json.loads(paths["spend"].read_text()) == {
        "schema_version": 2,
        "step": "dp_evaluate",
        "claim": "ns/run-r1",
        "part": "test",
        "event": events.to_json(EVENT),
        "inputs": dp_step.digest(paths["grant"], *paths["noisy_inputs"]),
    }
    assert sorted(file.name for file in metrics.parent.iterdir()) == ["bytes", "metrics", "spend"]


def test_a_repetition_draws_no_noise_and_keeps_the_first_output(
    paths: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    mechanism = Mechanism(METRICS, b"first")
    dp_step.run("dp_evaluate", mechanism, **paths)
    mechanism.contents = (METRICS, b"second")
    dp_step.run("dp_evaluate", mechanism, **paths)
    assert mechanism.calls == 1
    assert paths["outputs"][1].read_bytes() == b"first"
    assert capsys.readouterr().out == "finished before with the same inputs: its output is kept\n"


def test_other_noisy_inputs_or_a_lost_output_are_a_second_release(paths: dict[str, Any]) -> None:
    mechanism = Mechanism(METRICS, b"bytes")
    dp_step.run("dp_evaluate", mechanism, **paths)
    paths["outputs"][1].unlink()
    with pytest.raises(errors.BudgetExceeded, match="second release"):
        dp_step.run("dp_evaluate", mechanism, **paths)
    paths["outputs"][1].write_bytes(b"bytes")
    paths["noisy_inputs"][0].write_text("other")
    with pytest.raises(errors.BudgetExceeded, match="second release"):
        dp_step.run("dp_evaluate", mechanism, **paths)
    assert mechanism.calls == 1


def test_an_output_that_cannot_be_written_leaves_no_spend(paths: dict[str, Any]) -> None:
    paths["outputs"][1].mkdir(parents=True)
    with pytest.raises(errors.InvalidInput):
        dp_step.run("dp_evaluate", Mechanism(METRICS, b"bytes"), **paths)
    assert not paths["spend"].exists()


def test_every_output_needs_its_content(paths: dict[str, Any]) -> None:
    with pytest.raises(errors.InvalidInput, match="contents: 1 must be 2"):
        dp_step.run("dp_evaluate", Mechanism(METRICS), **paths)
    assert not paths["spend"].exists()


def test_a_step_without_a_spend_has_not_finished(tmp_path: Path) -> None:
    path = tmp_path / "spend"
    assert not dp_step.is_finished(path, claim="c", inputs="i", outputs=())
    path.touch()
    assert not dp_step.is_finished(path, claim="c", inputs="i", outputs=())


def test_a_step_with_its_spend_and_outputs_is_not_repeated(tmp_path: Path) -> None:
    output = tmp_path / "statistics.json"
    output.write_text("{}")
    documents.write(spend(), tmp_path / "spend")
    assert dp_step.is_finished(tmp_path / "spend", claim="ns/run-r1", inputs="sha256:1", outputs=(output,))


def test_a_spend_of_another_claim_does_not_count(tmp_path: Path) -> None:
    documents.write(spend(claim="ns/run-r0"), tmp_path / "spend")
    assert not dp_step.is_finished(tmp_path / "spend", claim="ns/run-r1", inputs="sha256:1", outputs=())


def test_a_second_release_from_other_inputs_is_refused(tmp_path: Path) -> None:
    documents.write(spend(), tmp_path / "spend")
    with pytest.raises(errors.BudgetExceeded, match="second release"):
        dp_step.is_finished(tmp_path / "spend", claim="ns/run-r1", inputs="sha256:2", outputs=())


def test_a_digest_depends_on_content_and_order_alone(tmp_path: Path) -> None:
    for name, text in (("a", "1"), ("b", "2"), ("c", "1")):
        (tmp_path / name).write_text(text)
    a, b, c = (tmp_path / name for name in "abc")
    assert dp_step.digest(a, b) == dp_step.digest(c, b)
    assert dp_step.digest(a, b) != dp_step.digest(b, a)
