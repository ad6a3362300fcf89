"""A store that the last version wrote: it is read as it is, and every claim in it can go on."""

from __future__ import annotations

import contextlib
import json
import shutil
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from privatekube import errors
from privatekube.client.client import BudgetClient
from privatekube.client.passes import Outcome
from privatekube.privacy.budget import EpsilonDelta
from privatekube.resources import transitions
from privatekube.resources.list_rows import BlockRow, ClaimRow
from privatekube.resources.refusals import RefusalReason
from privatekube.resources.responses import ResponseState
from privatekube.scheduling import policy
from privatekube.store import kinds
from privatekube.store.kinds import Kind
from privatekube.store.sqlite import schema
from privatekube.store.sqlite.store import SqliteStore
from tests import builders
from tests.clock import FakeClock
from tests.passes import run_pass

STORE = Path(__file__).parent.parent / "samples" / "stores" / "0.1-79ed016.db"
WRITTEN_MS = 1_700_000_900_000
"""A time after the last write, and before the first claim is overdue."""
LAST_DIGEST = "sha256:2c28fe4f61f7b43530ee3b11fc9b88dfefe9d4f7241bac7a82dc837558de3d4d"


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock(WRITTEN_MS)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return Path(shutil.copyfile(STORE, tmp_path / "state.db"))


@pytest.fixture
def client(path: Path, clock: FakeClock) -> Iterator[BudgetClient]:
    with BudgetClient(SqliteStore(path, clock=clock), clock=clock) as client:
        yield client


def test_every_resource_is_written_as_the_last_version_wrote_it(path: Path) -> None:
    for kind, resource_id, _, version, body in rows(path):
        resource = kind.decode(body, version)
        stored_version = kind.from_wire(json.loads(body)).meta.resource_version
        assert kind.encode(kinds.at_version(resource, stored_version)) == body
        assert kinds.name_of(resource) == (kind.name, resource_id)


def test_a_claim_that_holds_budget_is_looked_at_whether_it_says_when_it_is_settled_or_not(path: Path) -> None:
    SqliteStore(path).close()
    claims = [row for row in rows(path) if row[0] is kinds.CLAIM]
    assert [kinds.is_open(kind.decode(body, version)) for kind, _, _, version, body in claims] == [
        is_open for _, _, is_open, _, _ in claims
    ]
    assert 0 < sum(is_open for _, _, is_open, _, _ in claims) < len(claims)


def rows(path: Path) -> list[tuple[Kind[Any], str, bool, int, str]]:
    """Return kind, id, whether it is open, version and body of all resources in the file."""
    with contextlib.closing(sqlite3.connect(path)) as database:
        stored = database.execute("SELECT kind, id, open, version, body FROM resources").fetchall()
    assert len(stored) == 53
    by_name: dict[str, Kind[Any]] = {kind.name: kind for kind in kinds.KINDS}
    return [(by_name[name], resource_id, bool(is_open), *rest) for name, resource_id, is_open, *rest in stored]


def test_the_tables_of_the_last_version_are_brought_up_to_date(path: Path) -> None:
    database = sqlite3.connect(path)
    assert database.execute("PRAGMA user_version").fetchone() == (2,)
    store = SqliteStore(path)
    assert store.ensure_secret("card-key", b"key") == b"key"
    assert store.list_approvals() == []
    store.close()
    assert database.execute("PRAGMA user_version").fetchone() == (schema.SCHEMA_VERSION,)
    database.close()


def test_what_a_list_shows_is_kept_of_all_that_the_last_version_stored(path: Path) -> None:
    store = SqliteStore(path)
    assert store.list_block_rows() == [BlockRow.of(block) for block in store.list_blocks()]
    assert store.list_claim_rows() == [ClaimRow.of(claim) for claim in store.list_claims()]
    store.close()
    with contextlib.closing(sqlite3.connect(path)) as database:
        kept = database.execute("SELECT count(*), count(list_row), count(checksum) FROM resources")
        assert kept.fetchone() == (53, 53, 53)


def test_the_ledger_is_complete_and_its_digests_hold(client: BudgetClient) -> None:
    audit = client.verify_ledger()
    assert (audit.entries, audit.digest) == (80, LAST_DIGEST)


def test_the_policy_and_the_retired_data_are_kept(client: BudgetClient) -> None:
    assert client.policy_settings() == {**policy.DEFAULTS, "default_timeout_ms": "500000"}
    assert [data.block_id for data in client.store.list_retired()] == ["team/old", "team/held"]


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("refused", RefusalReason.REFUSED),
        ("bad", RefusalReason.REFUSED),
        ("expired", RefusalReason.TIMED_OUT),
        ("withdrawn", RefusalReason.WITHDRAWN),
    ],
)
def test_refusals_keep_their_reason(client: BudgetClient, name: str, reason: RefusalReason) -> None:
    (response,) = client.get_claim(f"team/{name}").status.responses
    assert response.state is ResponseState.FAILURE
    assert response.refusal is not None
    assert response.refusal.reason is reason


def test_the_next_pass_finishes_what_interrupted_passes_began(client: BudgetClient) -> None:
    assert any(transitions.status_of(block).locks for block in client.list_blocks() if "locked" in block.id)
    run_pass(client)
    for block in client.list_blocks():
        transitions.require_balance(block)
        if "locked" in block.id:
            assert not transitions.status_of(block).locks
    outcomes = {name: client.get_claim(f"team/interrupted-{name}").status for name in range(6)}
    assert [bool(status.committed) for status in outcomes.values()] == [False, False, False, True, True, False]
    assert [bool(status.acquired) for status in outcomes.values()] == [True, True, True, False, False, False]
    client.verify_ledger()


def test_every_claim_can_go_on(client: BudgetClient) -> None:
    assert client.settle("team/opened") is Outcome.CONSUMED
    assert client.consume("team/renyi-held").keys() == {"team/renyi-0", "team/renyi-1"}
    client.release("team/timed")
    assert client.settle("team/consumed") is Outcome.NOTHING
    with pytest.raises(errors.BudgetUnavailable):
        client.mark_opened("team/consumed")
    with pytest.raises(errors.BudgetExceeded):
        client.release("team/timed-opened")
    for claim in client.list_claims():
        client.settle(claim.id)
        client.settle(claim.id)
    client.verify_ledger()


def test_overdue_claims_are_settled(client: BudgetClient, clock: FakeClock) -> None:
    clock.time_ms += 7_200_000
    run_pass(client)
    assert client.get_claim("team/timed-opened").status.committed
    assert not client.get_claim("team/timed").status.acquired
    assert not client.get_claim("team/timed").status.committed
    client.verify_ledger()


def test_folded_and_retired_budget_stays_committed(client: BudgetClient) -> None:
    committed = transitions.status_of(client.get_block("team/all-0")).committed
    assert transitions.FOLDED in committed
    total = sum(amount.epsilon for amount in committed.values() if isinstance(amount, EpsilonDelta))
    assert total == pytest.approx(0.69)


def test_a_store_without_decisions_in_its_ledger_is_upgraded_in_place_and_takes_them(
    path: Path, clock: FakeClock
) -> None:
    SqliteStore(path).close()
    with contextlib.closing(sqlite3.connect(path)) as database:
        for column in ("list_row", "checksum"):
            database.execute(f"ALTER TABLE resources DROP COLUMN {column}")
        database.execute("PRAGMA user_version = 8")  # of the version before the ledger had decisions
    with BudgetClient(SqliteStore(path, clock=clock), clock=clock) as client:
        assert client.verify_ledger().digest == LAST_DIGEST
        client.store.append(builders.rejection("team/c"))
        client.store.append(builders.rejection("team/c"))
        *amounts, decision = client.ledger()
        assert (len(amounts), decision.reason, decision.sequence) == (80, "rejected", 81)
        assert client.ledger(claim_id="team/c") == [decision]
        assert client.verify_ledger().entries == 81
    with contextlib.closing(sqlite3.connect(path)) as database:
        assert database.execute("PRAGMA user_version").fetchone() == (schema.SCHEMA_VERSION,)
