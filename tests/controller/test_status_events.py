"""What Events and conditions say: of one block in the singular, of several in the plural."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from privatekube.client import connect
from privatekube.client.client import BudgetClient
from privatekube.controller import status_events
from privatekube.resources import conditions
from tests import builders
from tests.passes import run_pass

COUNTED = pytest.mark.parametrize(("number", "blocks"), [(1, "1 block"), (3, "3 blocks")])


@contextmanager
def client_of(folder: Path, number: int) -> Iterator[BudgetClient]:
    """Yield a client of a store with that many blocks of epsilon 1."""
    with connect.connect(f"sqlite:///{folder}/state.db") as client:
        client.create_blocks([builders.block(f"b{day}", day=day) for day in range(number)])
        yield client


def messages(client: BudgetClient, claim_id: str) -> list[str]:
    """Return the messages of all that happened to a claim."""
    return [event.message for event in status_events.between(None, client.get_claim(claim_id))]


@COUNTED
def test_a_claim_that_is_granted_and_consumed_counts_its_blocks(tmp_path: Path, number: int, blocks: str) -> None:
    with client_of(tmp_path, number) as client:
        client.allocate("ns", "c", builders.allocate(0.5), timeout_seconds=5)
        held = {condition.type: condition.message for condition in client.get_claim("ns/c").status.conditions}
        client.consume("ns/c")
        assert held[conditions.SETTLED] == f"holds budget on {blocks}"
        assert messages(client, "ns/c") == [
            f"granted epsilon 0.5, delta 0 on {blocks}",
            f"committed permanently on {blocks}",
        ]


@COUNTED
def test_a_claim_that_waits_counts_its_blocks(tmp_path: Path, number: int, blocks: str) -> None:
    with client_of(tmp_path, number) as client:
        client.allocate("ns", "first", builders.allocate(0.75), timeout_seconds=5)
        client.store.create(builders.claim("c", builders.allocate(0.5)))
        run_pass(client)
        assert messages(client, "ns/c") == [f"waits for epsilon 0.5, delta 0 on {blocks}"]
