"""Random re-cuts of a source on a real API server: no review gets more than its first budget."""

from __future__ import annotations

import hypothesis
import pytest
from hypothesis.stateful import run_state_machine_as_test
from typing_extensions import override

from privatekube.store.base import ResourceStore
from tests.clock import FakeClock
from tests.kubernetes import stores
from tests.kubernetes.apiserver import ApiServer
from tests.reconcile.test_budget_of_data import DataMachine
from tests.reconcile.test_machine import walks

SHARE = 10
"""One sequence on the API server for so many on SQLite: it takes a hundred times as long."""


@pytest.mark.kubernetes
@pytest.mark.slow
@pytest.mark.timeout(7200)
def test_no_review_gets_more_than_its_first_budget(apiserver: ApiServer) -> None:
    class OnCluster(DataMachine):
        @override
        def opened(self) -> ResourceStore:
            return stores.open_empty(apiserver, FakeClock())

    examples = hypothesis.settings.default.max_examples // SHARE if hypothesis.settings.default else 1
    run_state_machine_as_test(OnCluster, settings=walks(examples=examples, steps=12))
