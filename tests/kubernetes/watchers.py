"""Controllers' stores inside the test's own process, so that a test can decide who writes when."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from privatekube import errors
from privatekube.store.base import Resource
from privatekube.store.clock import SYSTEM, Clock
from privatekube.store.kubernetes.controller_store import WatchingStore
from privatekube.store.kubernetes.core_objects import CoreObjects
from privatekube.store.kubernetes.custom_objects import Cluster
from tests.kubernetes.apiserver import ApiServer


@dataclass
class Noting:
    """An observer that remembers what it was told."""

    conflicts: int = 0
    relists: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    writes: int = 0

    def changed(self) -> None:
        """Nothing."""

    def wrote(self, before: Resource | None, after: Resource) -> None:
        """Count it."""
        self.writes += 1

    def met_conflict(self) -> None:
        """Count it."""
        self.conflicts += 1

    def relisted(self, kind: str) -> None:
        """Remember it."""
        self.relists.append(kind)

    def malformed(self, kind: str, resource_id: str, fault: str) -> None:
        """Remember it."""
        self.faults.append(f"{kind} {resource_id}: {fault}")


def _nothing() -> None:
    """No interruption."""


class InterruptingCluster(Cluster):
    """A connection that has something else happen before its n-th write, once."""

    def __init__(self, api: Any) -> None:
        super().__init__(api)
        self.interruption: Callable[[], None]
        self.writes, self.at, self.interruption = 0, 0, _nothing
        self.expiring: set[str] = set()
        self.expired = 0

    def interrupt(self, at: int, by: Callable[[], None]) -> None:
        """Before the `at`-th write from now."""
        self.writes, self.at, self.interruption = 0, at, by

    def expire_next_watch(self) -> None:
        """Have the next watch of each kind begin at a version that the server has forgotten."""
        self.expiring = {"privatedatablocks", "privacybudgetclaims"}

    def watch(self, plural: str, version: str, *, seconds: int) -> Iterator[tuple[str, Any]]:
        """See the class."""
        expires = plural in self.expiring
        self.expiring.discard(plural)
        try:
            yield from super().watch(plural, "1" if expires else version, seconds=seconds)
        except errors.Conflict:
            self.expired += 1
            raise

    def _call(self, verb: str, plural: str, namespace: str | None, **given: Any) -> Any:
        if verb not in ("get", "list"):
            self.writes += 1
            if self.writes == self.at:
                self.interruption()
        return super()._call(verb, plural, namespace, **given)


def leading(
    server: ApiServer, epoch: int, *, user: str = "controller", clock: Clock = SYSTEM
) -> tuple[WatchingStore, InterruptingCluster, Noting]:
    """The store of a controller that just began to lead, with its watches running."""
    api = server.api(user)
    cluster, noting = InterruptingCluster(api), Noting()
    store = WatchingStore(cluster, CoreObjects(api), noting, clock=clock)
    store.start()
    store.refresh()
    store.take_over(epoch, fence=False)
    return store, cluster, noting
