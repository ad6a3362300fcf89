"""Stores of controllers inside the test process, so that a test can decide which of them writes when."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from privatekube import errors
from privatekube.resources import meta
from privatekube.store.base import Resource
from privatekube.store.clock import SYSTEM, Clock
from privatekube.store.kinds import Kind
from privatekube.store.kubernetes import epochs
from privatekube.store.kubernetes.controller_store import ControllerStore
from privatekube.store.kubernetes.core_objects import CoreObjects
from privatekube.store.kubernetes.custom_objects import Cluster
from tests.kubernetes.apiserver import ApiServer


@dataclass
class RecordingObserver:
    """An observer that counts and records."""

    conflicts: int = 0
    relists: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    writes: int = 0

    def on_change(self) -> None:
        """Ignore it."""

    def on_write(self, before: Resource | None, after: Resource) -> None:
        """Count it."""
        self.writes += 1

    def on_conflict(self) -> None:
        """Count it."""
        self.conflicts += 1

    def on_relist(self, kind: Kind[Any]) -> None:
        """Record it."""
        self.relists.append(kind.name)

    def on_malformed(self, kind: Kind[Any], subject: meta.ObjectMeta, fault: str) -> None:
        """Record it."""
        self.faults.append(f"{kind} {subject.id}: {fault}")


def _do_nothing() -> None:
    """Do not interrupt."""


class InterruptingCluster(Cluster):
    """A connection that calls a function before its n-th write, once."""

    def __init__(self, api: Any) -> None:
        super().__init__(api)
        self.interruption: Callable[[], None]
        self.writes, self.at, self.interruption = 0, 0, _do_nothing
        self.expiring: set[str] = set()
        self.expired = 0

    def interrupt(self, at: int, by: Callable[[], None]) -> None:
        """Call `by` before the `at`-th write from now."""
        self.writes, self.at, self.interruption = 0, at, by

    def expire_next_watch(self) -> None:
        """Make the next watch of each kind begin at a version that the server no longer has."""
        self.expiring = {"privatedatablocks", "privacybudgetclaims"}

    def watch(self, plural: str, version: str, *, seconds: int) -> Iterator[tuple[str, Any]]:
        """Watch as the base class does, from an expired version if asked to, until the server has refused that one."""
        try:
            yield from super().watch(plural, "1" if plural in self.expiring else version, seconds=seconds)
        except errors.Conflict:
            self.expiring.discard(plural)
            self.expired += 1
            raise

    def _call(self, verb: str, plural: str, namespace: str | None, **given: Any) -> Any:
        if verb not in ("get", "list"):
            self.writes += 1
            if self.writes == self.at:
                self.interruption()
        return super()._call(verb, plural, namespace, **given)


def open_unwatched(
    server: ApiServer,
    epoch: int,
    *,
    user: str = "controller",
    clock: Clock = SYSTEM,
    lease_epoch: Callable[[], int] = lambda: epochs.LARGEST,
) -> tuple[ControllerStore, InterruptingCluster, RecordingObserver]:
    """Open the store of a controller that just began to lead; without watches, it has to be refreshed before a pass."""
    api = server.api(user)
    cluster, observer = InterruptingCluster(api), RecordingObserver()
    store = ControllerStore(cluster, CoreObjects(api), observer, lease_epoch, clock=clock)
    store.refresh()
    store.take_over(epoch, fence=False)
    return store, cluster, observer


def open_leading(
    server: ApiServer,
    epoch: int,
    *,
    user: str = "controller",
    clock: Clock = SYSTEM,
    lease_epoch: Callable[[], int] = lambda: epochs.LARGEST,
) -> tuple[ControllerStore, InterruptingCluster, RecordingObserver]:
    """Open the store of a controller that just began to lead, with its watches running."""
    store, cluster, observer = open_unwatched(server, epoch, user=user, clock=clock, lease_epoch=lease_epoch)
    store.start()
    return store, cluster, observer
