"""A store that the last version wrote, whose blocks have no identity: what it knows of spending still counts."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from privatekube import errors
from privatekube.client.client import BudgetClient
from privatekube.privacy.budget import EpsilonDelta
from privatekube.resources import transitions
from privatekube.resources.requester import Requester
from privatekube.store.sqlite.store import SqliteStore
from tests.passes import run_pass
from tests.reconcile.cuts import Cut, make, source

STORE = Path(__file__).parent.parent / "samples" / "stores" / "0.1-a1db444.db"
AGAIN = Cut(namespace="privacy-example", dataset="amazon", end_day=0, budget=EpsilonDelta(10.0, 1e-7))


@pytest.fixture
def client(tmp_path: Path) -> Iterator[BudgetClient]:
    path = Path(shutil.copyfile(STORE, tmp_path / "state.db"))
    with BudgetClient(SqliteStore(path)) as client:
        yield client


def test_the_ledger_of_the_last_version_adds_up(client: BudgetClient) -> None:
    run_pass(client)
    assert client.verify_ledger().entries == 2


@pytest.mark.parametrize("cut", [AGAIN, replace(AGAIN, buckets=2), replace(AGAIN, namespace="other")])
def test_data_that_the_last_version_deleted_bears_what_was_committed(client: BudgetClient, cut: Cut) -> None:
    made = make(source(), cut)
    for block in client.create_blocks(made.blocks, made.identities):
        status = transitions.status_of(client.get_block(block.id))
        assert sum(amount.values[0] for amount in status.committed.values()) == pytest.approx(4.0)
    client.verify_ledger()


def test_what_may_be_data_that_the_last_version_deleted_bears_what_was_committed_under_any_name(
    client: BudgetClient,
) -> None:
    """Its record has no days: whatever is created beside no block may be its data."""
    made = make(source(), replace(AGAIN, dataset="other"))
    (block,) = client.create_blocks(made.blocks, made.identities)
    status = transitions.status_of(client.get_block(block.id))
    assert sum(amount.values[0] for amount in status.committed.values()) == pytest.approx(4.0)
    client.verify_ledger()


def test_what_may_be_data_of_a_block_of_the_last_version_is_refused_under_any_name(client: BudgetClient) -> None:
    made = make(source(), replace(AGAIN, dataset="other", start_day=1, end_day=1))
    with pytest.raises(errors.AlreadyExists, match="it cannot be told whether"):
        client.create_blocks(made.blocks, made.identities)


def test_blocks_of_the_last_version_are_not_cut_again_beside_themselves(client: BudgetClient) -> None:
    made = make(source(), replace(AGAIN, start_day=1, end_day=2, width=2))
    with pytest.raises(errors.AlreadyExists, match=r"never refreshed|exists with other data"):
        client.create_blocks(made.blocks, made.identities)


def test_claims_and_entries_of_the_last_version_are_read_without_a_requester_and_can_go_on(
    client: BudgetClient,
) -> None:
    claims, entries = client.list_claims(), client.ledger()
    assert claims
    stated = {claim.requester for claim in claims} | {entry.requester for entry in entries}
    assert stated == {Requester()}
    for claim in claims:
        client.postpone_settling(claim.id)
    assert client.list_quotas() == []
    assert client.verify_ledger().entries == len(entries)
