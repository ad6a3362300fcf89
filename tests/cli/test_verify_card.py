"""`privatekube verify-card` accepts a card as it was published, and notices whatever was changed afterwards."""

from __future__ import annotations

import dataclasses
import json
import sqlite3
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from privatekube import errors
from privatekube.cli import app
from privatekube.client.client import BudgetClient
from privatekube.resources import signature
from privatekube.resources.requests import RegisterRequest
from privatekube.steps import card_markdown, card_verification, documents, privacy_card
from privatekube.store.sqlite.store import SqliteStore
from tests import builders
from tests.examples import examples
from tests.steps.builders import grant, spend

EVENT = {"type": "discrete_laplace", "noise_parameter": 0.2, "sensitivity": 1}
"""What every step ran: together epsilon 0.4, for two of them run on disjoint users."""

RELEASED = {"dp_preprocess": "statistics.json", "dp_train": "model.pt", "dp_evaluate": "metrics.json"}
"""The published file of each step of the run."""


@dataclass(frozen=True)
class Published:
    """A folder with a card and a model, and the store of the run that published them."""

    folder: Path

    @property
    def store(self) -> Path:
        return self.folder / "state.db"

    @property
    def card(self) -> Path:
        return self.folder / "privacy-card.json"

    @property
    def page(self) -> Path:
        return self.folder / "privacy-card.md"

    @property
    def model(self) -> Path:
        return self.folder / "model.pt"

    def verify(self, *options: str, store: Path | None = None, status: int = 0) -> str:
        words = ["--store", f"sqlite:///{store or self.store}", "verify-card", str(self.card), *options]
        result = CliRunner().invoke(app.app, words)
        assert result.exit_code == status, result.output
        return result.output


@pytest.fixture(autouse=True)
def _no_store_from_the_command_line_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PRIVATEKUBE_STORE", "")


@pytest.fixture
def published(tmp_path: Path) -> Published:
    run = Published(tmp_path)
    with BudgetClient(SqliteStore(run.store)) as client:
        client.create_blocks([builders.block("a"), builders.block("b", day=3)])
        client.allocate("ns", "run-r1", builders.allocate(0.5), timeout_seconds=5)
        client.mark_opened("ns/run-r1")
        for step, name in RELEASED.items():
            (tmp_path / name).write_bytes(b"weights" if name == "model.pt" else name.encode())
            digest = privacy_card.file_digest(tmp_path / name)
            client.register_release("ns/run-r1", RegisterRequest(step, (digest,), (), json.dumps(EVENT)))
        client.consume("ns/run-r1")
        paid = documents.Receipt(
            grant=f"sha256:{0:064}",
            run_id="r1",
            claim="ns/run-r1",
            committed={},
            epsilon=0.49,
            delta=1e-9,
            spends=(spend(),),
        )
        facts = privacy_card.of_run(grant(), paid, {name: tmp_path / name for name in RELEASED.values()}, {})
        card = privacy_card.sign(facts, client.sign_card("ns/run-r1", facts.digest()))
    run.card.write_bytes(card.encode())
    run.page.write_bytes(card_markdown.render(card).encode())
    return run


def test_a_card_as_it_was_published_passes_every_check(published: Published) -> None:
    lines = published.verify().splitlines()
    assert [line.partition(":")[0] for line in lines] == ["signature", "page", "files", "releases", "epsilon", "ledger"]
    assert "valid, by ed25519:" in lines[0]
    assert "cost epsilon 0.4 at delta 1e-09" in lines[4]
    assert "2 blocks" in lines[5]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=examples(60))
@given(data=st.data())
def test_a_changed_byte_of_the_card_is_noticed(published: Published, data: st.DataObject) -> None:
    content = bytearray(published.card.read_bytes())
    position = data.draw(st.integers(0, len(content) - 1))
    content[position] ^= data.draw(st.integers(1, 255))
    key = signature.public_key(_seed(published))
    try:
        card = privacy_card.decode(bytes(content))
    except errors.InvalidInput:
        return
    assert not card_verification.check_signature(card, key).is_passed


def _seed(published: Published) -> bytes:
    store = SqliteStore(published.store)
    seed = store.ensure_secret("card-key", b"")
    store.close()
    return seed


def test_a_lower_epsilon_in_the_card_is_noticed(published: Published) -> None:
    published.card.write_text(published.card.read_text().replace('"epsilon": 0.49', '"epsilon": 0.11'))
    assert "signature: the statement is about another card" in published.verify(status=1)


def test_a_lower_charge_in_the_statement_is_noticed(published: Published) -> None:
    published.card.write_text(published.card.read_text().replace('"epsilon": 0.5', '"epsilon": 0.4'))
    assert "signature: it is not of this statement" in published.verify(status=1)


def test_a_card_that_someone_else_signed_again_is_noticed(published: Published) -> None:
    card = privacy_card.decode(published.card.read_bytes())
    assert card.statement is not None
    forged = card.model_copy(update={"signature": signature.sign(bytes(32), card.statement.to_text())})
    published.card.write_bytes(forged.encode())
    assert "not by ed25519:" in published.verify(status=1)


def test_a_card_that_names_a_file_elsewhere_reads_no_other_file(published: Published) -> None:
    card = privacy_card.decode(published.card.read_bytes())
    files = {**card.run.files, "/dev/zero": f"sha256:{0:064}"}
    forged = card.model_copy(update={"run": card.run.model_copy(update={"files": files})})
    published.card.write_bytes(forged.encode())
    assert "files: the card names '/dev/zero', which is not a file's name" in published.verify(status=1)


def test_a_card_of_another_claim_is_noticed_though_its_statement_was_signed(published: Published) -> None:
    card = privacy_card.decode(published.card.read_bytes())
    other = card.model_copy(update={"run": card.run.model_copy(update={"purpose": "another"})})
    published.card.write_bytes(other.encode())
    assert "the statement is about another card" in published.verify(status=1)


def test_a_changed_byte_of_the_model_is_noticed(published: Published) -> None:
    published.model.write_bytes(b"weighty")
    assert "files: " in published.verify(status=1)
    assert "the card names sha256:" in published.verify(status=1)
    published.model.unlink()
    assert "does not exist" in published.verify(status=1)


def test_a_lower_epsilon_on_the_page_is_noticed(published: Published) -> None:
    text = published.page.read_text()
    assert text.count("epsilon 0.49 at") == 1
    published.page.write_text(text.replace("epsilon 0.49 at", "epsilon 0.11 at"))
    output = published.verify(status=1)
    assert "signature: valid" in output
    assert f"page: {published.page} does not say what the card says; read the card" in output


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=examples(60))
@given(data=st.data())
def test_a_changed_byte_of_the_page_is_noticed(published: Published, data: st.DataObject) -> None:
    card, content = privacy_card.decode(published.card.read_bytes()), bytearray(published.page.read_bytes())
    content[data.draw(st.integers(0, len(content) - 1))] ^= data.draw(st.integers(1, 255))
    changed = published.folder / "changed.md"
    changed.write_bytes(content)
    assert not card_verification.check_page(card, changed).is_passed


def test_a_page_that_is_missing_or_elsewhere_is_named(published: Published) -> None:
    moved = published.page.rename(published.folder / "moved.md")
    assert f"page: file: {published.page} does not exist" in published.verify(status=1)
    published.verify("--page", str(moved))


@pytest.mark.parametrize("time_ms", [10**30, -(10**30)])
def test_a_card_of_which_no_page_can_be_made_fails_in_one_line(published: Published, time_ms: int) -> None:
    card = privacy_card.decode(published.card.read_bytes())
    assert card.statement is not None
    statement = dataclasses.replace(card.statement, time_ms=time_ms)
    published.card.write_bytes(card.model_copy(update={"statement": statement}).encode())
    assert "page: no page can be made of this card; the card was changed" in published.verify(status=1)


def resigned(published: Published, card: privacy_card.PrivacyCard, **changes: object) -> None:
    """Let the control plane sign the card again after the run changed what it says."""
    run = card.run.model_copy(update=changes)
    with BudgetClient(SqliteStore(published.store)) as client:
        card = privacy_card.sign(run, client.sign_card(run.claim, run.digest()))
    published.card.write_bytes(card.encode())
    published.page.write_bytes(card_markdown.render(card).encode())


def test_a_second_model_under_the_same_claim_is_noticed_though_its_card_is_signed(published: Published) -> None:
    card = privacy_card.decode(published.card.read_bytes())
    published.model.write_bytes(b"a second model")
    resigned(published, card, files={**card.run.files, "model.pt": privacy_card.file_digest(published.model)})
    output = published.verify(status=1)
    assert "signature: valid" in output
    assert "releases: model.pt is not what a step registered under claim ns/run-r1" in output


def test_a_lower_epsilon_than_the_registered_mechanisms_cost_is_noticed_though_the_card_is_signed(
    published: Published,
) -> None:
    card = privacy_card.decode(published.card.read_bytes())
    resigned(published, card, guarantee=card.run.guarantee.model_copy(update={"epsilon": 0.3}))
    output = published.verify(status=1)
    assert "signature: valid" in output
    assert "epsilon: the registered mechanisms cost epsilon 0.4 at delta 1e-09, the card says 0.3" in output


def test_a_file_may_be_elsewhere(published: Published) -> None:
    moved = published.model.rename(published.folder / "moved.pt")
    published.verify("--released", str(moved))


def test_a_changed_ledger_is_noticed(published: Published) -> None:
    database = sqlite3.connect(published.store)
    database.execute("DROP TRIGGER ledger_is_not_changed")
    database.execute("""UPDATE ledger SET body = replace(body, '"epsilon": 0.5', '"epsilon": 0.1')""")
    database.commit()
    assert database.total_changes == 2
    database.close()
    assert "ledger: ledger: entry 1 does not follow" in published.verify(status=1)


def test_a_ledger_without_the_claim_is_noticed(published: Published) -> None:
    other = published.folder / "other.db"
    SqliteStore(other).close()
    key = published.folder / "key.txt"
    key.write_text(signature.public_key(_seed(published)) + "\n")
    output = published.verify("--public-key", str(key), store=other, status=1)
    assert "ledger: has no entry 1 of claim ns/run-r1 on ns/a" in output


def test_without_the_store_the_public_key_suffices_and_nothing_is_created(published: Published) -> None:
    absent, key = published.folder / "absent.db", published.folder / "key.txt"
    key.write_text(signature.public_key(_seed(published)) + "\n")
    output = published.verify("--public-key", str(key), store=absent)
    assert "signature: valid" in output
    assert "ledger: not checked: store: " in output
    assert not absent.exists()


def test_a_card_that_names_its_own_key_proves_nothing(published: Published) -> None:
    output = published.verify(store=published.folder / "absent.db", status=1)
    assert "nothing says whose key ed25519:" in output
    assert "--public-key" in output


def test_an_unsigned_card_is_not_valid(published: Published) -> None:
    card = privacy_card.decode(published.card.read_bytes())
    published.card.write_bytes(privacy_card.sign(card.run, None).encode())
    output = published.verify(status=1)
    assert "signature: the card is not signed" in output
    assert "ledger: the card states no charge" in output


def test_a_file_that_is_no_card_fails_in_one_line(published: Published) -> None:
    published.card.write_text("{}")
    assert published.verify(status=1).splitlines()[0].startswith("card: privacy card: ")
