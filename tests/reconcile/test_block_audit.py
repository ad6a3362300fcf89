"""A block whose parts do not add up to its initial budget is named by the audit, with the component or order."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from privatekube import errors
from privatekube.privacy.budget import EpsilonDelta, PrivacyBudget
from privatekube.reconcile import block_audit, ledger_audit
from privatekube.resources import transitions
from privatekube.resources.block import Lock, LockState, PrivateDataBlock
from privatekube.resources.request_id import RequestId
from privatekube.resources.requests import ConsumeRequest
from privatekube.store.sqlite.store import SqliteStore
from tests import builders
from tests.clock import FakeClock
from tests.reconcile.harness import Plane

TEN = EpsilonDelta(10.0, 1e-6)
CURVE = builders.curve(1.0, 2.0, 0.0)
LOCK = Lock(LockState.COMMITTING, acquired=EpsilonDelta(-990.0))


def changed(whole: PrivacyBudget, **parts: Any) -> PrivateDataBlock:
    """Return a block of whose budget nothing is locked, after somebody has written `parts` of its status."""
    block = transitions.unlock(transitions.initialize_status(builders.block("b", whole)), whole)
    return replace(block, status=replace(transitions.status_of(block), **parts))


@pytest.mark.parametrize(
    ("block", "fault"),
    [
        (
            changed(TEN, available=EpsilonDelta(1000.0, 1e-6)),
            "epsilon: its parts add up to 1000, its initial budget is 10",
        ),
        (changed(TEN, available=EpsilonDelta(10.0, 2e-6)), "delta: its parts add up to 2e-06"),
        (changed(TEN, available=EpsilonDelta(9.0, 1e-6)), "epsilon: its parts add up to 9"),
        (
            changed(TEN, available=EpsilonDelta(1000.0, 1e-6), pending=EpsilonDelta(-990.0)),
            "epsilon: pending is -990, which is below 0",
        ),
        (
            changed(TEN, available=EpsilonDelta(1000.0, 1e-6), acquired={"ns/c": EpsilonDelta(-990.0)}),
            "epsilon: what ns/c acquired is -990",
        ),
        (
            changed(TEN, available=EpsilonDelta(1000.0, 1e-6), committed={"ns/c": EpsilonDelta(-990.0)}),
            "epsilon: what ns/c committed is -990",
        ),
        (
            changed(TEN, available=EpsilonDelta(1000.0, 1e-6), locks={RequestId("ns/c", 1): LOCK}),
            "epsilon: the lock of ns/c/1 is -990",
        ),
        (changed(CURVE, available=builders.curve(1.0, 3.0, 0.0)), "order 3: its parts add up to 3"),
        (changed(CURVE, available=builders.curve(1.0, 2.0, 0.5)), "order 4: its parts add up to 0.5"),
        (changed(CURVE, available=TEN), "the budgets of its parts differ in their orders"),
    ],
)
def test_a_status_that_does_not_add_up_is_named_with_its_component(block: PrivateDataBlock, fault: str) -> None:
    with pytest.raises(errors.CorruptData) as raised:
        block_audit.require_invariant(block)
    assert str(raised.value).startswith(f"block ns/b: {fault}")


@pytest.mark.parametrize("whole", [TEN, CURVE])
def test_a_block_that_is_overdrawn_at_an_order_adds_up(whole: PrivacyBudget) -> None:
    block_audit.require_invariant(transitions.initialize_status(builders.block("b", whole), {"ns/c": whole * 1.5}))


def test_a_block_that_lost_an_order_adds_up_at_the_others() -> None:
    block_audit.require_invariant(changed(CURVE, available=builders.curve(1.0, 2.0)))


def test_the_audit_of_a_store_names_the_block_whose_available_part_was_raised(tmp_path: Path) -> None:
    plane = Plane(SqliteStore(tmp_path / "state.db", clock=FakeClock()))
    for name in "ab":
        plane.block(name, TEN)
    plane.ask("c", builders.allocate(0.1), ConsumeRequest({"ns/b": EpsilonDelta(0.1)}))
    assert ledger_audit.verify(plane.store).entries == 1
    block = plane.blocks()["ns/b"]
    status = replace(transitions.status_of(block), available=EpsilonDelta(1000.0, 1e-6))
    plane.store.update_status(replace(block, status=status))
    with pytest.raises(errors.CorruptData, match=r"block ns/b: epsilon: its parts add up to 1000\.1, its initial"):
        ledger_audit.verify(plane.store)
