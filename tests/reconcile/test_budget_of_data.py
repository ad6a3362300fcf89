"""Random re-cuts of a source on SQLite: no review gets more than its first budget."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import hypothesis
import pytest
from hypothesis.stateful import invariant
from typing_extensions import override

from privatekube.engine import earlier_data
from privatekube.engine.earlier_data import Inheritance
from privatekube.store.base import ResourceStore
from privatekube.store.sqlite.store import SqliteStore
from tests.clock import FakeClock
from tests.reconcile import data_machine
from tests.reconcile.data_machine import DataMachine


class OnSqlite(DataMachine):
    """The machine on a store whose users run the passes."""

    @override
    def opened(self) -> ResourceStore:
        return SqliteStore(Path(":memory:"), clock=FakeClock())


class Audited(OnSqlite):
    """The same, with its ledger audited after each step."""

    @invariant()
    def the_books_are_right(self) -> None:
        if hasattr(self, "plane"):
            self.check_books()


Audited.TestCase.settings = hypothesis.settings(stateful_step_count=2 * data_machine.STEPS)
TestDataMachine = pytest.mark.slow(Audited.TestCase)


@pytest.mark.slow
def test_sequences_notice_a_block_that_does_not_inherit(monkeypatch: pytest.MonkeyPatch) -> None:
    """They are those of the API server, where it takes longer to see them fail."""

    def nothing(*_given: Any) -> Inheritance:
        return Inheritance()

    monkeypatch.setattr(earlier_data, "inherited", nothing)
    with pytest.raises(AssertionError, match=r"^review .* was committed of"):
        data_machine.run_sequences(OnSqlite, count=100)
