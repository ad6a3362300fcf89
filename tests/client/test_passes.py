"""The same client, whoever runs the passes."""

from __future__ import annotations

from pathlib import Path
from typing import cast

from privatekube.client.client import BudgetClient
from privatekube.client.cluster import Cluster
from privatekube.client.embedded import Embedded
from privatekube.client.passes import Outcome
from privatekube.resources import transitions
from privatekube.store.kubernetes.store import KubernetesStore
from privatekube.store.memory import MemoryStore
from privatekube.store.sqlite.store import SqliteStore
from tests import builders


def test_a_client_beside_a_controller_decides_nothing() -> None:
    store = MemoryStore()
    client = BudgetClient(store, Cluster(cast("KubernetesStore", store), answer_timeout_seconds=0.1))
    store.create(builders.block("a"))
    store.create(builders.claim())
    assert client.current_claim("ns/c").is_waiting
    assert client.get_block("ns/a").status is None
    Embedded(store).run()
    assert client.current_claim("ns/c").status.acquired
    assert not client.is_embedded


def test_a_claim_is_read_after_what_is_due_is_decided_where_the_passes_run_here() -> None:
    store = MemoryStore()
    client = BudgetClient(store)
    store.create(builders.block("a"))
    store.create(builders.claim())
    assert client.get_claim("ns/c").is_waiting
    assert client.current_claim("ns/c").status.acquired
    assert client.is_embedded


def test_every_pass_takes_the_policy_that_another_process_has_set(tmp_path: Path) -> None:
    clients = [BudgetClient(SqliteStore(tmp_path / "state.db")) for _ in range(2)]
    clients[1].set_policy(unlock="n=4")
    clients[0].create_blocks([builders.block("a")])
    clients[0].allocate("ns", "c", builders.allocate(0.25), timeout_seconds=5)
    assert transitions.status_of(clients[1].get_block("ns/a")).pending.values[0] == 0.75
    assert clients[1].settle("ns/c") is Outcome.RELEASED
    for client in clients:
        client.store.close()
