"""A controller that is late: it stood still in the middle of a pass while another took over, and then writes on."""

from __future__ import annotations

import pytest

from privatekube import errors
from privatekube.privacy.budget import EpsilonDelta
from privatekube.resources.requests import ConsumeRequest, ReleaseRequest
from tests import builders
from tests.kubernetes import stores, watchers
from tests.kubernetes.apiserver import ApiServer
from tests.reconcile.harness import Plane

pytestmark = pytest.mark.kubernetes
QUARTER = EpsilonDelta(0.25)


def prepare(apiserver: ApiServer) -> Plane:
    """Two blocks; a claim that holds budget and pays, one that gives it back, one that is new, one that waits."""
    plane = Plane(stores.emptied(apiserver)(), unlock="all")
    for name in "ab":
        plane.block(name)
    plane.ask("pays", builders.allocate(0.25))
    plane.ask("returns", builders.allocate(0.25))
    plane.ask("waits", builders.allocate(0.75))
    plane.append("pays", ConsumeRequest({"ns/a": QUARTER, "ns/b": QUARTER}))
    plane.append("returns", ReleaseRequest({"ns/a": QUARTER, "ns/b": QUARTER}))
    plane.store.create(plane.claim_of("new", builders.allocate(0.125)))
    return plane


def world(plane: Plane) -> object:
    """What everybody holds, and what is left."""
    blocks = plane.blocks().values()
    claims = plane.store.list_claims()
    held = [(claim.id, dict(claim.status.acquired), dict(claim.status.committed)) for claim in claims]
    return sorted(held), [
        (b.id, b.status and (b.status.available, b.status.acquired, b.status.committed)) for b in blocks
    ]


def finished(plane: Plane) -> object:
    """The world once nothing is left to do, checked."""
    plane.run()
    plane.require_sound()
    plane.require_settled()
    return world(plane)


def test_whatever_a_late_controller_still_writes_nothing_is_lost_or_doubled(apiserver: ApiServer) -> None:
    expected = finished(prepare(apiserver))
    for at in range(1, 40):
        plane = prepare(apiserver)
        late, cluster, _ = watchers.leading(apiserver, 1)
        happened: list[int] = []

        def other_takes_over(happened: list[int] = happened) -> None:
            happened.append(1)
            second, _, _ = watchers.leading(apiserver, 1)
            second.take_over(2, fence=True)
            Plane(second).run()

        cluster.interrupt(at, other_takes_over)
        try:
            Plane(late).run()
        except (errors.Deposed, errors.Conflict):
            assert happened
        plane.require_sound()
        assert finished(plane) == expected, f"write {at}"
        if not happened:
            assert at > 5
            break
    else:
        raise AssertionError("the pass never ended")


def test_a_late_controller_learns_that_its_time_is_over(apiserver: ApiServer) -> None:
    prepare(apiserver)
    late, cluster, _ = watchers.leading(apiserver, 1)
    second, _, _ = watchers.leading(apiserver, 1)
    cluster.interrupt(2, lambda: second.take_over(2, fence=True))
    with pytest.raises(errors.Deposed, match="epoch 1 is over, epoch 2 has written"):
        Plane(late).run()
    assert second.refresh() == 2
