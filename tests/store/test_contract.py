"""The contract of every store; a new store is one entry in STORES."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from privatekube import errors
from privatekube.privacy.budget import EpsilonDelta
from privatekube.resources import ledger
from privatekube.resources.approval import ApprovalSpec, Decision, PrivacyBudgetApproval
from privatekube.resources.block import BlockStatus, Dimension
from privatekube.resources.data_identity import DataIdentity, DaySketch
from privatekube.resources.declared_data import DeclaredData
from privatekube.resources.ledger import Entry
from privatekube.resources.list_rows import BlockRow, ClaimRow
from privatekube.resources.meta import ObjectMeta
from privatekube.resources.quota import PrivacyBudgetQuota, QuotaSpec
from privatekube.resources.request_id import RequestId
from privatekube.resources.responses import Response, ResponseState
from privatekube.resources.retired_data import RetiredData
from privatekube.store.base import ResourceStore
from privatekube.store.memory import MemoryStore
from privatekube.store.sqlite.store import SqliteStore
from tests import builders
from tests.kubernetes import stores
from tests.kubernetes.apiserver import ApiServer

Opener = Callable[[], ResourceStore]
KUBERNETES = "kubernetes"


def sqlite(folder: Path) -> Opener:
    return lambda: SqliteStore(folder / "state.db")


def memory(_folder: Path) -> Opener:
    store = MemoryStore()
    return lambda: store


STORES: dict[str, Callable[[Path], Opener]] = {"sqlite": sqlite, "memory": memory}
"""By name: a function that takes a folder, and returns a function that opens the same store on each call."""


def _cluster(request: pytest.FixtureRequest) -> Opener:
    apiserver: ApiServer = request.getfixturevalue("apiserver")
    stores.clear(apiserver)
    return lambda: stores.open_store(apiserver)


@pytest.fixture(params=[*sorted(STORES), pytest.param(KUBERNETES, marks=pytest.mark.kubernetes)])
def opener(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Opener]:
    opened: list[ResourceStore] = []
    on_cluster = request.param == KUBERNETES
    session: Opener = STORES[request.param](tmp_path) if not on_cluster else _cluster(request)

    def open_again() -> ResourceStore:
        opened.append(session())
        return opened[-1]

    yield open_again
    for store in opened:
        store.close()


@pytest.fixture
def transactional(request: pytest.FixtureRequest) -> None:
    """Skip the test on a store without transactions."""
    if request.node.callspec.params["opener"] == KUBERNETES:
        pytest.skip("an API server has no transactions")


@pytest.fixture
def store(opener: Opener) -> ResourceStore:
    return opener()


ANSWER = Response("0", ResponseState.SUCCESS)
STATUS = BlockStatus(pending=EpsilonDelta(0.9, 1e-7), available=EpsilonDelta(0.1, 0.0))


def entry(identity: str, block: str = "ns/b", claim: str = "ns/c") -> Entry:
    request, amount = RequestId(claim, 0), EpsilonDelta(0.1)
    return Entry(identity, 5, "d", "sha256:1", block, claim, request, amount, "consumed", ("noise",), claim_uid="uid-1")


def test_the_rows_of_a_list_are_those_of_the_stored_objects(store: ResourceStore) -> None:
    claim = store.create(builders.claim("c"))
    block, _ = store.create(builders.block("a")), store.create(builders.block("b"))
    status = BlockStatus(EpsilonDelta(0.0), EpsilonDelta(0.5), committed={claim.id: EpsilonDelta(0.5)})
    store.update_status(replace(block, status=status))
    rows = store.list_block_rows()
    assert rows == [BlockRow.of(block) for block in store.list_blocks()] == store.list_block_rows("ns")
    assert [(row.id, row.committed_share) for row in rows] == [("ns/a", 0.5), ("ns/b", 0.0)]
    assert store.list_claim_rows() == [ClaimRow.of(claim)]
    assert not store.list_block_rows("other")
    assert not store.list_claim_rows("other")


def test_ledger_entries_are_chained_entered_once_and_kept(opener: Opener) -> None:
    store = opener()
    for identity, claim in (("1", "ns/c"), ("2", "ns/e"), ("1", "ns/c")):
        store.append(entry(identity, claim=claim))
    entries = list(ledger.require_chain(opener().ledger()))
    assert [(item.sequence, item.identity) for item in entries] == [(1, "1"), (2, "2")]
    assert replace(entries[0], sequence=0, digest="") == entry("1")
    assert [item.identity for item in store.ledger(claim_id="ns/e")] == ["2"]
    assert store.ledger(block_id="ns/other") == []
    assert len(store.ledger(block_id="ns/b", claim_id="ns/c")) == 1


def test_decisions_are_in_the_chain_of_the_ledger_and_of_no_block(opener: Opener) -> None:
    store = opener()
    for item in (entry("1"), builders.rejection("ns/c"), builders.rejection("ns/c"), entry("2")):
        store.append(item)
    _, decided, _ = ledger.require_chain(opener().ledger())
    assert replace(decided, sequence=0, digest="") == builders.rejection("ns/c")
    assert [item.sequence for item in store.ledger(block_id="ns/b")] == [1, 3]
    assert [item.reason for item in store.ledger(claim_id="ns/c")] == ["consumed", "rejected", "consumed"]


def test_records_of_deleted_data_are_listed(store: ResourceStore) -> None:
    record = RetiredData("d", "sha256:1", "ns/b", EpsilonDelta(1.0), {"ns/c": EpsilonDelta(0.1)}, (entry("1"),))
    store.retire(record)
    assert store.list_retired() == [record]


def test_the_record_of_a_block_that_declares_no_data_source_can_be_read(store: ResourceStore) -> None:
    record = RetiredData("d", "", "ns/b", EpsilonDelta(1.0), {}, declared=DeclaredData(""))
    store.retire(record)
    assert store.list_retired() == [record]


def test_a_created_resource_can_be_read_in_another_session(opener: Opener) -> None:
    created = opener().create(builders.block(day=3))
    assert opener().get_block("ns/b") == created
    assert created.meta.uid
    assert created.meta.creation_time_ms is not None


def test_a_missing_resource_is_none(store: ResourceStore) -> None:
    assert store.get_block("ns/b") is None
    assert store.get_claim("ns/c") is None


def test_a_taken_name_is_refused(store: ResourceStore) -> None:
    store.create(builders.block())
    with pytest.raises(errors.AlreadyExists, match="block ns/b: exists already"):
        store.create(builders.block())
    assert len(store.list_blocks()) == 1


def test_a_block_and_a_claim_may_share_a_name(store: ResourceStore) -> None:
    store.create(builders.block("same"))
    store.create(builders.claim("same"))
    assert store.get_block("ns/same") is not None
    assert store.get_claim("ns/same") is not None


def test_lists_are_in_order_of_creation_and_by_namespace(store: ResourceStore) -> None:
    for name in ("z", "a", "m"):
        store.create(builders.claim(name))
    other = builders.claim("o")
    store.create(replace(other, meta=replace(other.meta, namespace="elsewhere")))
    assert [claim.meta.name for claim in store.list_claims()] == ["z", "a", "m", "o"]
    assert [claim.meta.name for claim in store.list_claims("ns")] == ["z", "a", "m"]
    assert store.list_claims("nowhere") == []


def test_a_write_after_another_write_is_a_conflict(store: ResourceStore) -> None:
    outdated = store.create(builders.block())
    store.update_status(replace(outdated, status=STATUS))
    with pytest.raises(errors.Conflict):
        store.update_status(replace(outdated, status=None))
    with pytest.raises(errors.Conflict):
        store.update(outdated)
    with pytest.raises(errors.Conflict):
        store.delete(outdated)
    stored = store.get_block("ns/b")
    assert stored is not None
    assert stored.status == STATUS


def test_status_and_spec_are_written_separately(store: ResourceStore) -> None:
    created = store.create(builders.claim())
    opened = store.update(replace(created, spec=replace(created.spec, data_opened=True)))
    assert opened.meta.generation == created.meta.generation + 1
    written = store.update_status(
        replace(opened, spec=created.spec, status=replace(opened.status, acquired={"ns/b": EpsilonDelta(0.1)}))
    )
    assert written.spec.data_opened
    assert written.meta.generation == opened.meta.generation
    again = store.update(replace(written, status=created.status))
    assert again.status.acquired == {"ns/b": EpsilonDelta(0.1)}


def test_a_claim_takes_nothing_back_that_was_answered_or_opened(store: ResourceStore) -> None:
    created = store.create(builders.claim("c", builders.allocate(0.1), builders.allocate(0.2)))
    opened = store.update(replace(created, spec=replace(created.spec, data_opened=True)))
    for requests in (opened.spec.requests[:1], opened.spec.requests[::-1], ()):
        with pytest.raises(errors.InvalidInput, match="append-only"):
            store.update(replace(opened, spec=replace(opened.spec, requests=requests)))
    with pytest.raises(errors.InvalidInput, match="cannot be taken back"):
        store.update(replace(opened, spec=replace(opened.spec, data_opened=False)))
    assert store.get_claim("ns/c") == opened


@pytest.mark.parametrize(
    "change",
    [
        {"initial_budget": EpsilonDelta(2.0, 1e-7)},
        {"dataset": "other"},
        {"data_source": "file:///other"},
        {"dimensions": (Dimension("startTime", numeric_value="7"),)},
    ],
)
def test_what_a_block_says_of_its_data_and_budget_cannot_be_changed(
    store: ResourceStore, change: dict[str, Any]
) -> None:
    created = store.create(builders.block())
    with pytest.raises(errors.InvalidInput, match="cannot be changed"):
        store.update(replace(created, spec=replace(created.spec, **change)))
    assert store.get_block("ns/b") == created


def test_a_write_to_a_deleted_resource_raises_not_found(store: ResourceStore) -> None:
    created = store.create(builders.block())
    store.delete(created)
    assert store.get_block("ns/b") is None
    for write in (store.update, store.update_status, store.delete):
        with pytest.raises(errors.NotFound):
            write(created)


def test_only_claims_with_an_unanswered_request_are_open(store: ResourceStore) -> None:
    created = store.create(builders.claim("c"))
    store.create(replace(builders.claim("answered"), spec=replace(created.spec, requests=())))
    assert [claim.meta.name for claim in store.list_claims(open_only=True)] == ["c"]


def test_records_of_deleted_data_are_kept(opener: Opener) -> None:
    record = RetiredData("d", "sha256:1", "ns/b", EpsilonDelta(1.0), {"ns/c": EpsilonDelta(0.25)})
    opener().retire(record)
    assert opener().retired("d", "sha256:1") == record
    assert opener().retired("d", "sha256:2") is None


def test_settings_are_shared(opener: Opener) -> None:
    opener().set_setting("order", "fcfs")
    assert opener().settings() == {"order": "fcfs"}


def test_the_first_value_of_a_secret_is_kept(opener: Opener) -> None:
    assert opener().ensure_secret("card-key", b"first") == b"first"
    assert opener().ensure_secret("card-key", b"second") == b"first"


@pytest.mark.usefixtures("transactional")
def test_a_failed_transaction_stores_no_secret(opener: Opener) -> None:
    store = opener()

    def half_way() -> None:
        with store.transaction():
            store.ensure_secret("card-key", b"lost")
            raise RuntimeError("half-way")

    with pytest.raises(RuntimeError, match="half-way"):
        half_way()
    assert opener().ensure_secret("card-key", b"kept") == b"kept"


@pytest.mark.usefixtures("transactional")
def test_a_failed_transaction_writes_nothing(opener: Opener) -> None:
    store = opener()

    def half_way() -> None:
        with store.transaction():
            store.create(builders.block("a"))
            raise RuntimeError("half-way")

    with pytest.raises(RuntimeError, match="half-way"):
        half_way()
    assert opener().list_blocks() == []


@pytest.mark.usefixtures("transactional")
def test_a_failed_transaction_keeps_no_quota_and_no_decision(opener: Opener) -> None:
    store = opener()

    def half_way() -> None:
        with store.transaction():
            store.put_quota(PrivacyBudgetQuota(ObjectMeta("q", "ns"), QuotaSpec("d", share=0.5)))
            store.add_approval(builders.approval(approver="eve"))
            raise RuntimeError("half-way")

    with pytest.raises(RuntimeError, match="half-way"):
        half_way()
    assert (opener().list_quotas(), opener().list_approvals()) == ([], [])


def test_a_transaction_reads_its_own_writes(store: ResourceStore) -> None:
    created = store.create(builders.claim())
    with store.transaction():
        opened = store.update(replace(created, spec=replace(created.spec, data_opened=True)))
        assert store.get_claim("ns/c") == opened
        assert store.list_claims(open_only=True) == [opened]
        written = store.update_status(replace(opened, status=replace(opened.status, responses=(ANSWER,))))
        assert store.list_claims(open_only=True) == []
        with pytest.raises(errors.Conflict):
            store.update(opened)
    assert store.get_claim("ns/c") == written


def test_a_session_sees_the_writes_of_another(opener: Opener) -> None:
    first, second = opener(), opener()
    created = first.create(builders.block())
    assert second.get_block("ns/b") == created
    written = first.update_status(replace(created, status=STATUS))
    assert second.get_block("ns/b") == written
    assert second.list_blocks() == [written]
    first.delete(written)
    assert second.list_blocks() == []


@pytest.mark.usefixtures("transactional")
def test_a_session_forgets_the_writes_of_its_failed_transaction(store: ResourceStore) -> None:
    created = store.create(builders.block())

    def half_way() -> None:
        with store.transaction():
            store.update_status(replace(created, status=STATUS))
            raise RuntimeError("half-way")

    with pytest.raises(RuntimeError, match="half-way"):
        half_way()
    assert store.get_block("ns/b") == created
    assert store.update_status(replace(created, status=STATUS)).status == STATUS


def test_a_resource_that_could_not_be_read_again_is_not_written(store: ResourceStore) -> None:
    with pytest.raises(errors.InvalidInput, match=r"spec.initialBudget: -1.0 is negative"):
        store.create(builders.block(budget=EpsilonDelta(-1.0)))
    assert store.list_blocks() == []


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "../privatedatablocks", "%2e%2e", "A", "²", "a" * 254])
def test_a_text_that_cannot_be_a_name_names_nothing(opener: Opener, name: str) -> None:
    store = opener()
    store.create(builders.block())
    assert store.identity(name) is None
    assert store.get_block(f"ns/{name}") is None


def test_an_identity_is_kept_as_it_was_first_stored(opener: Opener) -> None:
    days = {day: DaySketch(tuple(range(day, day + 1024)), 2000) for day in range(32)}  # as large as they get
    identity = DataIdentity("1" * 32, "key", "partition", days)
    opener().keep_identity(identity)
    opener().keep_identity(replace(identity, key_id="other"))
    assert opener().identity(identity.id) == identity
    assert opener().identity("2" * 32) is None


def test_a_decision_about_a_claim_is_stored_once_and_for_good(opener: Opener) -> None:
    store = opener()
    spec = ApprovalSpec("c", "uid", 0, f"sha256:{1:064x}", "ann", store.user(), Decision.REJECTED, "too much")
    store.add_approval(PrivacyBudgetApproval(ObjectMeta("a", "ns"), spec))
    with pytest.raises(errors.AlreadyExists, match=r"claim ns/c: .* has decided about it before, for good"):
        store.add_approval(PrivacyBudgetApproval(ObjectMeta("a", "ns"), replace(spec, decision=Decision.APPROVED)))
    (stored,) = opener().list_approvals()
    assert (stored.id, stored.spec) == ("ns/a", spec)
    assert stored.meta.creation_time_ms is not None


@pytest.mark.usefixtures("transactional")
def test_a_failed_transaction_stores_no_identity(opener: Opener) -> None:
    store = opener()
    identity = DataIdentity("1" * 32, "key", "partition", {})

    def half_way() -> None:
        with store.transaction():
            store.keep_identity(identity)
            assert store.identity(identity.id) == identity
            raise RuntimeError("half-way")

    with pytest.raises(RuntimeError, match="half-way"):
        half_way()
    assert store.identity(identity.id) is None
