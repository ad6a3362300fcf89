"""`privatekube approve` and `reject`: a claim beyond a threshold, in the words of the commands."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from privatekube.cli import app
from privatekube.client import connect
from privatekube.client.client import BudgetClient
from privatekube.privacy.budget import EpsilonDelta
from privatekube.resources import ledger
from privatekube.resources.requester import Requester
from privatekube.store.sqlite.store import SqliteStore
from tests import builders
from tests.reconcile.harness import Plane


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """Return a function that runs commands on a store with a block, a threshold and a claim of ann beyond it."""
    uri = f"sqlite:///{tmp_path}/state.db"
    monkeypatch.setenv(connect.STORE, uri)
    with BudgetClient(SqliteStore(tmp_path / "state.db")) as client:
        client.create_blocks([builders.block("b", EpsilonDelta(1.0, 1e-6))])
        claim = Plane.claim_of("c", builders.allocate(0.4))
        requester = Requester("ann", "ads", "a test")
        client.store.create(replace(claim, spec=replace(claim.spec, requester=requester)))

    def command(*words: str) -> str:
        result = CliRunner().invoke(app.app, words)
        return result.output + ("" if result.exception is None else str(result.exception))

    said = command("quota", "set", "big", "--dataset", "d", "-n", "ns", "--share", "0.3", "--beyond", "approval")
    assert "all claims may have 0.3 of the budget of each block of d for its lifetime without an approval" in said
    return command


def test_a_rejected_claim_fails_with_the_reason(run: Callable[..., str]) -> None:
    assert run("reject", "c", "--reason", "too much").endswith("requested by ann, team ads; it is failure now\n")
    assert "too much" in run("explain", "c")
    assert "waits for no approval" in run("reject", "c")
    assert run("ledger", "--verify").startswith("1 entry on the data of 0 blocks is unchanged and adds up")
    assert "rejected by" in run("ledger", "--claim", "c")
    header, row = csv.reader(run("ledger", "-o", "csv").splitlines())
    cells = dict(zip(header, row, strict=True))
    assert (cells["reason"], cells["approvedBy"], cells["block"], cells["epsilon"]) == ("rejected", "", "", "")
    assert cells["rejectedBy"].endswith(": too much")
    (entry,) = json.loads(run("ledger", "-o", "json"))["entries"]
    assert (entry["reason"], entry["decision"]["reason"], entry["requestedBy"]) == ("rejected", "too much", "ann")
    assert "budget" not in entry
    assert "rejected" not in run("ledger", "--block", "b")
    assert json.loads(run("ledger", "--by", "team", "-o", "json"))["totals"] == []


def test_the_list_says_that_a_claim_waits_for_approval_and_the_ledger_who_approved_it(run: Callable[..., str]) -> None:
    assert "if requested again now, it would wait for an approval" in run("explain", "c")
    with connect.connect() as client:
        client.current_claim("ns/c")
    assert "waits for approval" in run("get", "claims")
    assert "waits for approval" in run("explain", "c")
    assert "big" in run("quota", "list")
    assert run("approve", "ns/c", "--reason", "the board agreed") == (
        "claim ns/c: approved, epsilon 0.4, delta 0 on each block, requested by ann, team ads; it is acquired now\n"
    )
    with connect.connect() as client:
        client.consume("ns/c")
        (approver,) = (record.approver for entry in ledger.amounts(client.ledger()) for record in entry.approvals)
    assert f"{approver}: the board agreed" in run("ledger", "-o", "csv")
    assert "the board agreed" in run("ledger", "-o", "yaml")
