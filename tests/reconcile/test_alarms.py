"""A block is nearly exhausted from a threshold on, and each threshold is told once, whoever runs the passes."""

from __future__ import annotations

from dataclasses import replace

import pytest

from privatekube.controller import status_events
from privatekube.privacy.budget import EpsilonDelta, PrivacyBudget, RenyiCurve
from privatekube.reconcile import reconcile
from privatekube.resources import conditions, summary
from privatekube.resources.block import PrivateDataBlock
from privatekube.resources.requests import ConsumeRequest
from privatekube.resources.thresholds import Thresholds
from privatekube.store.memory import MemoryStore
from tests import builders
from tests.reconcile.harness import Plane

WHOLE = pytest.mark.parametrize("whole", [EpsilonDelta(10.0, 1e-6), RenyiCurve((2, 4), (10.0, 30.0))])


def pay(plane: Plane, name: str, amount: PrivacyBudget) -> list[str]:
    """Commit an amount; return the messages of the Events of nearly exhausted blocks."""
    before = plane.blocks()["ns/b"]
    plane.ask(name, builders.allocate(demand=amount), ConsumeRequest({"ns/b": amount}))
    assert plane.states(name) == ["success", "success"]
    return told(before, plane.blocks()["ns/b"])


def settle(plane: Plane, name: str, amount: PrivacyBudget) -> None:
    plane.append(name, ConsumeRequest({"ns/b": amount}))
    plane.run()


def told(before: PrivateDataBlock | None, after: PrivateDataBlock) -> list[str]:
    events = status_events.between(before, after)
    return [event.message for event in events if event.reason == status_events.NEARLY_EXHAUSTED]


def is_nearly_exhausted(plane: Plane) -> bool:
    condition = conditions.of_type(plane.blocks()["ns/b"], conditions.NEARLY_EXHAUSTED)
    return condition is not None and condition.status


@WHOLE
def test_each_threshold_is_told_once_when_it_is_committed_and_not_when_it_is_held(whole: PrivacyBudget) -> None:
    plane = Plane(MemoryStore())
    assert told(None, plane.block("b", whole)) == []
    assert pay(plane, "c0", whole * 0.5) == []
    held = plane.blocks()["ns/b"]
    plane.ask("holder", builders.allocate(demand=whole * 0.3))
    assert told(held, plane.blocks()["ns/b"]) == []
    assert not is_nearly_exhausted(plane)
    before = held
    plane.ask("c1", builders.allocate(demand=whole * 0.1))
    settle(plane, "holder", whole * 0.3)
    assert told(before, plane.blocks()["ns/b"]) == ["at least 80% of its budget is committed"]
    assert is_nearly_exhausted(plane)
    restarted = Plane(plane.store, clock=plane.clock)
    assert pay(restarted, "c2", whole * 0.05) == []
    before = restarted.blocks()["ns/b"]
    settle(restarted, "c1", whole * 0.1)
    assert told(before, restarted.blocks()["ns/b"]) == ["at least 95% of its budget is committed"]
    assert summary.alarm(restarted.blocks()["ns/b"]) == "at least 95% of its budget is committed"


def test_a_commit_beyond_several_thresholds_is_told_as_the_highest_and_other_thresholds_hold_from_the_next() -> None:
    plane = Plane(MemoryStore(), alarms=Thresholds((30, 60)))
    plane.block("b", EpsilonDelta(1.0))
    assert pay(plane, "c0", EpsilonDelta(0.65)) == ["at least 60% of its budget is committed"]
    plane = Plane(plane.store, clock=plane.clock, alarms=Thresholds((90,)))
    assert pay(plane, "c1", EpsilonDelta(0.1)) == []
    assert not is_nearly_exhausted(plane)
    assert pay(plane, "c2", EpsilonDelta(0.2)) == ["at least 90% of its budget is committed"]


def test_a_request_that_is_withdrawn_changes_no_alarm() -> None:
    plane = Plane(MemoryStore(), alarms=Thresholds((50,)))
    plane.block("b", EpsilonDelta(1.0))
    pay(plane, "c0", EpsilonDelta(0.6))
    plane.ask("waits", builders.allocate(0.9))
    before = plane.blocks()["ns/b"]
    reconcile.withdraw(plane.store, "ns/waits", now_ms=plane.clock.now_ms())
    assert told(before, plane.blocks()["ns/b"]) == []
    assert is_nearly_exhausted(plane)


def test_a_block_without_a_status_has_no_alarm() -> None:
    assert summary.alarm(builders.block("b")) == ""
    assert told(replace(builders.block("b"), status=None), builders.block("b")) == []
