"""Faults around the controller: replicas that die, pause or run side by side, a server that is slow or unreachable.

With all of them, and with clients that change objects all the time, nothing is lost or doubled, and every claim is
answered.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator

import pytest
from kubernetes.client import CustomObjectsApi

from privatekube import errors
from privatekube.controller import leader_election
from privatekube.privacy import arithmetic
from privatekube.privacy.budget import EpsilonDelta
from privatekube.resources import meta, transitions
from privatekube.store.kubernetes.store import SYSTEM_NAMESPACE, KubernetesStore
from tests import builders, waiting
from tests.kubernetes import controller_stores, processes
from tests.kubernetes.apiserver import ApiServer
from tests.kubernetes.conftest import Starter
from tests.kubernetes.controllers import is_answered
from tests.reconcile.harness import Plane

pytestmark = [pytest.mark.kubernetes, pytest.mark.slow]
CLAIMS, PIECE = 24, 1 / 64


@pytest.fixture
def blocks(store: KubernetesStore) -> list[str]:
    """Create four blocks, which all claims together do not exhaust."""
    return [store.create(builders.block(name)).id for name in "abcd"]


def ask(store: KubernetesStore, first: int = 0, count: int = CLAIMS) -> list[str]:
    """Create `count` claims at once, and return their names."""
    names = [f"c-{number}" for number in range(first, first + count)]
    for name in names:
        with contextlib.suppress(errors.AlreadyExists):
            store.create(builders.claim(name, builders.allocate(PIECE)))
    return names


def require_granted_once(store: KubernetesStore, blocks: list[str], names: list[str]) -> None:
    """Check that every claim holds its amount on every block, and that the blocks record the same."""
    waiting.until(lambda: all(is_answered(store, name) for name in names))
    plane = Plane(store)
    waiting.until(lambda: not any(transitions.status_of(block).locks for block in store.list_blocks()))
    for name in names:
        assert dict(plane.claim(name).status.acquired) == dict.fromkeys(blocks, EpsilonDelta(PIECE)), name
    for block in store.list_blocks():
        status = transitions.status_of(block)
        assert set(status.acquired) == {f"ns/{name}" for name in names}
        taken = arithmetic.total(status.acquired.values(), start=EpsilonDelta(0.0))
        assert taken.values[0] == pytest.approx(PIECE * len(names))
    plane.require_sound()
    plane.require_settled()


def test_a_controller_that_is_killed_repeatedly_finishes_what_it_began(
    store: KubernetesStore, start: Starter, blocks: list[str]
) -> None:
    names: list[str] = []
    for attempt in range(4):
        controller = start(f"a{attempt}")
        waiting.until(controller.leads, controller.log)
        names += ask(store, first=attempt * 6, count=6)
        time.sleep(0.02 * 3**attempt)
        controller.kill()
    start("last")
    require_granted_once(store, blocks, names)


def test_of_two_controllers_one_leads_and_the_other_takes_over(
    store: KubernetesStore, start: Starter, blocks: list[str]
) -> None:
    replicas = [start("a"), start("b")]
    waiting.until(lambda: any(replica.leads() for replica in replicas))
    leading, other = sorted(replicas, key=lambda replica: replica.leads(), reverse=True)
    assert not other.leads()
    names = ask(store)
    leading.kill()
    waiting.until(other.leads, other.log)
    require_granted_once(store, blocks, names)


def test_a_controller_that_stops_hands_over_at_once(
    apiserver: ApiServer, store: KubernetesStore, start: Starter, blocks: list[str]
) -> None:
    first = start("a")
    waiting.until(first.leads, first.log)
    second = start("b")
    names = ask(store)
    assert first.stop() == 0
    lease = ("lease", leader_election.NAME, "-n", SYSTEM_NAMESPACE)
    holder = apiserver.kubectl("get", *lease, "-o", "jsonpath={.spec.holderIdentity}")
    assert not holder.startswith("a_"), "the other would wait until the lease expires"
    waiting.until(second.leads, second.log)
    require_granted_once(store, blocks, names)


def test_a_leader_that_was_paused_writes_nothing_more(
    store: KubernetesStore, start: Starter, blocks: list[str]
) -> None:
    first = start("a")
    waiting.until(first.leads, first.log)
    second = start("b")
    names = ask(store, count=6)
    first.pause()
    names += ask(store, first=6, count=6)
    waiting.until(second.leads, second.log)
    first.resume()
    names += ask(store, first=12, count=6)
    require_granted_once(store, blocks, names)
    waiting.until(lambda: second.leads() and not first.leads(), first.log)


def test_a_lease_that_is_deleted_does_not_turn_back_the_epoch(
    apiserver: ApiServer, store: KubernetesStore, start: Starter, blocks: list[str]
) -> None:
    start("a").kill()
    second = start("b")
    waiting.until(second.leads, second.log)
    names = ask(store, count=2)
    waiting.until(lambda: all(is_answered(store, name) for name in names), second.log)
    apiserver.kubectl("delete", "lease", leader_election.NAME, "-n", SYSTEM_NAMESPACE)
    names += ask(store, first=2, count=2)
    require_granted_once(store, blocks, names)
    second.kill()
    third = start("c")
    names += ask(store, first=4, count=2)
    require_granted_once(store, blocks, names)
    waiting.until(third.leads, third.log)


@pytest.fixture
def restartable(apiserver: ApiServer) -> Iterator[ApiServer]:
    """An API server that the test restarts; the next one meets it with its admission policies in force."""
    yield apiserver
    apiserver.wait_for_admission_policies()


def test_an_api_server_that_restarts_is_waited_for(
    restartable: ApiServer, store: KubernetesStore, start: Starter, blocks: list[str]
) -> None:
    controller = start()
    waiting.until(controller.leads, controller.log)
    names = ask(store, count=12)
    restartable.restart()
    names += ask(store, first=12, count=12)
    require_granted_once(store, blocks, names)
    assert controller.is_running


def test_a_slow_etcd_only_costs_time(
    apiserver: ApiServer, store: KubernetesStore, start: Starter, blocks: list[str]
) -> None:
    controller = start()
    waiting.until(controller.leads, controller.log)
    with apiserver.slowing_etcd():
        names = ask(store, count=8)
        waiting.until(lambda: all(is_answered(store, name) for name in names), controller.log)
    require_granted_once(store, blocks, names)


def test_clients_that_change_an_object_all_the_time_stop_nothing(
    apiserver: ApiServer, store: KubernetesStore, start: Starter, blocks: list[str]
) -> None:
    controller = start()
    custom, count = CustomObjectsApi(apiserver.api()), 0

    def touch() -> None:
        nonlocal count
        count += 1
        for plural, name in (("privatedatablocks", "a"), ("privacybudgetclaims", "c-0")):
            patch = {"metadata": {"labels": {"touched": str(count)}}}
            with contextlib.suppress(Exception):  # before it is created
                custom.patch_namespaced_custom_object(meta.GROUP, "v1", "ns", plural, name, patch)

    with processes.repeating(touch):
        names = ask(store)
        require_granted_once(store, blocks, names)
    assert count > 20
    assert controller.metric("privatekube_conflicts_total") > 0


def test_a_watch_that_is_too_old_starts_again(
    restartable: ApiServer, store: KubernetesStore, blocks: list[str]
) -> None:
    watching, cluster, observer = controller_stores.open_leading(restartable, 1)
    cluster.expire_next_watch()
    restartable.restart()  # ends the watches, which then go on from a version that is too old
    waiting.until(lambda: len(observer.relists) >= 6)
    assert cluster.expired > 0
    store.create(builders.block("late"))
    waiting.until(lambda: len(watching.list_blocks()) == 5)
