"""One bad object stops nothing but itself: it is set aside, and everything else is decided in the same pass."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from privatekube import errors
from privatekube.engine import allocate_requests, consume_release, overdue_claims, recovery, unlocking
from privatekube.engine.draft import Draft
from privatekube.privacy.budget import EpsilonDelta
from privatekube.reconcile import reconcile
from privatekube.resources import refusals, transitions
from privatekube.resources.block import PrivateDataBlock
from privatekube.resources.claim import PrivacyBudgetClaim, SettleAfter
from privatekube.resources.requests import ConsumeRequest, ReleaseRequest
from privatekube.scheduling import cycle
from privatekube.scheduling.policy import Policy
from privatekube.scheduling.snapshot import GrantDecision, Snapshot
from privatekube.store.base import R, ResourceStore
from privatekube.store.memory import MemoryStore
from privatekube.store.sqlite.store import SqliteStore
from tests import builders
from tests.clock import FakeClock
from tests.reconcile.crashing import CrashError, CrashingStore
from tests.reconcile.harness import Plane

TENTH = EpsilonDelta(0.1)
Patch = pytest.MonkeyPatch


def fail_on_the_bad_claim(patch: Patch, module: Any, name: str, *, late: bool = False) -> None:
    """Have a step of a pass fail on the claim `bad`, at once or after it has changed what it changes."""
    step = getattr(module, name)

    def mutant(draft: Draft, *given: Any, **named: Any) -> Any:
        claims = [item.id for item in given if isinstance(item, PrivacyBudgetClaim)]
        claims += [item.claim for item in given if hasattr(item, "claim")]
        is_bad = "ns/bad" in claims
        if is_bad and not late:
            raise ZeroDivisionError("a defect")
        result = step(draft, *given, **named)
        if is_bad:
            raise ZeroDivisionError("a defect")
        return result

    patch.setattr(module, name, mutant)


def pay(name: str) -> tuple[Any, ...]:
    return builders.allocate(0.1), ConsumeRequest({"ns/b": TENTH})


@pytest.mark.parametrize("late", [False, True])
@pytest.mark.parametrize(
    ("module", "name"),
    [
        (allocate_requests, "accept"),
        (allocate_requests, "_acquire"),
        (allocate_requests, "_scheduled"),
        (consume_release, "consume"),
    ],
)
def test_a_fault_in_deciding_one_claim_is_of_that_claim(
    plane: Plane, monkeypatch: Patch, module: Any, name: str, late: bool
) -> None:
    plane.block("b")
    fail_on_the_bad_claim(monkeypatch, module, name, late=late)
    for claim in ("first", "bad", "last"):
        plane.store.create(plane.claim_of(claim, *pay(claim)))
    done = plane.run()
    assert plane.states("first") == plane.states("last") == ["success", "success"]
    assert [note.name for note in done.set_aside] == [errors.ResourceName(errors.ResourceKind.CLAIM, "ns/bad")]
    assert len(plane.states("bad")) < 2
    assert not plane.status("b").locks.keys() & {plane.claim("bad").request_id(1)}
    plane.require_sound()
    monkeypatch.undo()
    plane.run()
    assert plane.states("bad") == ["success", "success"]
    plane.require_settled()


@pytest.mark.parametrize(
    ("module", "name"), [(overdue_claims, "_settle"), (allocate_requests, "fail"), (recovery, "_resolve_lock")]
)
def test_a_fault_in_ending_one_claim_is_of_that_claim(plane: Plane, monkeypatch: Patch, module: Any, name: str) -> None:
    plane.block("b")
    for claim in ("bad", "good"):
        held = plane.claim_of(claim, builders.allocate(0.1))
        plane.store.create(replace(held, spec=replace(held.spec, settle_after=SettleAfter(1, 5000))))
        plane.store.create(plane.claim_of(f"{claim}-waits" if claim == "good" else "x", builders.allocate(2.0)))
    plane.run()
    plane.store.delete(plane.claim("x"))
    waiting = plane.claim_of("w", builders.allocate(3.0))
    plane.store.create(waiting)
    plane.run()
    fail_on_the_bad_claim(monkeypatch, module, name)
    plane.clock.time_ms = 20_000
    plane.run()
    assert not plane.claim("good").holds_budget
    assert plane.states("good-waits") == plane.states("w") == ["failure"]
    monkeypatch.undo()
    plane.run()
    assert not plane.claim("bad").holds_budget
    plane.require_settled()


def test_a_request_on_which_a_decision_fails_does_not_keep_others_from_a_grant(
    plane: Plane, monkeypatch: Patch
) -> None:
    plane.block("b")
    for claim in ("first", "bad", "last"):
        plane.store.create(plane.claim_of(claim, builders.allocate(0.1)))
    decide = cycle.decide

    def mutant(snapshot: Snapshot, policy: Policy) -> tuple[GrantDecision, ...]:
        if any(request.id.claim == "ns/bad" for request in snapshot.waiting):
            raise OverflowError("int too big to convert")
        return decide(snapshot, policy)

    monkeypatch.setattr(cycle, "decide", mutant)
    done = plane.run()
    assert plane.states("first") == plane.states("last") == ["success"]
    assert [note.name.id for note in done.set_aside] == ["ns/bad"]


def test_it_is_logged_once_with_its_trace(plane: Plane, monkeypatch: Patch, caplog: pytest.LogCaptureFixture) -> None:
    plane.block("b")
    fail_on_the_bad_claim(monkeypatch, consume_release, "consume")
    plane.store.create(plane.claim_of("bad", *pay("bad")))
    with caplog.at_level(logging.ERROR):
        plane.run()
    (record,) = caplog.records
    assert record.__dict__["claim"] == "ns/bad"
    assert record.exc_info is not None
    assert record.exc_info[0] is ZeroDivisionError
    assert record.exc_info[2] is not None


def unbalance(plane: Plane, name: str) -> None:
    """Take budget away from a block, as nobody should."""
    block = plane.blocks()[f"ns/{name}"]
    status = transitions.status_of(block)
    plane.store.update_status(replace(block, status=replace(status, pending=status.pending * 0.5, available=TENTH)))


def test_a_block_that_does_not_add_up_stops_only_the_claims_on_it(plane: Plane) -> None:
    plane.unlock = "n=10"
    for name in ("a", "b"):
        plane.store.create(builders.block(name, dataset=name))
    plane.run()
    unbalance(plane, "a")
    plane.store.create(builders.claim("stuck", builders.allocate(0.05, dataset="a")))
    plane.store.create(builders.claim("free", builders.allocate(0.05, dataset="b")))
    before = plane.blocks()["ns/a"]
    done = plane.run()
    assert [note.name for note in done.set_aside] == [errors.ResourceName(errors.ResourceKind.BLOCK, "ns/a")]
    assert plane.states("free") == ["success"]
    assert plane.states("stuck") == []
    assert plane.blocks()["ns/a"] == before


def test_a_block_on_which_unlocking_fails_is_set_aside(plane: Plane, monkeypatch: Patch) -> None:
    plane.unlock = "t=1s,10s"
    for name in ("a", "b"):
        plane.store.create(builders.block(name))
    plane.run()
    by_period = unlocking.by_period

    def mutant(block: PrivateDataBlock, *given: Any, **named: Any) -> PrivateDataBlock:
        if block.id == "ns/a":
            raise OverflowError("cannot convert float infinity to integer")
        return by_period(block, *given, **named)

    monkeypatch.setattr(unlocking, "by_period", mutant)
    plane.clock.time_ms += 5000
    done = plane.run()
    assert [note.name for note in done.set_aside] == [errors.ResourceName(errors.ResourceKind.BLOCK, "ns/a")]
    assert plane.status("b").available.values[0] > 0


class RefusingMemory(MemoryStore):
    """A store in memory that refuses to write the status of one object."""

    refused = ""

    def update_status(self, resource: R) -> R:
        """Refuse the object."""
        require_accepted(self.refused, resource)
        return super().update_status(resource)


class RefusingSqlite(SqliteStore):
    """A SQLite store that refuses to write the status of one object."""

    refused = ""

    def update_status(self, resource: R) -> R:
        """Refuse the object."""
        require_accepted(self.refused, resource)
        return super().update_status(resource)


def require_accepted(refused: str, resource: Any) -> None:
    if resource.id == refused:
        raise errors.InvalidInput(f"{refused}: Request entity too large: limit is 3145728")


@pytest.fixture(params=["memory", "sqlite"])
def refusing(request: pytest.FixtureRequest) -> Plane:
    """Return a control plane whose store refuses what `plane.store.refused` names."""
    clock = FakeClock()
    stores: dict[str, Callable[[], ResourceStore]] = {
        "memory": lambda: RefusingMemory(clock),
        "sqlite": lambda: RefusingSqlite(Path(":memory:"), clock=clock),
    }
    return Plane(stores[request.param](), clock=clock)


def refuse(plane: Plane, refused: str) -> None:
    assert isinstance(plane.store, RefusingMemory | RefusingSqlite)
    plane.store.refused = refused


def test_a_claim_that_cannot_be_written_is_left_out_and_the_others_are_answered_in_the_same_pass(
    refusing: Plane,
) -> None:
    refusing.block("b")
    for claim in ("first", "bad", "last"):
        refusing.store.create(refusing.claim_of(claim, *pay(claim)))
    refuse(refusing, "ns/bad")
    done = refusing.run()
    assert refusing.states("first") == refusing.states("last") == ["success", "success"]
    assert [note.name.id for note in done.set_aside] == ["ns/bad"]
    assert "too large" in str(done.set_aside[0].error)
    refusing.require_sound()
    refuse(refusing, "")
    refusing.run()
    assert refusing.states("bad") == ["success", "success"]
    refusing.require_settled()


REFUSALS = ("nothing", "the grant", "every status", "every write")


def refuse_of_padded(plane: Plane, patch: Patch, refused: str) -> None:
    """Have the store refuse what the claim `padded` has, as an API server does what is too large."""
    store = type(plane.store)
    write, write_rest = store.update_status, store.update

    def update_status(self: Any, resource: Any) -> Any:
        if resource.id == "ns/padded" and (REFUSALS.index(refused) > 1 or resource.status.acquired):
            raise errors.InvalidInput("ns/padded: Request entity too large: limit is 3145728")
        return write(self, resource)

    def update(self: Any, resource: Any) -> Any:
        if resource.id == "ns/padded" and refused == "every write":
            raise errors.InvalidInput("ns/padded: Request entity too large: limit is 3145728")
        return write_rest(self, resource)

    patch.setattr(store, "update", update)
    patch.setattr(store, "update_status", update_status)


@pytest.mark.parametrize("waits_first", [False, True])
def test_what_is_locked_for_a_grant_that_cannot_be_answered_is_given_back(
    plane: Plane, monkeypatch: Patch, waits_first: bool
) -> None:
    plane.block("b")
    if waits_first:
        plane.ask("other", builders.allocate(0.5))
    plane.store.create(plane.claim_of("padded", builders.allocate(0.75)))
    if waits_first:
        plane.run()
        plane.append("other", ReleaseRequest({"ns/b": EpsilonDelta(0.5)}))
    refuse_of_padded(plane, monkeypatch, "the grant")
    done = plane.run()
    assert [note.name.id for note in done.set_aside] == ["ns/padded"]
    assert "too large" in str(done.set_aside[0].error)
    assert plane.claim("padded").status.responses[0].refusal == refusals.UNWRITABLE
    assert not plane.status("b").locks
    plane.require_settled()
    plane.store.delete(plane.claim("padded"))
    plane.ask("honest", builders.allocate(1.0))
    assert plane.states("honest") == ["success"]
    assert not plane.store.ledger()


def test_what_is_locked_for_a_claim_that_cannot_be_answered_at_all_is_given_back_and_unlocks_once(
    refusing: Plane,
) -> None:
    refusing.unlock = "n=2"
    refusing.block("b")
    refuse(refusing, "ns/bad")
    refusing.store = CrashingStore(refusing.store)  # as on an API server, a pass that fails is not taken back
    refusing.store.create(refusing.claim_of("bad", builders.allocate(0.5)))
    for _ in range(3):
        assert [note.name.id for note in refusing.run().set_aside] == ["ns/bad"]
        assert refusing.status("b").available.values[0] == 0.5
        assert not transitions.unfinished_locks(refusing.blocks()["ns/b"])
    refusing.store.delete(refusing.claim("bad"))
    refusing.ask("honest", builders.allocate(0.5))
    assert refusing.states("honest") == ["success"]
    refusing.require_settled()


@pytest.mark.parametrize("refused", REFUSALS)
def test_nothing_that_may_be_granted_is_given_back_wherever_the_process_dies(monkeypatch: Patch, refused: str) -> None:
    """What a claim that was granted holds stays charged, and nothing else does."""
    for write in range(1, 10):
        for after in (False, True):
            with monkeypatch.context() as patch:
                require_charged_after_crash(patch, write, after=after, refused=refused)


def require_charged_after_crash(patch: Patch, write: int, *, after: bool, refused: str) -> None:
    plane = Plane(MemoryStore(FakeClock()))
    for name in "ab":
        plane.block(name)
    plane.store.create(plane.claim_of("padded", builders.allocate(0.75)))
    if refused != "nothing":
        refuse_of_padded(plane, patch, refused)
    whole, dying = plane.store, CrashingStore(plane.store)
    dying.arm(write, after=after)
    plane.store = dying
    with contextlib.suppress(CrashError):
        plane.run()
    plane.store = CrashingStore(whole)  # as on an API server, a pass that fails is not taken back
    plane.require_sound()
    is_granted = bool(plane.claim("padded").status.acquired)
    plane.run()
    plane.require_sound()
    assert bool(plane.claim("padded").status.acquired) == (refused == "nothing") >= is_granted
    plane.store.delete(plane.claim("padded"))
    plane.run()
    plane.require_settled()
    for name in "ab":
        left = plane.status(name).available
        is_charged = refused in {"nothing", "every write"}  # in the latter case it may be answered by a late write
        assert left.values[0] == pytest.approx(0.25 if is_charged else 1.0), (write, after)


def test_an_answer_that_is_still_on_its_way_is_refused_once_its_locks_are_undone(plane: Plane) -> None:
    plane.block("b")
    plane.store.create(plane.claim_of("bad", builders.allocate(0.75)))
    late: list[PrivacyBudgetClaim] = []

    class Stalling(CrashingStore):
        """Keeps the answers of the claim on their way, and refuses them."""

        def update_status(self, resource: Any) -> Any:
            if resource.id != "ns/bad":
                return self._store.update_status(resource)
            late.append(resource)
            raise errors.InvalidInput("ns/bad: the request was declined")

    whole = plane.store
    plane.store = Stalling(whole)
    plane.run()
    plane.store = whole
    assert not transitions.unfinished_locks(plane.blocks()["ns/b"])
    assert any(claim.status.acquired for claim in late)
    for claim in late:
        with pytest.raises(errors.Conflict):
            plane.store.update_status(claim)


def test_claims_that_wait_for_a_block_that_cannot_be_written_time_out(refusing: Plane) -> None:
    for name in ("a", "b"):
        refusing.store.create(builders.block(name, dataset=name))
    refusing.run()
    refusing.ask("waits", builders.allocate(2.0, dataset="a"))
    refuse(refusing, "ns/a")
    refusing.store.create(refusing.claim_of("new", builders.allocate(0.1, dataset="a")))
    refusing.store.create(refusing.claim_of("free", builders.allocate(0.1, dataset="b")))
    refusing.clock.time_ms += 6000
    done = refusing.run()
    assert [note.name.id for note in done.set_aside] == ["ns/a"]
    assert refusing.states("free") == ["success"]
    assert refusing.states("new") == []
    assert refusing.states("waits") == ["failure"]
    assert refusing.claim("waits").status.responses[0].refusal == refusals.TIMED_OUT
    refuse(refusing, "")
    refusing.run()
    assert refusing.states("new") == ["success"]
    refusing.require_settled()


def test_a_store_that_refuses_everything_ends_the_pass_and_names_what_it_refused(
    refusing: Plane, monkeypatch: Patch
) -> None:
    for number in range(34):
        refusing.store.create(builders.block(f"b{number}"))
    monkeypatch.setattr(
        type(refusing.store), "update_status", lambda _self, resource: require_accepted(resource.id, resource)
    )
    assert len(refusing.run().set_aside) == 34
    monkeypatch.setattr(reconcile, "MOST_ATTEMPTS", 1)
    done = refusing.run()
    assert done.has_more
    assert len(done.set_aside) == 34


def test_a_block_that_is_deleted_before_it_was_admitted_goes(plane: Plane) -> None:
    block = builders.block("b")
    marked = replace(block.meta, other={"deletionTimestamp": "2026-01-01T00:00:00Z"})
    plane.store.create(replace(block, meta=marked))
    assert not plane.run().set_aside
    assert not plane.store.list_blocks()
