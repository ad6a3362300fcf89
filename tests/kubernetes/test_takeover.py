"""A late controller: it paused in the middle of a pass while another took over, and then continues to write."""

from __future__ import annotations

import pytest

from privatekube import errors
from privatekube.privacy.budget import EpsilonDelta
from privatekube.resources.requests import ConsumeRequest, ReleaseRequest
from tests import builders
from tests.kubernetes import controller_stores, stores
from tests.kubernetes.apiserver import ApiServer
from tests.reconcile.harness import Plane

pytestmark = pytest.mark.kubernetes
QUARTER = EpsilonDelta(0.25)


def prepare(apiserver: ApiServer) -> Plane:
    """Create two blocks; claims that consume, release, register two releases of a step, wait, and are new."""
    plane = Plane(stores.open_empty(apiserver), unlock="all")
    for name in "ab":
        plane.block(name)
    plane.ask("pays", builders.allocate(0.25))
    plane.ask("returns", builders.allocate(0.25))
    plane.ask("registers", builders.allocate(0.125))
    plane.open_data("registers")
    plane.ask("waits", builders.allocate(0.75))
    plane.append("pays", ConsumeRequest({"ns/a": QUARTER, "ns/b": QUARTER}))
    plane.append("returns", ReleaseRequest({"ns/a": QUARTER, "ns/b": QUARTER}))
    for output in "12":
        plane.append("registers", builders.release(output=output))
    plane.store.create(plane.claim_of("new", builders.allocate(0.125)))
    return plane


def world(plane: Plane) -> object:
    """Return what every claim holds and has registered, and what is left."""
    blocks = plane.blocks().values()
    claims = plane.store.list_claims()
    held = [(claim.id, dict(claim.status.acquired), dict(claim.status.committed)) for claim in claims]
    assert plane.claim("registers").releases in ({}, {"dp_train": builders.release(output="1")})
    return (
        sorted(held),
        [claim.releases for claim in claims],
        [(b.id, b.status and (b.status.available, b.status.acquired, b.status.committed)) for b in blocks],
    )


def finished(plane: Plane) -> object:
    """Run passes until nothing is left to do, check the result, and return it."""
    plane.run()
    plane.require_sound()
    plane.require_settled()
    return world(plane)


def test_late_writes_of_a_controller_lose_and_double_nothing(apiserver: ApiServer) -> None:
    expected = finished(prepare(apiserver))
    for at in range(1, 40):
        plane = prepare(apiserver)
        late, cluster, _ = controller_stores.open_leading(apiserver, 1)
        happened: list[int] = []

        def other_takes_over(happened: list[int] = happened) -> None:
            happened.append(1)
            second, _, _ = controller_stores.open_leading(apiserver, 1)
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


def test_a_late_controller_is_deposed(apiserver: ApiServer) -> None:
    prepare(apiserver)
    late, cluster, _ = controller_stores.open_leading(apiserver, 1)
    second, _, _ = controller_stores.open_leading(apiserver, 1)
    cluster.interrupt(2, lambda: second.take_over(2, fence=True))
    with pytest.raises(errors.Deposed, match="epoch 1 is over, epoch 2 has written"):
        Plane(late).run()
    assert second.refresh() == 2
