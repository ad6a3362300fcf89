"""How the changes of a pass are written: barriers hold, unrelated writes of others are tolerated, some changes wait."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest

from privatekube import errors
from privatekube.privacy.budget import EpsilonDelta
from privatekube.reconcile import apply
from privatekube.resources.requests import ConsumeRequest
from privatekube.store.base import R, V
from privatekube.store.memory import MemoryStore
from tests import builders
from tests.clock import FakeClock
from tests.reconcile import test_recovery
from tests.reconcile.harness import Plane

HALF = EpsilonDelta(0.5)


class BackwardStore(MemoryStore):
    """A store that makes concurrent writes in the opposite order."""

    def concurrently(self, calls: Sequence[Callable[[], V]]) -> list[V]:
        """Run the calls, the last one first."""
        return [call() for call in reversed(calls)][::-1]


class RacingStore(MemoryStore):
    """A store in which another process writes just before the first write of a status."""

    race: Callable[[], object] | None = None

    def update_status(self, resource: R) -> R:
        """Let the other process write first, once."""
        if self.race is not None:
            race, self.race = self.race, None
            race()
        return super().update_status(resource)


@pytest.fixture
def racing() -> Plane:
    """A block, and a granted claim that asks to consume, on a store with a race."""
    clock = FakeClock()
    plane = Plane(RacingStore(clock), clock=clock)
    plane.block("b")
    plane.ask("c", builders.allocate(0.5))
    plane.append("c", ConsumeRequest({"ns/b": HALF}))
    return plane


def race(plane: Plane, write: Callable[[], object]) -> None:
    assert isinstance(plane.store, RacingStore)
    plane.store.race = write


def test_changes_without_a_barrier_in_between_may_be_written_in_any_order() -> None:
    forward, _ = test_recovery.run_through("n=3", crash=None)
    backward, _ = test_recovery.run_through("n=3", crash=None, empty=BackwardStore)
    assert forward == backward


def test_a_label_that_another_process_changes_does_not_stop_the_write(racing: Plane) -> None:
    def label() -> None:
        block = racing.blocks()["ns/b"]
        racing.store.update(replace(block, meta=replace(block.meta, labels={"a": "b"})))

    race(racing, label)
    racing.write(racing.decide())
    assert racing.status("b").committed == {"ns/c": HALF}
    assert racing.blocks()["ns/b"].meta.labels == {"a": "b"}


def test_a_request_that_arrives_meanwhile_is_answered_in_the_next_pass(racing: Plane) -> None:
    race(racing, lambda: racing.append("c", ConsumeRequest({"ns/x": HALF})))
    racing.write(racing.decide())
    assert racing.states("c") == ["success", "success"]
    racing.run()
    assert racing.states("c") == ["success", "success", "success"]


def test_a_pass_says_that_a_request_arrived_meanwhile_since_no_watch_will(racing: Plane) -> None:
    race(racing, lambda: racing.append("c", ConsumeRequest({"ns/x": HALF})))
    assert racing.run().has_more
    assert not racing.run().has_more


def test_data_that_is_opened_meanwhile_makes_the_decision_invalid(racing: Plane) -> None:
    race(racing, lambda: racing.open_data("c"))
    with pytest.raises(errors.Conflict, match="ns/c: another writer changed it meanwhile"):
        racing.write(racing.decide())
    racing.require_sound()


def test_completions_may_wait_and_are_said_to_be_left(plane: Plane) -> None:
    plane.block("b")
    plane.store.create(builders.claim("c", builders.allocate(0.5)))
    assert apply.apply(plane.store, plane.world(), plane.decide(), completely=False).has_unwritten
    assert plane.status("b").locks
    assert not apply.apply(plane.store, plane.world(), plane.decide()).has_unwritten
    plane.require_settled()
