"""Claim, consume, release and settle budget through a client."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from privatekube import errors
from privatekube.client import connect, stored
from privatekube.client.client import BudgetClient
from privatekube.client.embedded import Embedded
from privatekube.client.passes import Outcome
from privatekube.privacy import arithmetic
from privatekube.privacy.budget import EpsilonDelta
from privatekube.resources import summary, transitions
from privatekube.resources.claim import ClaimStatus, SettleAfter
from tests import builders
from tests.clock import FakeClock
from tests.passes import run_pass


@pytest.fixture
def client(tmp_path: Path) -> Iterator[BudgetClient]:
    with connect.connect(f"sqlite:///{tmp_path}/state.db") as client:
        yield client


def stored_state(client: BudgetClient) -> object:
    return client.list_blocks(), client.list_claims()


def test_a_claim_is_granted_committed_and_stays_so(client: BudgetClient) -> None:
    client.create_blocks([builders.block("a"), builders.block("b")])
    granted = client.allocate("ns", "c", builders.allocate(0.4), timeout_seconds=5)
    assert granted.status.acquired == {"ns/a": EpsilonDelta(0.4), "ns/b": EpsilonDelta(0.4)}
    client.mark_opened("ns/c")
    committed = client.consume("ns/c")
    assert committed == granted.status.acquired
    assert client.consume("ns/c") == committed
    for block in client.list_blocks():
        assert transitions.status_of(block).committed == {"ns/c": EpsilonDelta(0.4)}
        assert not transitions.status_of(block).acquired
        assert not transitions.status_of(block).locks
    assert client.settle("ns/c") is Outcome.NOTHING


def test_a_repeated_allocate_finds_its_own_claim_and_pays_once(client: BudgetClient) -> None:
    client.create_blocks([builders.block()])
    first = client.allocate("ns", "c", builders.allocate(0.6), timeout_seconds=5)
    again = client.allocate("ns", "c", builders.allocate(0.6), timeout_seconds=5)
    assert again.status.acquired == first.status.acquired
    (block,) = client.list_blocks()
    assert transitions.status_of(block).acquired == {"ns/c": EpsilonDelta(0.6)}
    with pytest.raises(errors.AlreadyExists, match="another request"):
        client.allocate("ns", "c", builders.allocate(0.2), timeout_seconds=5)


def test_what_can_never_fit_is_refused_with_block_asked_and_left_and_nothing_is_written(client: BudgetClient) -> None:
    client.create_blocks([builders.block()])
    client.allocate("ns", "c", builders.allocate(0.7), timeout_seconds=5)
    before = stored_state(client)
    with pytest.raises(errors.BudgetUnavailable, match=r"block ns/b lacks budget: asked epsilon 0.4.*left epsilon 0.3"):
        client.allocate("ns", "d", builders.allocate(0.4), timeout_seconds=5)
    assert stored_state(client) == before


def test_an_exact_fit_is_granted_and_the_next_is_refused(client: BudgetClient) -> None:
    client.create_blocks([builders.block(budget=EpsilonDelta(0.3, 1e-9))])
    for name in ("a", "b", "c"):
        client.allocate("ns", name, builders.allocate(0.1), timeout_seconds=5)
    with pytest.raises(errors.BudgetUnavailable):
        client.allocate("ns", "d", builders.allocate(0.1), timeout_seconds=5)


def test_fewer_blocks_than_asked_is_refused_with_both_numbers(client: BudgetClient) -> None:
    client.create_blocks([builders.block("a"), builders.block("b")])
    with pytest.raises(errors.InvalidInput, match=r"blocks: 2 match dataset 'd'.*asked 3"):
        client.allocate("ns", "c", builders.allocate(blocks=3), timeout_seconds=5)
    assert client.list_claims() == []


def test_waiting_too_long_says_what_is_locked_and_takes_the_demand_back(client: BudgetClient) -> None:
    client.set_policy(unlock="n=100")
    client.create_blocks([builders.block()])
    with pytest.raises(errors.DeadlineExceeded, match=r"block ns/b lacks epsilon: asked 0.5, available 0.01.*n=100"):
        client.allocate("ns", "c", builders.allocate(0.5), timeout_seconds=0.2)
    (block,) = client.list_blocks()
    status = transitions.status_of(block)
    assert not status.reserved
    assert not status.locks
    assert arithmetic.is_close(status.pending + status.available, block.spec.initial_budget)


def test_a_wait_that_the_policy_ends_names_its_bound(client: BudgetClient) -> None:
    client.set_policy(unlock="n=100", longest_timeout_ms="200")
    client.create_blocks([builders.block()])
    message = r"not granted within 0.2 s, the longest_timeout_ms of the policy; .*: ask again, request less, or change"
    with pytest.raises(errors.DeadlineExceeded, match=message):
        client.allocate("ns", "c", builders.allocate(0.5), timeout_seconds=3600)


def test_a_claim_is_settled_so_long_after_its_last_sign_of_life(client: BudgetClient) -> None:
    client.create_blocks([builders.block()])
    granted = client.allocate("ns", "c", builders.allocate(0.5), timeout_seconds=5, settle_after_seconds=60)
    first = granted.spec.settle_after
    assert first is not None
    client.clock = clock = FakeClock(first.at_ms - 1)
    client.mark_opened("ns/c")
    renewed = client.get_claim("ns/c").spec.settle_after
    assert renewed == SettleAfter(60, clock.time_ms + 60_000)
    clock.time_ms = renewed.at_ms - 1
    run_pass(client)
    assert not client.get_claim("ns/c").status.committed
    clock.time_ms += 1
    run_pass(client)
    assert client.consume("ns/c") == {"ns/b": EpsilonDelta(0.5)}
    assert len(client.ledger()) == 1


def test_released_budget_can_be_claimed_again(client: BudgetClient) -> None:
    client.create_blocks([builders.block()])
    client.allocate("ns", "c", builders.allocate(0.8), timeout_seconds=5)
    client.release("ns/c")
    client.release("ns/c")
    assert client.allocate("ns", "d", builders.allocate(0.9), timeout_seconds=5).status.acquired


def test_opened_data_cannot_give_its_budget_back(client: BudgetClient) -> None:
    client.create_blocks([builders.block()])
    client.allocate("ns", "c", builders.allocate(0.8), timeout_seconds=5)
    client.mark_opened("ns/c")
    client.mark_opened("ns/c")
    with pytest.raises(errors.BudgetExceeded, match="was opened"):
        client.release("ns/c")
    assert client.settle("ns/c") is Outcome.CONSUMED
    assert client.settle("ns/c") is Outcome.NOTHING
    (block,) = client.list_blocks()
    assert transitions.status_of(block).committed == {"ns/c": EpsilonDelta(0.8)}


def test_a_second_release_under_a_claim_is_refused_and_the_same_one_is_registered_once(client: BudgetClient) -> None:
    client.create_blocks([builders.block()])
    client.allocate("ns", "c", builders.allocate(0.8), timeout_seconds=5)
    client.mark_opened("ns/c")
    for _ in range(3):
        client.register_release("ns/c", builders.release(output="1"))
    assert len(client.get_claim("ns/c").spec.requests) == 2
    with pytest.raises(errors.BudgetExceeded, match=r"claim ns/c: dp_train has released something else.* new run"):
        client.register_release("ns/c", builders.release(output="2"))
    assert len(client.get_claim("ns/c").spec.requests) == 2
    assert client.consume("ns/c") == {"ns/b": EpsilonDelta(0.8)}
    client.register_release("ns/c", builders.release(output="1"))
    with pytest.raises(errors.BudgetUnavailable, match=r"holds no budget.*start a new run"):
        client.register_release("ns/c", builders.release("dp_evaluate"))
    assert len(client.get_claim("ns/c").spec.requests) == 3
    assert client.settle("ns/c") is Outcome.NOTHING


def test_a_registration_postpones_settling(client: BudgetClient) -> None:
    client.create_blocks([builders.block()])
    granted = client.allocate("ns", "c", builders.allocate(0.5), timeout_seconds=5, settle_after_seconds=60)
    assert granted.spec.settle_after is not None
    client.clock = FakeClock(granted.spec.settle_after.at_ms - 1)
    client.register_release("ns/c", builders.release("allocate", event=None))
    assert client.get_claim("ns/c").spec.settle_after == SettleAfter(60, client.clock.now_ms() + 60_000)


def test_a_claim_whose_last_request_is_a_registration_can_be_settled(client: BudgetClient) -> None:
    client.create_blocks([builders.block()])
    for name in ("c", "d"):
        client.allocate("ns", name, builders.allocate(0.25), timeout_seconds=5)
        client.register_release(f"ns/{name}", builders.release("allocate", event=None))
    client.mark_opened("ns/d")
    assert client.settle("ns/c") is Outcome.RELEASED
    assert client.settle("ns/d") is Outcome.CONSUMED
    for name, state in (("c", "released"), ("d", "consumed")):
        with pytest.raises(errors.BudgetUnavailable):
            client.register_release(f"ns/{name}", builders.release())
        assert summary.state(client.get_claim(f"ns/{name}")) == state


def test_data_is_not_opened_without_budget(client: BudgetClient) -> None:
    client.create_blocks([builders.block()])
    client.allocate("ns", "c", builders.allocate(0.8), timeout_seconds=5)
    client.release("ns/c")
    with pytest.raises(errors.BudgetUnavailable, match="must not be read"):
        client.mark_opened("ns/c")
    with pytest.raises(errors.BudgetUnavailable, match="holds no budget"):
        client.consume("ns/c")


def test_settling_an_unopened_claim_releases_it_and_a_missing_one_is_said_to_be_missing(client: BudgetClient) -> None:
    client.create_blocks([builders.block()])
    client.allocate("ns", "c", builders.allocate(0.8), timeout_seconds=5)
    assert client.settle("ns/c") is Outcome.RELEASED
    assert client.settle("ns/gone") is Outcome.NO_CLAIM
    assert str(Outcome.NO_CLAIM) == "there is no such claim"


def test_the_same_data_is_never_registered_twice(client: BudgetClient) -> None:
    client.create_blocks([builders.block("a", digest="sha256:1")])
    with pytest.raises(errors.AlreadyExists, match="never refreshed"):
        client.create_blocks([builders.block("a", digest="sha256:1")])
    with pytest.raises(errors.AlreadyExists, match="some of its data is registered as ns/a"):
        client.create_blocks([builders.block("b", digest="sha256:1")])
    with pytest.raises(errors.AlreadyExists, match="exists with other data"):
        client.create_blocks([builders.block("a", digest="sha256:2")])
    assert len(client.list_blocks()) == 1


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        ("UPDATE resources SET body = '{' WHERE id = 'ns/a'", "while block ns/a cannot be read"),
        ("UPDATE ledger SET body = '{'", "ledger: entry 1"),
    ],
)
def test_a_block_that_would_be_withheld_is_refused_when_it_is_created(tmp_path: Path, damage: str, said: str) -> None:
    path = tmp_path / "state.db"
    with connect.connect(f"sqlite:///{path}") as client:
        client.create_blocks([builders.block("a")])
        client.allocate("ns", "c", builders.allocate(0.1), timeout_seconds=5)
        client.consume("ns/c")
    with contextlib.closing(sqlite3.connect(path)) as db, db:
        db.execute("DROP TRIGGER ledger_is_not_changed")
        db.execute(damage)
    with connect.connect(f"sqlite:///{path}") as client:
        with pytest.raises(errors.CorruptData, match=said):
            client.create_blocks([builders.block("b", day=9)])
        assert "ns/b" not in {block.id for block in client.list_blocks()}


def test_the_missing_ones_of_a_list_are_registered_or_none(client: BudgetClient) -> None:
    first, second = builders.block("a", digest="sha256:1"), builders.block("b", digest="sha256:2")
    client.create_blocks([first])
    assert [block.id for block in client.create_blocks([first, second])] == ["ns/b"]
    with pytest.raises(errors.AlreadyExists):
        client.create_blocks([builders.block("x", digest="sha256:3"), builders.block("y", digest="sha256:3")])
    assert [block.id for block in client.list_blocks()] == ["ns/a", "ns/b"]


@pytest.mark.parametrize(
    ("bucket", "buckets", "overlaps"), [(0, 1, True), (0, 2, True), (1, 2, False), (0, 3, True), (2, 3, True)]
)
def test_blocks_that_may_hold_the_same_reviews_are_refused(
    client: BudgetClient, bucket: int, buckets: int, overlaps: bool
) -> None:
    client.create_blocks([builders.block("a", digest="sha256:1", day=3, bucket=0, buckets=2)])
    other = builders.block("b", digest="sha256:2", day=3, bucket=bucket, buckets=buckets)
    if overlaps:
        with pytest.raises(errors.AlreadyExists, match="some of its data is registered as ns/a"):
            client.create_blocks([other])
    else:
        client.create_blocks([other])
    client.create_blocks([builders.block("c", digest="sha256:3", day=4, bucket=bucket, buckets=buckets)])


def test_a_block_made_again_from_the_same_data_starts_from_its_record(client: BudgetClient) -> None:
    client.create_blocks([builders.block("a", digest="sha256:1")])
    client.allocate("ns", "c", builders.allocate(0.25), timeout_seconds=5)
    client.mark_opened("ns/c")
    client.consume("ns/c")
    client.allocate("ns", "unsettled", builders.allocate(0.5), timeout_seconds=5)
    client.delete_block("ns", "a")
    assert client.list_blocks() == []
    with pytest.raises(errors.InvalidBudget, match="create it with the same"):
        client.create_blocks([builders.block("a", EpsilonDelta(5, 1e-7), digest="sha256:1")])
    client.create_blocks([builders.block("again", digest="sha256:1")])
    (block,) = client.list_blocks()
    status = transitions.status_of(block)
    assert arithmetic.is_close(status.pending + status.available, EpsilonDelta(0.25, 1e-7))
    assert status.committed == {"ns/c": EpsilonDelta(0.25), "ns/unsettled": EpsilonDelta(0.5)}
    with pytest.raises(errors.BudgetUnavailable):
        client.allocate("ns", "d", builders.allocate(0.3), timeout_seconds=5)


def test_a_claim_on_a_deleted_block_is_settled_on_the_others_and_cannot_publish(client: BudgetClient) -> None:
    client.create_blocks([builders.block("a", digest="sha256:1"), builders.block("b", digest="sha256:2")])
    client.allocate("ns", "c", builders.allocate(0.25), timeout_seconds=5)
    client.mark_opened("ns/c")
    client.delete_block("ns", "a")
    with pytest.raises(errors.BudgetExceeded, match="ns/a"):
        client.consume("ns/c")
    assert client.settle("ns/c") is Outcome.CONSUMED
    assert client.settle("ns/c") is Outcome.NOTHING
    (block,) = client.list_blocks()
    assert transitions.status_of(block).committed == {"ns/c": EpsilonDelta(0.25)}
    client.create_blocks([builders.block("a", digest="sha256:1")])
    again = client.get_block("ns/a")
    assert transitions.status_of(again).committed == {"ns/c": EpsilonDelta(0.25)}


def test_a_policy_is_kept_in_the_store_and_checked(tmp_path: Path) -> None:
    uri = f"sqlite:///{tmp_path}/state.db"
    with connect.connect(uri) as first:
        first.set_policy(unlock="n=7", order="fcfs")
        with pytest.raises(errors.InvalidInput, match=r"unlock: 'x=3' is unknown"):
            first.set_policy(unlock="x=3")
    with connect.connect(uri) as second:
        assert second.policy_settings()["unlock"] == "n=7"


@pytest.mark.parametrize("uri", ["postgres://x", "sqlite:///", "state.db"])
def test_an_unknown_kind_of_store_is_refused(uri: str) -> None:
    with pytest.raises(errors.InvalidInput, match="is not a store"):
        connect.connect(uri)


def test_a_claim_that_is_deleted_while_it_waits_is_claimed_again(tmp_path: Path) -> None:
    @dataclass(frozen=True)
    class SlowController(Embedded):
        """Deletes the claim `waiting` in its second pass, and has not answered the one that replaces it yet."""

        passes: list[int] = field(default_factory=list)

        def run(self) -> None:
            self.passes.append(1)
            if len(self.passes) != 2:
                super().run()
                return
            claim = stored.claim(self.store, "ns/waiting")
            assert claim.is_waiting
            self.store.delete(claim)
            self.store.create(replace(claim, status=ClaimStatus()))

    with connect.connect(f"sqlite:///{tmp_path}/state.db") as client:
        client.set_policy(unlock="n=100")
        client.create_blocks([builders.block()])
        with pytest.raises(errors.DeadlineExceeded):
            BudgetClient(client.store, SlowController(client.store)).allocate(
                "ns", "waiting", builders.allocate(0.5), timeout_seconds=0.2
            )


def test_a_policy_without_its_numbers_is_refused_where_it_is_set_and_read_where_it_is_stored(tmp_path: Path) -> None:
    with connect.connect(f"sqlite:///{tmp_path}/state.db") as client:
        for text in ("t", "t=", "all="):
            with pytest.raises(errors.InvalidInput, match=f"^unlock: {text!r} leaves out its numbers; write all"):
                client.set_policy(unlock=text)
        client.store.set_setting("unlock", "t")
        assert client.policy().unlocking.period_ms == 10_000


def test_a_single_block_is_counted_as_one(tmp_path: Path) -> None:
    with connect.connect(f"sqlite:///{tmp_path}/state.db") as client:
        client.create_blocks([builders.block()])
        claim = client.allocate("ns", "c", builders.allocate(), timeout_seconds=5)
    assert "holds budget on 1 block" in [condition.message for condition in claim.status.conditions]
