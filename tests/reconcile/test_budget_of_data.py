"""Random re-cuts of a source on SQLite: no review gets more than its first budget."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import hypothesis
import numpy as np
import pytest
from hypothesis.stateful import invariant
from typing_extensions import override

from privatekube.engine import earlier_data
from privatekube.engine.earlier_data import Inheritance
from privatekube.reconcile import block_admission
from privatekube.resources.block import PrivateDataBlock
from privatekube.store.base import ResourceStore
from privatekube.store.sqlite.store import SqliteStore
from tests.clock import FakeClock
from tests.examples import chosen
from tests.reconcile import data_machine
from tests.reconcile.cuts import DAYS, REVIEWS_A_DAY, Cut, Made, make
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


Audited.TestCase.settings = hypothesis.settings(
    max_examples=chosen(quick=40, nightly=2000), stateful_step_count=2 * data_machine.STEPS
)
TestDataMachine = pytest.mark.slow(Audited.TestCase)


FEW = [whole.select(np.arange(0, DAYS * REVIEWS_A_DAY, 15)) for whole in data_machine.SOURCES]
"""So few reviews of each source that a sketch of many that is cut off does not tell whether they are among them."""


class Compared(OnSqlite):
    """The same where the second source is some reviews of either, and owners compare the records of what they have."""

    @override
    def cut(self, number: int, cut: Cut) -> tuple[int, Made]:
        origin = number and cut.seed % 2
        made = make(FEW[origin] if number else data_machine.SOURCES[0], cut)
        indistinct = block_admission.indistinct(self.plane.store, made.blocks, made.identities)
        made.identities[:] = [
            replace(identity, apart_from=self.apart(origin, made, indistinct.get(identity.id, [])))
            for identity in made.identities
        ]
        return origin, made

    def apart(self, origin: int, made: Made, others: Iterable[PrivateDataBlock]) -> frozenset[str]:
        """Return the digests of the blocks that have none of the reviews that were cut."""
        mine = {(origin, review) for numbers in made.reviews.values() for review in numbers}
        apart = [other for other in others if mine.isdisjoint(self.reviews[other.meta.uid])]
        return frozenset(other.content_digest or "" for other in apart)


Compared.TestCase.settings = Audited.TestCase.settings
TestCompared = pytest.mark.slow(Compared.TestCase)


class Careless(Compared):
    """The same, but owners say that everything is apart."""

    @override
    def apart(self, origin: int, made: Made, others: Iterable[PrivateDataBlock]) -> frozenset[str]:
        return frozenset(other.content_digest or "" for other in others)


def some_beside_all(machine: Compared) -> None:
    """Spend on all reviews of a day, and on some of them that a sketch does not recognise."""
    try:
        machine.start(most=4, cut=Cut(end_day=0), number=0)
        machine.create(Cut(end_day=0, dataset="few"), 1, past_the_check=False)
        for place in (0, 1):
            machine.spend(place, 0.9, both=False)
        machine.no_review_gets_more_than_its_first_budget()
    finally:
        machine.teardown()


def test_some_of_the_reviews_get_no_second_budget_by_a_comparison() -> None:
    some_beside_all(Compared())


def test_the_property_notices_an_owner_who_says_apart_without_comparing() -> None:
    with pytest.raises(AssertionError, match=r"^review .* was committed of"):
        some_beside_all(Careless())


@pytest.mark.slow
def test_sequences_notice_a_block_that_does_not_inherit(monkeypatch: pytest.MonkeyPatch) -> None:
    """They are those of the API server, where it takes longer to see them fail."""

    def nothing(*_given: Any) -> Inheritance:
        return Inheritance()

    monkeypatch.setattr(earlier_data, "inherited", nothing)
    with pytest.raises(AssertionError, match=r"^review .* was committed of"):
        data_machine.run_sequences(OnSqlite, count=100)
