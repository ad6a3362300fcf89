"""What cannot be read in a SQLite store is left out by itself, and what depends on it fails closed."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from privatekube import errors
from privatekube.client.client import BudgetClient
from privatekube.client.embedded import Embedded
from privatekube.privacy.budget import EpsilonDelta
from privatekube.reconcile import ledger_audit
from privatekube.resources import refusals
from privatekube.resources.requests import ConsumeRequest
from privatekube.resources.retired_data import RetiredData
from privatekube.store.sqlite.store import SqliteStore
from tests import builders
from tests.clock import FakeClock
from tests.reconcile.harness import Plane

TENTH = EpsilonDelta(0.1)
NOT_JSON = "{ truncat"
TEXTS = [None, NOT_JSON]
FAULTS: dict[str, dict[str, Any]] = {
    "block": {"reservedBudgetMap": 3},
    "claim": {"reservedBudgets": {"ns/x": {"epsDel": {"epsilon": 1}, "renyi": [{"alpha": 2, "epsilon": 1}]}}},
}
"""What of a status cannot be read, by kind."""


class Spoiled:
    """A control plane whose stored texts a test can damage; the store is opened again each time."""

    def __init__(self, path: Path) -> None:
        self.path, self.clock = path, FakeClock()
        self.plane = self.opened()

    def opened(self) -> Plane:
        """Return a control plane that has nothing decoded yet."""
        return Plane(SqliteStore(self.path, clock=self.clock), clock=self.clock)

    def execute(self, statement: str, *values: str) -> None:
        """Change the file behind the store's back, and open it again."""
        self.plane.store.close()
        with closing(sqlite3.connect(self.path)) as db, db:
            db.execute(statement, values)
        self.plane = self.opened()

    def body(self, kind: str, name: str) -> str:
        """Return a stored resource as text."""
        with closing(sqlite3.connect(self.path)) as db:
            query = "SELECT body FROM resources WHERE kind = ? AND id = ?"
            return str(db.execute(query, (kind, f"ns/{name}")).fetchone()[0])

    def write(self, kind: str, name: str, body: str) -> None:
        """Replace the text of a resource."""
        self.execute("UPDATE resources SET body = ? WHERE kind = ? AND id = ?", body, kind, f"ns/{name}")

    def damage(self, kind: str, name: str, text: str | None = None) -> str:
        """Make a resource unreadable by a fault in its status, or replace it by a text; return the text that it had."""
        before = self.body(kind, name)
        document = json.loads(before)
        document["status"] = {**document.get("status", {}), **FAULTS[kind]}
        self.write(kind, name, text or json.dumps(document))
        return before


@pytest.fixture
def spoiled(tmp_path: Path) -> Spoiled:
    """Return a control plane on a file."""
    return Spoiled(tmp_path / "state.db")


def add_blocks(plane: Plane, **datasets: str) -> None:
    for day, (name, dataset) in enumerate(datasets.items()):
        plane.store.create(builders.block(name, dataset=dataset, digest=f"sha256:{name}", day=day))
    plane.run()


@pytest.mark.parametrize("text", TEXTS)
def test_an_unreadable_block_stops_only_the_claims_that_depend_on_it_and_they_time_out(
    spoiled: Spoiled, text: str | None
) -> None:
    add_blocks(spoiled.plane, bad="d", good="other")
    spoiled.plane.ask("holds", builders.allocate(0.1))
    spoiled.plane.ask("waits", builders.allocate(2.0))
    before = spoiled.damage("block", "bad", text)
    plane = spoiled.plane
    plane.ask("free", builders.allocate(0.1, dataset="other"), ConsumeRequest({"ns/good": TENTH}))
    plane.append("holds", ConsumeRequest({"ns/bad": TENTH}))
    plane.run()
    assert plane.states("free") == ["success", "success"]
    assert plane.states("holds") == ["success"]
    plane.clock.time_ms += 6000
    plane.run()
    assert plane.states("waits") == ["failure"]
    assert plane.claim("waits").status.responses[0].refusal == refusals.TIMED_OUT
    assert plane.blocks().keys() == {"ns/good"}
    spoiled.write("block", "bad", before)
    spoiled.plane.run()
    assert spoiled.plane.states("holds") == ["success", "success"]
    spoiled.plane.require_sound()
    spoiled.plane.require_settled()


@pytest.mark.parametrize(("text", "admitted"), [(None, {"ns/elsewhen"}), (NOT_JSON, set()), ("{}", set())])
def test_new_blocks_that_may_have_data_of_an_unreadable_one_wait_until_it_is_readable(
    spoiled: Spoiled, text: str | None, admitted: set[str]
) -> None:
    add_blocks(spoiled.plane, bad="d")
    before = spoiled.damage("block", "bad", text)
    for name, dataset, day in (("again", "d", 7), ("renamed", "other", 0), ("elsewhen", "another", 5)):
        spoiled.plane.store.create(builders.block(name, dataset=dataset, digest=f"sha256:{name}", day=day))
    spoiled.plane.run()
    blocks = spoiled.plane.blocks()
    assert blocks.keys() == {"ns/again", "ns/renamed", "ns/elsewhen"}
    assert {key for key, block in blocks.items() if block.status is not None} == admitted
    spoiled.write("block", "bad", before)
    spoiled.plane.run()
    assert spoiled.plane.blocks()["ns/elsewhen"].status is not None


@pytest.mark.parametrize("text", TEXTS)
def test_an_unreadable_claim_keeps_its_locks_and_stops_no_other(spoiled: Spoiled, text: str | None) -> None:
    add_blocks(spoiled.plane, b="d")
    spoiled.plane.ask("holds", builders.allocate(0.1))
    spoiled.plane.ask("bad", builders.allocate(0.95))
    locks = dict(spoiled.plane.status("b").locks)
    reserved = dict(spoiled.plane.status("b").reserved)
    before = spoiled.damage("claim", "bad", text)
    plane = spoiled.plane
    plane.clock.time_ms += 6000
    plane.ask("free", builders.allocate(0.1))
    assert plane.states("free") == ["success"]
    assert locks.items() <= dict(plane.status("b").locks).items()
    assert reserved.items() <= dict(plane.status("b").reserved).items()
    assert [claim.id for claim in plane.store.list_claims()] == ["ns/holds", "ns/free"]
    spoiled.write("claim", "bad", before)
    spoiled.plane.run()
    assert spoiled.plane.states("bad") == ["failure"]
    spoiled.plane.require_settled()


@pytest.mark.parametrize("text", TEXTS)
def test_a_block_that_lost_its_status_waits_for_an_unreadable_claim_that_may_hold_budget_on_it(
    spoiled: Spoiled, text: str | None
) -> None:
    add_blocks(spoiled.plane, b="d")
    spoiled.plane.ask("bad", builders.allocate(0.1))
    document = json.loads(spoiled.body("block", "b"))
    del document["status"]
    spoiled.write("block", "b", json.dumps(document))
    before = spoiled.damage("claim", "bad", text)
    spoiled.plane.run()
    assert spoiled.plane.blocks()["ns/b"].status is None
    spoiled.write("claim", "bad", before)
    spoiled.plane.run()
    assert spoiled.plane.status("b").committed["ns/bad"] == TENTH


def damage_record(spoiled: Spoiled, body: str) -> None:
    whole = EpsilonDelta(1.0)
    spoiled.plane.store.retire(RetiredData("gone", "sha256:gone", "ns/gone", whole, {"ns/c": TENTH}))
    spoiled.execute("UPDATE retired SET body = ?", body)


def damage_entry(spoiled: Spoiled, body: str) -> None:
    spoiled.plane.ask("pays", builders.allocate(0.1), ConsumeRequest({"ns/b": TENTH}))
    spoiled.execute("DROP TRIGGER ledger_is_not_changed")
    spoiled.execute("UPDATE ledger SET body = ?", body)


@pytest.mark.parametrize("body", [NOT_JSON, "[]", '{"committedBudgetMap": 3}', "{}"])
@pytest.mark.parametrize("damage", [damage_record, damage_entry])
def test_an_unreadable_record_or_entry_keeps_out_new_blocks_and_is_named_by_the_audit(
    spoiled: Spoiled, damage: Any, body: str
) -> None:
    add_blocks(spoiled.plane, b="d")
    damage(spoiled, body)
    spoiled.plane.store.create(builders.block("new", dataset="e", digest="sha256:new", day=9))
    spoiled.plane.ask("free", builders.allocate(0.1), ConsumeRequest({"ns/b": TENTH}))
    assert spoiled.plane.states("free") == ["success", "success"]
    assert spoiled.plane.blocks()["ns/new"].status is None
    with pytest.raises(errors.CorruptData, match=r"record of deleted data sha256:gone|ledger: entry 1"):
        ledger_audit.verify(spoiled.plane.store)


def test_no_statement_is_signed_for_a_claim_whose_entry_cannot_be_read(spoiled: Spoiled) -> None:
    add_blocks(spoiled.plane, b="d")
    damage_entry(spoiled, NOT_JSON)
    claim = spoiled.plane.claim("pays")
    card = f"sha256:{1:064x}"
    spoiled.plane.store.update(replace(claim, spec=replace(claim.spec, card=card)))
    spoiled.plane.ask("free", builders.allocate(0.1))
    assert spoiled.plane.states("free") == ["success"]
    assert spoiled.plane.claim("pays").status.statement is None


PAYING = ("pays", "other")


def ask_for_statements_after(spoiled: Spoiled, damage: str) -> None:
    """Have both claims commit budget, change the ledger, and then have both ask for a statement."""
    add_blocks(spoiled.plane, b="d")
    for name in PAYING:
        spoiled.plane.ask(name, builders.allocate(0.1), ConsumeRequest({"ns/b": TENTH}))
    spoiled.execute("DROP TRIGGER ledger_is_not_changed")
    spoiled.execute(damage)
    for name in PAYING:
        claim = spoiled.plane.claim(name)
        spoiled.plane.store.update(replace(claim, spec=replace(claim.spec, card=f"sha256:{1:064x}")))
    spoiled.plane.run()


def test_an_unreadable_entry_stops_only_the_statement_of_its_own_claim(spoiled: Spoiled) -> None:
    ask_for_statements_after(spoiled, "UPDATE ledger SET body = '{' WHERE claim = 'ns/pays'")
    assert spoiled.plane.claim("pays").status.statement is None
    signed = spoiled.plane.claim("other").status.statement
    assert signed is not None
    assert json.loads(signed.text)["blocks"][0]["ledger_sequence"] == 2


def test_no_statement_is_signed_while_it_cannot_be_told_whose_an_unreadable_entry_is(
    spoiled: Spoiled, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Embedded, "answer_timeout_seconds", 0.1)
    ask_for_statements_after(spoiled, "UPDATE ledger SET body = '{', claim = x'00' WHERE claim = 'ns/pays'")
    assert [spoiled.plane.claim(name).status.statement for name in PAYING] == [None, None]
    client = BudgetClient(spoiled.plane.store, clock=spoiled.clock)
    with pytest.raises(errors.StoreBusy, match="privatekube ledger --verify"):
        client.sign_card("ns/other", f"sha256:{1:064x}")


@pytest.mark.parametrize("kind", ["block", "claim"])
def test_an_unreadable_object_is_logged_once_and_named_by_the_audit(
    spoiled: Spoiled, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    add_blocks(spoiled.plane, b="d")
    spoiled.plane.ask("c", builders.allocate(0.1))
    spoiled.damage(kind, kind[0])
    for _ in range(3):
        spoiled.plane.run()
        spoiled.plane.store.list_blocks()
        spoiled.plane.store.list_claims()
    (line,) = [record.getMessage() for record in caplog.records]
    assert line.startswith(f"{kind} ns/{kind[0]} is left out: ")
    assert "status.reservedBudget" in line
    with pytest.raises(errors.CorruptData, match=rf"^{kind} ns/{kind[0]}: cannot be read"):
        ledger_audit.verify(spoiled.plane.store)
