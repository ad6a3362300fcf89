"""What a refused answer leaves: no late answer, no second unlocking, and nothing in the way of other claims."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Any

import pytest

from privatekube import errors
from privatekube.engine.changes import Answer
from privatekube.reconcile import apply, read_world, reconcile
from privatekube.resources import transitions
from privatekube.resources.claim import PrivacyBudgetClaim, SettleAfter
from privatekube.store.base import ResourceStore
from privatekube.store.memory import MemoryStore
from tests import builders
from tests.clock import FakeClock
from tests.reconcile.crashing import CrashingStore
from tests.reconcile.harness import Plane


class RefusingStore(CrashingStore):
    """Refuses statuses of claims whose name begins with `bad`, without transactions, as an API server."""

    def __init__(self, store: ResourceStore, *, only_grants: bool = False) -> None:
        super().__init__(store)
        self._only_grants = only_grants

    def update_status(self, resource: Any) -> Any:
        """Refuse the status of a bad claim, or only a grant; write every other one."""
        is_refused = resource.meta.name.startswith("bad") and (resource.status.acquired or not self._only_grants)
        if isinstance(resource, PrivacyBudgetClaim) and is_refused:
            raise errors.InvalidInput(f"{resource.id}: Request entity too large: limit is 3145728")
        return self._store.update_status(resource)


class RacingClaimant(CrashingStore):
    """Lets the claim `c` become overdue just before it is answered for the first time, as its author may."""

    is_done = False

    def update_status(self, resource: Any) -> Any:
        """Change the claim's time to settle, once; then write."""
        if resource.id == "ns/c" and not self.is_done:
            self.is_done = True
            settle_at(self._store, SettleAfter(1, 1))
        return self._store.update_status(resource)


def settle_at(store: ResourceStore, settle_after: SettleAfter) -> None:
    claim = store.get_claim("ns/c")
    assert claim is not None
    store.update(replace(claim, spec=replace(claim.spec, settle_after=settle_after)))


@pytest.fixture
def memory() -> Plane:
    clock = FakeClock()
    return Plane(MemoryStore(clock), clock=clock)


def test_an_answer_that_is_repeated_after_a_conflict_does_not_grant_what_was_given_back(memory: Plane) -> None:
    """A writer that was slow meets a conflict, and repeats its write on the current claim unless that changed."""
    memory.block("b")
    whole = memory.store
    whole.create(memory.claim_of("bad", builders.allocate(0.75)))
    world, decided = memory.world(), memory.decide()
    memory.store = RefusingStore(whole)
    memory.run()
    assert not transitions.unfinished_locks(memory.blocks()["ns/b"])
    with pytest.raises(errors.Conflict):
        apply.apply(whole, world, [change for change in decided if isinstance(change, Answer)])
    assert not memory.claim("bad").status.acquired
    assert memory.status("b").available.values[0] == 1.0


def test_a_claim_whose_grants_are_refused_unlocks_once(memory: Plane) -> None:
    memory.unlock = "n=4"
    memory.block("b")
    memory.store = RefusingStore(memory.store, only_grants=True)
    memory.store.create(memory.claim_of("bad", builders.allocate(0.25)))
    for _ in range(3):
        memory.run()
        memory.append("bad", builders.allocate(0.25))
    assert memory.states("bad")[0] == "failure"
    assert memory.status("b").available.values[0] == 0.25


def test_a_claim_that_becomes_overdue_between_its_locks_and_its_answer_unlocks_once(memory: Plane) -> None:
    memory.unlock = "n=4"
    memory.block("b")
    whole = memory.store
    whole.create(memory.claim_of("c", builders.allocate(0.5)))
    memory.clock.time_ms += 10_000
    for _ in range(3):
        memory.store = RacingClaimant(whole)
        memory.run()
        settle_at(whole, SettleAfter(1000, memory.clock.time_ms + 1_000_000))
        memory.append("c", builders.allocate(0.5))
    assert memory.states("c")[0] == "failure"
    assert memory.status("b").available.values[0] == 0.25


@pytest.mark.parametrize("is_overdue", [False, True])
def test_however_many_claims_cannot_be_answered_a_pass_starts_again_twice(
    memory: Plane, monkeypatch: pytest.MonkeyPatch, is_overdue: bool
) -> None:
    memory.block("b")
    whole, reads = memory.store, itertools.count()
    for number in range(40):
        whole.create(memory.claim_of(f"bad-{number}", builders.allocate(0.01)))
    if is_overdue:
        memory.run()
        memory.clock.time_ms += memory.settle_within_ms
    read = read_world.read
    monkeypatch.setattr(read_world, "read", lambda *given, **named: (next(reads), read(*given, **named))[1])
    memory.store = RefusingStore(whole)
    whole.create(memory.claim_of("honest", builders.allocate(0.25)))
    done = memory.run()
    assert next(reads) <= 3
    assert len(done.set_aside) == 40
    assert memory.states("honest") == ["success"]
    memory.require_sound()


def test_claims_that_cannot_be_answered_are_named_where_a_pass_does_not_get_to_its_end(
    memory: Plane, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next one leaves them out; otherwise it would begin with them again."""
    memory.block("b")
    memory.store.create(memory.claim_of("bad", builders.allocate(0.01)))
    memory.store = RefusingStore(memory.store)
    monkeypatch.setattr(reconcile, "MOST_ATTEMPTS", 1)
    done = memory.run()
    assert done.has_more
    assert [note.name.id for note in done.set_aside] == ["ns/bad"]
