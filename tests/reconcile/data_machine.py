"""Random re-cuts of a source, with spending, deletions and losses between: no review gets more than its first budget.

The machine of this property for any store and any control plane.
The oracle follows each review by its number, and knows nothing of blocks, digests, sketches or records.
"""

from __future__ import annotations

from dataclasses import replace

import hypothesis
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from privatekube import errors
from privatekube.data import identify
from privatekube.privacy import arithmetic, renyi_conversion
from privatekube.privacy.budget import PrivacyBudget
from privatekube.privacy.unit import PrivacyUnit
from privatekube.reconcile import block_admission, ledger_audit
from privatekube.resources.block import PrivateDataBlock
from privatekube.resources.requests import AllocateRequest, BudgetDemand, ConsumeRequest
from privatekube.store.base import ResourceStore
from tests.reconcile.cuts import DAYS, FIRST_BUDGET, Cut, Made, make, source
from tests.reconcile.harness import Plane, require_within
from tests.reconcile.test_machine import walks

MOST_ENTRIES_A_DAY = identify.MOST_ENTRIES_A_DAY
SOURCES = [source(0), source(1)]
BUDGETS: list[PrivacyBudget] = [FIRST_BUDGET, renyi_conversion.to_renyi(FIRST_BUDGET), FIRST_BUDGET * 2]
parts = st.sampled_from([0.1, 0.25, 0.4, 0.5, 0.9, 1.0])
numbers = st.sampled_from([0, 0, 0, 1])
places = st.integers(0, 20)


@st.composite
def cuts(draw: st.DrawFn) -> Cut:
    """Draw a cut; most have the first budget and the unit `event`, so that sequences get far."""
    start = draw(st.integers(0, DAYS - 1))
    return Cut(
        namespace=draw(st.sampled_from(["ns", "elsewhere"])),
        dataset=draw(st.sampled_from(["d", "e", "f"])),
        start_day=start,
        end_day=draw(st.integers(start, min(start + 3, DAYS - 1))),
        width=draw(st.sampled_from([1, 1, 2, 3, 6])),
        buckets=draw(st.sampled_from([1, 1, 2, 3])),
        unit=draw(st.sampled_from([PrivacyUnit.EVENT, PrivacyUnit.EVENT, PrivacyUnit.USER_DAY])),
        left_out=draw(st.sampled_from([0.0, 0.0, 1 / 240, 0.05, 0.1])),
        seed=draw(st.integers(0, 5)),
        budget=BUDGETS[draw(st.sampled_from([0, 0, 0, 1, 2]))],
    )


class DataMachine(RuleBasedStateMachine):
    """Data owners and pipelines at work on two sources.

    Subclasses open the store that these see, and say how its control plane gets to act.
    """

    @initialize(most=st.sampled_from([16, MOST_ENTRIES_A_DAY]), cut=cuts(), number=numbers)
    def start(self, most: int, cut: Cut, number: int) -> None:
        identify.MOST_ENTRIES_A_DAY = most  # 40 reviews a day: with 16, sketches are cut off
        self.plane = Plane(self.opened())
        self.reviews: dict[str, list[tuple[int, int]]] = {}
        """The numbers of the source and of the reviews in each block, by its uid."""
        self.first: dict[tuple[int, int], PrivacyBudget] = {}
        self.spent: dict[tuple[int, int], list[PrivacyBudget]] = {}
        self.n_claims = 0
        self.create(cut, number, past_the_check=False)

    def opened(self) -> ResourceStore:
        """Return an empty store."""
        raise NotImplementedError

    def cut(self, number: int, cut: Cut) -> tuple[int, Made]:
        """Return blocks cut from a source, and the number of the source that its reviews are of."""
        return number, make(SOURCES[number], cut)

    def settle(self) -> None:
        """Have the control plane act on what changed."""
        self.plane.run()

    def remove(self, block: PrivateDataBlock) -> None:
        """Delete a block."""
        block_admission.remove(self.plane.store, block, now_ms=1)

    def erase_status(self, block: PrivateDataBlock) -> None:
        """Remove the status of a block, as restoring a backup of a cluster does."""
        self.plane.store.update_status(replace(block, status=None))

    @rule(cut=cuts(), number=numbers, past_the_check=st.booleans())
    def create(self, cut: Cut, number: int, past_the_check: bool) -> None:
        origin, made = self.cut(number, cut)
        try:
            if past_the_check:
                for identity in made.identities:
                    self.plane.store.keep_identity(identity)
                created = [self.plane.store.create(block) for block in made.blocks]
            else:
                created = block_admission.register(self.plane.store, made.blocks, made.identities)
        except (errors.AlreadyExists, errors.InvalidBudget):
            created = []
        self.settle()
        for block in self.plane.store.list_blocks():
            if block.meta.uid in {other.meta.uid for other in created} or block.meta.uid not in self.reviews:
                numbers = made.reviews[block.content_digest or ""]
                self.reviews[block.meta.uid] = [(origin, review) for review in sorted(numbers)]
        self._note_first_budgets()

    @rule(place=places, part=parts, both=st.booleans())
    def spend(self, place: int, part: float, both: bool) -> None:
        """Commit on one or two blocks."""
        self._claim(self._blocks_at(place, both), part, consumes=True)

    @rule(place=places, part=parts)
    def hold(self, place: int, part: float) -> None:
        """Acquire, and read the data, without an end."""
        self._claim(self._blocks_at(place, False), part, consumes=False)

    @rule(place=places)
    def delete(self, place: int) -> None:
        for block in self._blocks_at(place, False):
            self.remove(block)
            self.settle()
            self._note_first_budgets()  # a block that waited may be admitted now

    @rule()
    def delete_all(self) -> None:
        for block in self.plane.store.list_blocks():
            self.remove(block)
        self.settle()

    @rule(cut=cuts(), number=numbers, place=places, part=parts)
    def cut_again(self, cut: Cut, number: int, place: int, part: float) -> None:
        """Delete all blocks, cut a source again, and commit on one of the new blocks."""
        self.delete_all()
        self.create(cut, number, past_the_check=False)
        self.spend(place, part, both=False)

    @rule(place=places)
    def lose_a_status(self, place: int) -> None:
        for block in self._blocks_at(place, False):
            self.erase_status(block)
            self.settle()

    @invariant()
    def no_review_gets_more_than_its_first_budget(self) -> None:
        if not hasattr(self, "plane"):
            return
        for review, amounts in self.spent.items():
            first = self.first[review]
            total = arithmetic.total(amounts, start=first * 0.0)
            assert first.admits(total, capacity=first), f"review {review}: {total} was committed of {first}"

    def check_books(self) -> None:
        """Check the ledger, and that each block is within its budget."""
        ledger_audit.verify(self.plane.store)
        for block in self.plane.store.list_blocks():
            if block.status is not None:
                require_within(block)

    def _note_first_budgets(self) -> None:
        """Note the budget of reviews that got one, or whose accounting changed before anything was spent."""
        for block in self.plane.store.list_blocks():
            for review in self.reviews[block.meta.uid] if block.status is not None else ():
                if not self.spent.get(review):
                    before = self.first.setdefault(review, block.spec.initial_budget)
                    if type(before) is not type(block.spec.initial_budget):
                        assert {before, block.spec.initial_budget} == set(BUDGETS[:2])
                        self.first[review] = block.spec.initial_budget

    def _blocks_at(self, place: int, both: bool) -> list[PrivateDataBlock]:
        """Return one admitted block, or two of one namespace and dataset."""
        blocks = [block for block in self.plane.store.list_blocks() if block.status is not None]
        if not blocks:
            return []
        one = blocks[place % len(blocks)]
        others = [block for block in blocks if _place(block) == _place(one) and block.id != one.id]
        return [one, *(others[:1] if both else [])]

    def _claim(self, blocks: list[PrivateDataBlock], part: float, *, consumes: bool) -> None:
        if not blocks:
            return
        self.n_claims += 1
        amounts = {block.id: block.spec.initial_budget * part for block in blocks}
        request = AllocateRequest(blocks[0].spec.dataset, BudgetDemand(by_block=amounts), timeout_ms=1)
        claim = self.plane.claim_of(f"c{self.n_claims}", request, *([ConsumeRequest(amounts)] if consumes else []))
        namespace = blocks[0].meta.namespace
        claim = self.plane.store.create(replace(claim, meta=replace(claim.meta, namespace=namespace)))
        self.settle()
        stored = self.plane.store.get_claim(claim.id)
        assert stored is not None
        for block in blocks:
            amount = (stored.status.committed if consumes else stored.status.acquired).get(block.id)
            for review in self.reviews[block.meta.uid] if amount is not None else ():
                self.spent.setdefault(review, []).append(amounts[block.id])

    def teardown(self) -> None:
        """Restore the size of sketches."""
        identify.MOST_ENTRIES_A_DAY = MOST_ENTRIES_A_DAY
        if hasattr(self, "plane"):
            self.plane.store.close()


def _place(block: PrivateDataBlock) -> tuple[str, str]:
    return block.meta.namespace, block.spec.dataset


SEED, STEPS = 1, 10


def run_sequences(machine: type[DataMachine], *, count: int) -> None:
    """Run a number of random sequences, the same ones for every machine."""
    run_state_machine_as_test(hypothesis.seed(SEED)(machine), settings=walks(examples=count, steps=STEPS))
