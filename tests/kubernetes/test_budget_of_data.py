"""Random re-cuts of a source on a real API server: no review gets more than its first budget."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

import pytest
from typing_extensions import override

from privatekube import errors, retries
from privatekube.resources.block import PrivateDataBlock
from privatekube.store.base import ResourceStore
from privatekube.store.clock import SYSTEM, Clock
from privatekube.store.kubernetes.controller_store import ControllerStore
from privatekube.store.kubernetes.store import KubernetesStore
from tests import waiting
from tests.clock import FakeClock
from tests.examples import examples
from tests.kubernetes import controller_stores, stores
from tests.kubernetes.apiserver import ApiServer
from tests.kubernetes.conftest import Starter
from tests.kubernetes.controllers import ControllerProcess
from tests.reconcile import data_machine
from tests.reconcile.data_machine import DataMachine
from tests.reconcile.harness import Plane

pytestmark = [pytest.mark.kubernetes, pytest.mark.slow]
WITH_PROCESS = 3
"""How many sequences run with the process of a controller, which has to be waited for."""
PASSES = 3
"""How many passes the process is given after a change."""
LONGEST_SECONDS = 7200
"""Of the 400 sequences of `make nightly`, on a machine with other work."""


class OnCluster(DataMachine):
    """The machine of a cluster's users: they create objects and ask for deletions, and a controller acts on that."""

    server: ClassVar[ApiServer]
    clock: ClassVar[Clock]
    user: KubernetesStore

    @override
    def opened(self) -> ResourceStore:
        self.user = stores.open_empty(self.server, self.clock)
        self.start_controller()
        return self.user

    def start_controller(self) -> None:
        """Start the controller."""
        raise NotImplementedError

    def stop_controller(self) -> None:
        """Stop the controller."""
        raise NotImplementedError

    @override
    def remove(self, block: PrivateDataBlock) -> None:
        self.user.request_deletion(block)

    @override
    def teardown(self) -> None:
        """Check the ledger of the whole sequence: that takes longer than most steps."""
        try:
            if hasattr(self, "plane"):
                self.stop_controller()
                self.check_books()
        finally:
            super().teardown()


class WithPasses(OnCluster):
    """Passes run here, on the store of a controller that lists all objects before each."""

    clock = FakeClock()
    controller: ControllerStore

    @override
    def start_controller(self) -> None:
        self.controller, _, _ = controller_stores.open_unwatched(self.server, 1, clock=self.clock)

    @override
    def settle(self) -> None:
        self.controller.refresh()
        Plane(self.controller).run()

    @override
    def stop_controller(self) -> None:
        self.controller.drain()
        self.controller.close()


class WithProcess(OnCluster):
    """Passes run in the process of a controller, which learns of changes by its watches."""

    clock = SYSTEM
    starter: ClassVar[Starter]
    controller: ControllerProcess

    @override
    def start_controller(self) -> None:
        self.controller = type(self).starter("a", "--unlock", "all", "--period", "100ms")

    @override
    def settle(self) -> None:
        last = self.passes() + PASSES
        waiting.until(lambda: self.passes() >= last and not self.waits(), self.controller.log)

    def passes(self) -> float:
        """Return how many passes the controller has completed."""
        return self.controller.metric("privatekube_decision_seconds_count")

    def waits(self) -> bool:
        """Return whether a claim waits for an answer."""
        return any(claim.current_request is not None for claim in self.user.list_claims())

    @override
    def remove(self, block: PrivateDataBlock) -> None:
        self._change(block, super().remove)

    @override
    def erase_status(self, block: PrivateDataBlock) -> None:
        self._change(block, super().erase_status)

    def _change(self, block: PrivateDataBlock, change: Callable[[PrivateDataBlock], None]) -> None:
        """Change a block as it is now; where the controller writes at the same time, do it again."""

        def call() -> None:
            current = self.user.get_block(block.id)
            if current is not None:
                change(current)

        retries.call(call, on=errors.Conflict, attempts=10, back_off=retries.BackOff(first_seconds=0.02))

    @override
    def stop_controller(self) -> None:
        self.controller.stop()


@pytest.mark.timeout(LONGEST_SECONDS)
def test_no_review_gets_more_than_its_first_budget(apiserver: ApiServer) -> None:
    WithPasses.server = apiserver
    data_machine.run_sequences(WithPasses, count=examples(20))


def test_no_review_gets_more_with_the_process_of_a_controller(apiserver: ApiServer, start: Starter) -> None:
    WithProcess.server, WithProcess.starter = apiserver, staticmethod(start)
    data_machine.run_sequences(WithProcess, count=WITH_PROCESS)
