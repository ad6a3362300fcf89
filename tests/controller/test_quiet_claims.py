"""What is told of a claim whose run has reported nothing for a while."""

from __future__ import annotations

import pytest

from privatekube.client.client import BudgetClient
from privatekube.controller.quiet_claims import QuietClaims
from privatekube.scheduling.policy import Policy
from privatekube.store.memory import MemoryStore
from tests import builders
from tests.clock import FakeClock

DAY_SECONDS = 86_400


@pytest.mark.parametrize(("settle_after_seconds", "quiet_seconds"), [(DAY_SECONDS, 900), (60, 30)])
def test_each_pause_of_a_claim_that_holds_budget_is_told_once(settle_after_seconds: int, quiet_seconds: int) -> None:
    clock = FakeClock()
    client, quiet = BudgetClient(MemoryStore(), clock=clock), QuietClaims()
    client.create_blocks([builders.block()])
    client.allocate("ns", "c", builders.allocate(0.5), timeout_seconds=5, settle_after_seconds=settle_after_seconds)

    def told() -> list[str]:
        claims = client.list_claims()
        return [event.message for _, event in quiet.events(claims, Policy.parse({}), now_ms=clock.now_ms())]

    clock.time_ms += 1000 * (quiet_seconds - 1)
    assert told() == []
    clock.time_ms += 1000
    (message,) = told()
    assert "a pod of its run may not start" in message
    assert told() == []
    client.mark_opened("ns/c")
    assert told() == []
    clock.time_ms += 1000 * quiet_seconds
    assert len(told()) == 1
    client.consume("ns/c")
    clock.time_ms += 1000 * DAY_SECONDS
    assert told() == []
