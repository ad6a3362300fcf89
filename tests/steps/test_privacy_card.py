"""The privacy card states what a reader must know to check the promise, in JSON and as a page of the same content."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from privatekube import errors
from privatekube.privacy import events
from privatekube.privacy.planned_mechanisms import DpSgd, SelectFromMany
from privatekube.privacy.planned_queries import DiscreteLaplace
from privatekube.resources import signature
from privatekube.resources.statement import ChargedBlock, SignedStatement, Statement
from privatekube.steps import card_markdown, documents, privacy_card
from privatekube.steps.privacy_card import PrivacyCard, RunFacts
from tests.steps.builders import DIGEST, SETTINGS, grant, plan, spend

ROOT = Path(__file__).resolve().parents[2]
SEED = bytes(32)


def facts(
    tmp_path: Path, granted: documents.Grant | None = None, *, published: Sequence[str] = (), **images: str
) -> RunFacts:
    paid = documents.Receipt(
        run_id="r1",
        claim="ns/run-r1",
        grant=DIGEST,
        committed={"ns/a": {"epsDel": {"epsilon": 1.0, "delta": 1e-9}}},
        epsilon=0.9999,
        delta=1e-9,
        spends=(spend(),),
    )
    model = tmp_path / "model.pt"
    model.write_bytes(b"weights")
    files = {"model.pt": model, **{name: tmp_path / name for name in published}}
    return privacy_card.of_run(granted or grant(), paid, files, images)


def signed(run: RunFacts) -> PrivacyCard:
    budget = {"epsDel": {"epsilon": 1.0, "delta": 1e-9}}
    life, left = {"epsDel": {"epsilon": 10.0, "delta": 1e-7}}, {"epsDel": {"epsilon": 9.0, "delta": 9.9e-8}}
    block = ChargedBlock("ns/a", budget, 1, "sha256:entry", life, left)
    text = Statement(run.claim, run.digest(), 1_700_000_000_000, (block,), ()).to_text()
    return privacy_card.sign(run, SignedStatement(run.digest(), text, signature.sign(SEED, text)))


def test_the_page_says_what_a_regulator_asks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(privacy_card.REVISION, "0123abc")
    image = f"registry.example/dp-train@sha256:{'7' * 64}"
    given = grant(unit="user-day", max_contribution=3)
    page = card_markdown.render(signed(facts(tmp_path, given, dp_train=image, upload="privatekube/upload")))
    for expected in (
        "| organisation | Example |",
        "| purpose | a test |",
        "| date | 2023-11-14 |",
        "user-day: every record of one user on one day, at most 3 of them per block",
        "add or remove one unit",
        "epsilon 0.9999 at delta 1e-09",
        "PLD",
        "Poisson, rate 0.1",
        "noise multiplier 1.2",
        "| how they were chosen | by hand |",
        "| learning_rate | 0.01 |",
        "| ns/a | epsilon 10, delta 1e-07 | epsilon 1, delta 1e-09 | epsilon 9, delta 9.9e-08 | 1 `sha256:entry` |",
        "| 10 | 9.999 | 1.28e-05 |",
        "| commit | 0123abc |",
        f"| image of dp_train | {image} |",
        "dp-accounting 0.6",
    ):
        assert expected in page
    assert "privatekube/upload" not in page
    page = card_markdown.render(signed(facts(tmp_path, grant(unit="user", max_contribution=5))))
    assert "user: every record of one user on all days of the blocks below, at most 5 of them per block" in page
    assert "A person with several user ids is protected less" in page


def test_the_page_starts_with_plain_sentences(tmp_path: Path) -> None:
    page = card_markdown.render(signed(facts(tmp_path)))
    assert page.startswith("# Privacy card\n\nThis was made from personal data under differential privacy.")
    assert page.index("factor of e^0.9999, plus 1e-09") < page.index("|")


def test_a_card_says_what_each_step_releases_in_the_words_of_the_plan_alone(tmp_path: Path) -> None:
    first, *others = plan()["steps"]
    worded = {**plan(), "steps": [{**first, "releases": "visits | by ward"}, *others]}
    page = card_markdown.render(signed(facts(tmp_path, grant(plan=worded))))
    assert "| dp_preprocess | visits \\| by ward | all | noisy values, L1 sensitivity 1 |" in page
    assert "| dp_train | not stated | train | DP-SGD, 20 steps" in page


def test_a_card_of_a_run_without_a_plan_has_the_mechanisms_that_it_paid_for(tmp_path: Path) -> None:
    page = card_markdown.render(signed(facts(tmp_path, grant(plan={"steps": []}))))
    assert "| dp_preprocess | not stated | all | discrete Laplace, scale 20, sensitivity 1 |" in page
    assert "their costs are added up" in page


def test_a_card_says_that_copies_were_kept_and_is_silent_where_they_were_not(tmp_path: Path) -> None:
    block = {"uri": "file:///a", "digest": None, "budget": {"epsDel": {"epsilon": 1.0}}}
    blocks = [{"id": "ns/a", **block}, {"id": "ns/b", "copies_kept": True, **block}]
    sentence = "The owner of the data has kept exact copies. Each copy of a record counts as one of its own:"
    assert sentence in card_markdown.render(signed(facts(tmp_path, grant(blocks=blocks))))
    assert "copies" not in card_markdown.render(signed(facts(tmp_path, grant(blocks=blocks[:1]))))


@pytest.mark.parametrize(
    ("unit", "names", "expected"),
    [
        ("event", ["visit"], "event: one visit"),
        ("user-day", ["visit", "visit"], "user-day: every visit of one user on one day, at most 2 of them per block"),
        ("user", ["visit", "Besuch"], "user: every record of one user on all days of the blocks below, at most 2"),
    ],
)
def test_the_unit_is_named_in_the_words_of_the_data(tmp_path: Path, unit: str, names: list[str], expected: str) -> None:
    block = {"uri": "file:///a", "digest": None, "budget": {"epsDel": {"epsilon": 1.0}}}
    blocks = [{"id": f"ns/{number}", "record_name": name, **block} for number, name in enumerate(names)]
    given = grant(unit=unit, blocks=blocks, max_contribution=1 if unit == "event" else 2)
    assert expected in card_markdown.render(signed(facts(tmp_path, given)))


def test_what_was_not_stated_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(privacy_card.REVISION, raising=False)
    page = card_markdown.render(signed(facts(tmp_path)))
    assert "| commit | not stated |" in page
    assert "| images | not stated |" in page


def test_text_of_a_person_cannot_start_another_row_or_column(tmp_path: Path) -> None:
    declared = {"organisation": "A | B", "purpose": "<b>[x](y)</b>", "hyperparameters_chosen": "by hand"}
    page = card_markdown.render(signed(facts(tmp_path, grant(declared=declared))))
    assert "| organisation | A \\| B |" in page
    assert "<b>" not in page
    with pytest.raises(ValueError, match="organisation"):
        grant(declared={**declared, "organisation": "A\n| granted | epsilon 0 |"})


def search_plan() -> dict[str, Any]:
    """The plan of the tests, in which the training is a search."""
    searched = SelectFromMany((DpSgd(sampling_rate=0.1, steps=20), DiscreteLaplace(sensitivity=1)), 5.0, 0.0)
    step = {"mechanism": searched.kind, "parameters": searched.parameters(4.0)}
    event = events.to_json(searched.event(4.0))
    planned = plan()
    steps = [{**each, **step, "event": event} if each["name"] == "dp_train" else each for each in planned["steps"]]
    return {**planned, "steps": steps}


def test_a_card_states_what_a_search_found_its_distribution_and_its_price(tmp_path: Path) -> None:
    accuracy = {"estimate": 0.7, "low": 0.6, "high": 0.8}
    metrics = documents.Metrics.model_validate(
        {
            "accuracy": accuracy,
            "task": "product",
            "model": "bow",
            "hyperparameters": {"learning_rate": 4.0, "optimizer": "sgd"},
            "noise": {"scale": 5.0, "sensitivity": 1},
        }
    )
    documents.write(metrics, tmp_path / "metrics.json")
    (tmp_path / "receipt.json").write_text("{}")
    settings = SETTINGS | {"hyperparameters": {"learning_rate": [2.0, 4.0], "optimizer": ["sgd"]}}
    given = grant(plan=search_plan(), settings=settings)
    run = facts(tmp_path, given, published=("receipt.json", "metrics.json"))
    search = run.hyperparameters.search
    assert search is not None
    assert search.found == {"learning_rate": 4.0, "optimizer": "sgd"}
    assert 0 < search.epsilon_of_one_trial < search.epsilon < math.inf
    card = signed(run)
    assert privacy_card.decode(card.encode()) == card
    page = card_markdown.render(card)
    for expected in (
        "best of 5 trials on average (negative binomial, shape 0)",
        "| found by the search of dp_train | learning_rate 4.0, optimizer sgd |",
        f"| price of the search | epsilon {search.epsilon:.6g}; one trial alone {search.epsilon_of_one_trial:.6g} |",
        "| hyperparameters | learning_rate 2.0, 4.0; optimizer sgd |",
    ):
        assert expected in page
    without = facts(tmp_path, given)
    assert without.hyperparameters.search is not None
    assert without.hyperparameters.search.found == {}
    assert "search" not in json.loads(signed(facts(tmp_path)).encode())["run"]["hyperparameters"]


def test_a_card_is_read_as_it_was_written(tmp_path: Path) -> None:
    card = signed(facts(tmp_path))
    again = privacy_card.decode(card.encode())
    assert again == card
    assert again.signature is not None
    assert again.statement is not None
    assert again.signature.is_of(again.statement.to_text())


def test_a_card_of_a_deleted_claim_is_not_signed_and_says_so(tmp_path: Path) -> None:
    card = privacy_card.sign(facts(tmp_path), None)
    assert privacy_card.decode(card.encode()) == card
    assert "Not signed: the claim was deleted" in card_markdown.render(card)


def test_other_text_with_the_same_values_is_refused(tmp_path: Path) -> None:
    content = signed(facts(tmp_path)).encode()
    for changed in (content + b"\n", json.dumps(json.loads(content)).encode(), content.replace(b"0.9999", b"0.99990")):
        with pytest.raises(errors.InvalidInput, match="not written as it was published"):
            privacy_card.decode(changed)
    with pytest.raises(errors.InvalidInput, match="privacy card: "):
        privacy_card.decode(b"{}")


def test_a_file_that_is_not_json_is_not_a_card_and_its_content_is_not_shown() -> None:
    with pytest.raises(errors.InvalidInput) as refused:
        privacy_card.decode(b"# Someone's notes")
    fault = "is not JSON (expected value at line 1 column 1)"
    assert str(refused.value) == f"privacy card: {fault}; restore the original"


def test_a_card_of_another_version_says_with_which_one_it_can_be_verified(tmp_path: Path) -> None:
    earlier = signed(facts(tmp_path)).encode().replace(b'"schema_version": 4', b'"schema_version": 3')
    with pytest.raises(errors.InvalidInput, match=r"schema_version: 3 must be 4.*with the version that made it"):
        privacy_card.decode(earlier)


def test_the_documented_schema_is_that_of_the_card() -> None:
    documented = json.loads((ROOT / "docs" / "privacy-card.schema.json").read_text())
    assert documented == privacy_card.json_schema(), "run tools/docs/privacy_card_schema.py"


def test_every_field_of_the_card_is_explained() -> None:
    text = (ROOT / "docs" / "privacy-card.md").read_text()
    schema = privacy_card.json_schema()
    tables = [schema["properties"], *(part.get("properties", {}) for part in schema["$defs"].values())]
    names = {name for table in tables for name in table}
    assert [name for name in sorted(names) if f"`{name}`" not in text] == []


def test_nothing_that_confirms_a_guess_of_the_data_is_in_the_card(tmp_path: Path) -> None:
    digest = f"sha256:{'9' * 64}"
    block = {"id": "ns/a", "uri": "file:///secret", "digest": digest, "budget": {"epsDel": {"epsilon": 1.0}}}
    content = signed(facts(tmp_path, grant(blocks=[block]))).encode().decode()
    assert digest not in content
    assert "secret" not in content
