"""Clocks that are wrong, and are set: nothing happens early, and nothing is lost."""

from __future__ import annotations

from dataclasses import replace

import pytest

from privatekube.privacy.budget import EpsilonDelta
from privatekube.resources.claim import SettleAfter
from privatekube.resources.refusals import RefusalReason
from tests import builders
from tests.reconcile.harness import Plane

IN_2026, IN_2036, IN_1970 = 1_790_000_000_000, 2_100_000_000_000, 1000
HOUR_MS = 3_600_000


def ask(plane: Plane, name: str, epsilon: float, settle_after: SettleAfter | None = None) -> None:
    claim = plane.claim_of(name, builders.allocate(epsilon, timeout_ms=10_000))
    plane.store.create(replace(claim, spec=replace(claim.spec, settle_after=settle_after)))
    plane.run()


def advance(plane: Plane, to_ms: int) -> None:
    plane.clock.time_ms = to_ms
    plane.run()


@pytest.mark.parametrize("wrong_ms", [IN_2036, IN_2026 + 5 * HOUR_MS])
def test_a_request_that_began_to_wait_by_a_wrong_clock_times_out_once_it_is_set(plane: Plane, wrong_ms: int) -> None:
    plane.clock.time_ms = wrong_ms
    plane.block("b")
    ask(plane, "c", 2.0)
    advance(plane, IN_2026)
    assert plane.states("c") == ["pending"]
    advance(plane, IN_2026 + 9_999)
    assert plane.states("c") == ["pending"]
    advance(plane, IN_2026 + 10_000)
    refusal = plane.claim("c").status.responses[0].refusal
    assert refusal is not None
    assert refusal.reason is RefusalReason.TIMED_OUT


def test_a_request_survives_a_clock_that_was_set_back(plane: Plane) -> None:
    plane.clock.time_ms = IN_2026
    plane.block("b")
    ask(plane, "c", 2.0)
    advance(plane, IN_1970)
    assert plane.states("c") == ["pending"]
    advance(plane, IN_1970 + 10_000)
    assert plane.states("c") == ["failure"]


def test_a_claim_that_was_granted_by_a_wrong_clock_is_settled_in_time(plane: Plane) -> None:
    plane.settle_within_ms = 20_000
    plane.clock.time_ms = IN_2036
    plane.block("b")
    ask(plane, "c", 0.5)
    advance(plane, IN_2026)
    advance(plane, IN_2026 + 19_999)
    assert plane.claim("c").status.acquired
    advance(plane, IN_2026 + 20_000)
    assert not plane.claim("c").status.acquired
    plane.require_sound()


def test_time_goes_on_to_unlock_after_a_wrong_clock_was_set(plane: Plane) -> None:
    plane.unlock = "t=1s,10s"
    plane.clock.time_ms = IN_2026
    plane.block("b", EpsilonDelta(10.0))
    advance(plane, IN_2026 + 1000)
    assert plane.status("b").available.values[0] == pytest.approx(1.0)
    block = plane.blocks()["ns/b"]
    status = replace(plane.status("b"), last_release_ms=IN_2036)
    plane.store.update_status(replace(block, status=status))
    for passed_ms, available in ((2000, 1.0), (3000, 2.125), (11_000, 10.0)):
        advance(plane, IN_2026 + passed_ms)
        assert plane.status("b").available.values[0] == pytest.approx(available)


def test_a_block_that_was_created_by_a_wrong_clock_unlocks(plane: Plane) -> None:
    plane.unlock = "t=1s,10s"
    plane.clock.time_ms = IN_2036
    plane.block("b", EpsilonDelta(10.0))
    for passed_ms in range(0, 60_000, 1000):
        advance(plane, IN_2026 + passed_ms)
    assert plane.status("b").available.values[0] > 9.0


@pytest.mark.parametrize("behind_ms", [HOUR_MS, IN_2026 - IN_1970])
def test_a_client_whose_clock_is_behind_is_not_settled_early(plane: Plane, behind_ms: int) -> None:
    plane.clock.time_ms = IN_2026
    plane.block("b")
    ask(plane, "c", 0.5, SettleAfter.from_now(60, now_ms=IN_2026 - behind_ms))
    advance(plane, IN_2026 + 59_999)
    assert plane.claim("c").status.acquired
    advance(plane, IN_2026 + 60_000)
    assert not plane.claim("c").status.acquired


def test_a_client_whose_clock_is_ahead_is_settled_within_the_time_of_the_policy(plane: Plane) -> None:
    plane.settle_within_ms = 120_000
    plane.clock.time_ms = IN_2026
    plane.block("b")
    ask(plane, "c", 0.5, SettleAfter.from_now(60, now_ms=IN_2036))
    advance(plane, IN_2026 + 119_999)
    assert plane.claim("c").status.acquired
    advance(plane, IN_2026 + 120_000)
    assert not plane.claim("c").status.acquired
