"""A claim that took 1.5 MB, more than etcd takes, while each block had its own entries: granted, paid and settled."""

from __future__ import annotations

import json
from functools import partial

import pytest

from privatekube.privacy.budget import RenyiCurve
from privatekube.resources import bounds, transitions
from privatekube.resources.requests import AllocateRequest, BudgetDemand, ConsumeRequest
from privatekube.resources.wire import block_groups
from privatekube.store.kubernetes.custom_objects import Cluster
from privatekube.store.kubernetes.store import KubernetesStore
from tests import builders
from tests.kubernetes.apiserver import ApiServer
from tests.reconcile.harness import Plane

pytestmark = [pytest.mark.kubernetes, pytest.mark.slow]
NAMES = [f"reviews-day-{day:05}-bucket-7" for day in range(120)]
ORDERS = tuple(1 + number / 7 for number in range(1, bounds.ORDERS + 1))
WHOLE = RenyiCurve(ORDERS, tuple(10.123456789 / order for order in ORDERS))
DEMAND = WHOLE * (1 / 7)


def test_a_claim_on_many_renyi_blocks_is_granted_paid_and_settled(apiserver: ApiServer, store: KubernetesStore) -> None:
    """As many orders as a budget may have, so that few blocks are as large as 1,000 with the usual 13."""
    assert 4 * len(NAMES) * block_groups.entry_bytes("ns/", DEMAND) > 1_400_000
    plane = Plane(store)
    store.concurrently([partial(store.create, builders.block(name, WHOLE)) for name in NAMES])
    plane.run()
    plane.ask("wide", AllocateRequest("d", BudgetDemand(constant=DEMAND), min_blocks=len(NAMES)))
    assert plane.states("wide") == ["success"]
    plane.append("wide", ConsumeRequest.all_or_nothing(plane.claim("wide").status.acquired))
    plane.run()
    assert plane.states("wide") == ["success", "success"]
    assert plane.claim("wide").status.committed == {f"ns/{name}": DEMAND for name in NAMES}
    assert not plane.claim("wide").is_open
    assert all(transitions.status_of(block).committed == {"ns/wide": DEMAND} for block in plane.blocks().values())
    plane.require_settled()
    (document,) = Cluster(apiserver.api()).list_objects("privacybudgetclaims", "ns")
    assert len(json.dumps(document)) < 500_000
