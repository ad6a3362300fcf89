"""Crashes between any two writes, and random walks, on a real API server."""

from __future__ import annotations

from typing import Any, ClassVar

import pytest
from hypothesis.stateful import run_state_machine_as_test

from privatekube.store.base import ResourceStore
from privatekube.store.clock import SYSTEM, Clock
from tests.clock import FakeClock
from tests.examples import chosen
from tests.kubernetes import controller_stores, stores
from tests.kubernetes.apiserver import ApiServer
from tests.reconcile import test_machine, test_overdue_claims, test_recovery
from tests.reconcile.harness import Plane
from tests.reconcile.test_machine import Machine

pytestmark = pytest.mark.kubernetes
CRASHES, ALL = 12, 10**6
"""Places at which the process dies at least in `make test`, spread evenly over the scenario, and in `make nightly`.

`reconcile` tries all of them on the other stores.
"""


class OnCluster(Machine):
    """The state machine with the store of a controller, on an API server that is cleared before each walk."""

    server: ClassVar[ApiServer]

    def opened(self) -> ResourceStore:
        """Return the store of a controller on the cleared API server."""
        stores.clear(self.server)
        store, _, _ = controller_stores.open_leading(self.server, 1, user="admin", clock=self.clock)
        return store


def test_random_walks_keep_every_budget(apiserver: ApiServer) -> None:
    OnCluster.server = apiserver
    run_state_machine_as_test(OnCluster, settings=test_machine.walks(examples=4, steps=20))


def without_requester(result: Any) -> list[Any]:
    """Return the specs and statuses without the user, whom an API server adds to a claim."""
    return [({key: value for key, value in spec.items() if key != "requestedBy"}, status) for spec, status in result]


@pytest.mark.timeout(1200)
def test_the_outcome_is_the_same_wherever_the_process_dies(apiserver: ApiServer) -> None:
    def empty(clock: Clock) -> ResourceStore:
        return stores.open_empty(apiserver, clock)

    time_ms = SYSTEM.now_ms() + 3_600_000
    expected, parts = test_recovery.run_through("n=3", crash=None, empty=empty, time_ms=time_ms)
    assert without_requester(expected) == test_recovery.run_through("n=3", crash=None, time_ms=time_ms)[0]
    places = [(step, part) for step, count in enumerate(parts) for part in range(count)]
    for step, part in places[:: max(1, len(places) // chosen(quick=CRASHES, nightly=ALL))]:
        result, _ = test_recovery.run_through("n=3", crash=(step, part), empty=empty, time_ms=time_ms)
        assert result == expected, f"step {step}, part {part}"


@pytest.mark.parametrize("opened", [False, True])
@pytest.mark.parametrize("write", range(1, 8))
@pytest.mark.parametrize("after", [False, True])
def test_settling_ends_the_same_wherever_the_process_dies(
    apiserver: ApiServer, opened: bool, write: int, after: bool
) -> None:
    clock = FakeClock()
    plane = Plane(stores.open_empty(apiserver, clock), clock=clock)
    test_overdue_claims.test_it_ends_the_same_wherever_the_process_dies(plane, opened, write, after)
    plane.store.close()
