"""Random re-cuts of a source on a real API server: no review gets more than its first budget."""

from __future__ import annotations

from typing import ClassVar

import hypothesis
import pytest
from typing_extensions import override

from privatekube.resources.block import PrivateDataBlock
from privatekube.store.base import ResourceStore
from privatekube.store.kubernetes.controller_store import ControllerStore
from privatekube.store.kubernetes.store import KubernetesStore
from tests.clock import FakeClock
from tests.kubernetes import controller_stores, stores
from tests.kubernetes.apiserver import ApiServer
from tests.reconcile import data_machine
from tests.reconcile.data_machine import DataMachine
from tests.reconcile.harness import Plane

pytestmark = [pytest.mark.kubernetes, pytest.mark.slow]
LONGEST_SECONDS = 7200
"""Of the 2,000 sequences of `make nightly`, on a machine with other work."""


class OnCluster(DataMachine):
    """The machine of a cluster's users: they create objects and ask for deletions, and a controller acts on that."""

    server: ClassVar[ApiServer]
    user: KubernetesStore

    @override
    def opened(self) -> ResourceStore:
        self.user = stores.open_empty(self.server, FakeClock())
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

    controller: ControllerStore

    @override
    def start_controller(self) -> None:
        self.controller, _, _ = controller_stores.open_unwatched(self.server, 1, clock=FakeClock())

    @override
    def settle(self) -> None:
        self.controller.refresh()
        Plane(self.controller).run()

    @override
    def stop_controller(self) -> None:
        self.controller.drain()
        self.controller.close()


@pytest.mark.timeout(LONGEST_SECONDS)
def test_no_review_gets_more_than_its_first_budget(apiserver: ApiServer) -> None:
    WithPasses.server = apiserver
    assert hypothesis.settings.default is not None
    data_machine.run_sequences(WithPasses, count=hypothesis.settings.default.max_examples)
