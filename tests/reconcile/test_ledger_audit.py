"""The ledger: every commit is entered once, every change is noticed, and blocks stay small."""

from __future__ import annotations

import contextlib
import json
import sqlite3
from pathlib import Path
from typing import cast

import pytest

from privatekube import errors
from privatekube.engine import changes
from privatekube.privacy import arithmetic, renyi_conversion
from privatekube.privacy.budget import EpsilonDelta
from privatekube.reconcile import block_admission, ledger_audit
from privatekube.resources import ledger, transitions
from privatekube.resources.request_id import RequestId
from privatekube.resources.requests import ConsumeRequest
from privatekube.resources.wire import blocks
from privatekube.store.base import ResourceStore
from privatekube.store.sqlite.store import SqliteStore
from tests import builders
from tests.clock import FakeClock
from tests.reconcile.crashing import CrashError, CrashingStore
from tests.reconcile.harness import Plane


@pytest.fixture
def plane(tmp_path: Path) -> Plane:
    return Plane(SqliteStore(tmp_path / "state.db", clock=FakeClock()))


def consume(epsilon: float = 0.1, *mechanisms: str) -> ConsumeRequest:
    return ConsumeRequest({"ns/b": EpsilonDelta(epsilon)}, mechanisms=mechanisms)


def test_a_commit_is_entered_once_with_who_what_how_much_and_when(plane: Plane) -> None:
    plane.block("b")
    plane.clock.time_ms = 7000
    plane.ask("run-1", builders.allocate(0.1), consume(0.1, "dp_train: gaussian"))
    plane.run()
    (entry,) = ledger.amounts(plane.store.ledger())
    assert (entry.claim, entry.request, entry.block) == ("ns/run-1", RequestId("ns/run-1", 1), "ns/b")
    assert (entry.amount, entry.mechanisms, entry.time_ms) == (EpsilonDelta(0.1), ("dp_train: gaussian",), 7000)
    assert ledger_audit.verify(plane.store) == ledger_audit.Audit(1, 1, entry.digest)


def test_a_commit_that_is_not_entered_yet_is_not_taken_for_that_of_an_earlier_claim_of_the_same_name(
    plane: Plane,
) -> None:
    plane.block("b")
    plane.ask("c", builders.allocate(0.1), consume())
    plane.store.delete(plane.claim("c"))
    plane.ask("c", builders.allocate(0.1))
    plane.append("c", consume())
    locks, *_ = changes.segments(plane.decide())
    plane.write(locks)
    assert ledger_audit.verify(plane.store).entries == 1


def test_what_a_claim_held_when_its_block_was_deleted_is_entered_as_unsettled(plane: Plane) -> None:
    plane.store.create(builders.block("b", digest="sha256:1"))
    plane.ask("paid", builders.allocate(0.1), consume())
    plane.ask("held", builders.allocate(0.2))
    block_admission.remove(plane.store, plane.blocks()["ns/b"], now_ms=9)
    assert [(entry.claim, entry.reason) for entry in plane.store.ledger()] == [
        ("ns/paid", "consumed"),
        ("ns/held", "unsettled"),
    ]
    assert ledger_audit.verify(plane.store).entries == 2
    block_admission.register(plane.store, [builders.block("again", digest="sha256:1")])
    plane.run()
    plane.ask("later", builders.allocate(0.3), ConsumeRequest({"ns/again": EpsilonDelta(0.3)}))
    assert ledger_audit.verify(plane.store).entries == 3


@pytest.mark.parametrize("writes", range(1, 6))
@pytest.mark.parametrize("after", [False, True])
def test_the_ledger_adds_up_wherever_a_deletion_dies(plane: Plane, writes: int, after: bool) -> None:
    plane.store.create(builders.block("b", digest="sha256:1"))
    plane.ask("one", builders.allocate(0.1))
    plane.ask("two", builders.allocate(0.2))
    dying = CrashingStore(plane.store)
    dying.arm(writes, after=after)
    with contextlib.suppress(CrashError):
        block_admission.remove(cast("ResourceStore", dying), plane.blocks()["ns/b"], now_ms=9)
    ledger_audit.verify(plane.store)
    if not plane.blocks():
        block_admission.register(plane.store, [builders.block("b", digest="sha256:1")])
    plane.run()
    ledger_audit.verify(plane.store)
    plane.require_sound()


def test_a_block_stays_small_however_many_claims_commit_on_it(plane: Plane) -> None:
    whole = renyi_conversion.to_renyi(EpsilonDelta(10, 1e-7))
    block, sizes = transitions.initialize_status(builders.block("b", whole)), []
    block = transitions.unlock(block, whole)
    for number in range(1000):
        claim = f"a-namespace-of-a-team/a-run-with-a-rather-long-name-{number}"
        request, amount = RequestId(claim, 0), whole * (1 / 1003)
        block = transitions.complete(transitions.begin_acquire(block, request, amount), request)
        block = transitions.complete(transitions.begin_commit(block, request, amount), request)
        assert claim in transitions.status_of(block).committed
        sizes.append(len(json.dumps(blocks.to_wire(block))))
    assert max(sizes[200:]) == pytest.approx(max(sizes[:200]), rel=0.05)
    assert max(sizes) < 256_000
    transitions.require_balance(block)
    total = arithmetic.total(transitions.status_of(block).committed.values(), start=whole * 0)
    assert total.values == pytest.approx((whole * (1000 / 1003)).values)


def tampered(plane: Plane, *statements: str) -> str:
    """Change the file without the store, and return what the audit reports."""
    plane.block("b")
    for name in ("a", "b", "c"):
        plane.ask(name, builders.allocate(0.1), consume())
    assert ledger_audit.verify(plane.store).entries == 3
    path = plane.store._db._db.execute("PRAGMA database_list").fetchall()[0][2]  # type: ignore[attr-defined]
    plane.store.close()
    with sqlite3.connect(path) as database:
        for name in ("changed", "shortened"):
            database.execute(f"DROP TRIGGER ledger_is_not_{name}")
        for statement in statements:
            database.execute(statement)
    database.close()
    store = SqliteStore(Path(path))
    with pytest.raises(errors.CorruptData) as caught:
        ledger_audit.verify(store)
    store.close()
    return str(caught.value)


@pytest.mark.parametrize(
    ("statement", "found"),
    [
        ("UPDATE ledger SET body = replace(body, '0.1', '0.01') WHERE sequence = 2", "entry 2"),
        ("UPDATE ledger SET body = replace(body, 'ns/b', 'ns/a') WHERE sequence = 3", "entry 3"),
        ("DELETE FROM ledger WHERE sequence = 2", "entry 2"),
        ("DELETE FROM ledger WHERE sequence = 1", "entry 1"),
        ("DELETE FROM ledger WHERE sequence = 3", "block ns/b says"),
        ("UPDATE ledger SET digest = 'sha256:0' WHERE sequence = 3", "entry 3"),
    ],
)
def test_a_changed_ledger_is_noticed(plane: Plane, statement: str, found: str) -> None:
    assert found in tampered(plane, statement)


def test_the_store_refuses_to_change_the_ledger(plane: Plane) -> None:
    plane.block("b")
    plane.ask("a", builders.allocate(0.1), consume())
    for statement in ("UPDATE ledger SET digest = ''", "DELETE FROM ledger"):
        with pytest.raises(errors.InvalidInput, match="append-only"):
            plane.store._rows(statement)  # type: ignore[attr-defined]
