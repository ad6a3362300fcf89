"""Hostile objects and edits in an embedded store, beside honest claims, which get what they would get without them."""

from __future__ import annotations

import contextlib
import functools
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from privatekube import errors
from privatekube.cli import listing
from privatekube.client.client import BudgetClient
from privatekube.controller import next_due
from privatekube.reconcile import block_admission, ledger_audit
from privatekube.resources import transitions
from privatekube.resources.wire.common import Json
from privatekube.store import kinds
from privatekube.store.sqlite.store import SqliteStore
from tests.clock import FakeClock
from tests.examples import chosen
from tests.fuzzing import budgets, honest, hostile
from tests.fuzzing.hostile import Attack, Creation, Edit, Removal
from tests.reconcile.harness import Plane, require_within

ATTACKS, EXAMPLES, NIGHTLY_EXAMPLES = 50, 20, 2000
"""Attacks in one example, and how many examples: 1,000 attacks in all, and 100,000 in `make nightly`."""
BATCHES, QUIET_PASSES = 5, 4
"""How many passes there are attacks and new claims before, and how many passes follow."""
STEP_MS, SETTLE_WITHIN_MS = 700, 2500


@dataclass
class Game:
    """An embedded control plane, and the ids of the blocks and the claims that an adversary put into its store."""

    plane: Plane
    blocks: list[str] = field(default_factory=list)
    claims: list[str] = field(default_factory=list)

    def play(self, attacks: Sequence[Attack]) -> list[Json]:
        """Run passes, each after a part of the attacks and of the honest claims; return what these got in each."""
        for block in (*honest.blocks(), *budgets.own_blocks()):
            self.plane.store.create(block)
        outcomes = []
        for batch in range(BATCHES + QUIET_PASSES):
            n_attacks, n_claims = -(-len(attacks) // BATCHES), len(honest.claims()) // BATCHES
            for attack in attacks[batch * n_attacks : (batch + 1) * n_attacks]:
                self.make(attack)
            for claim in honest.claims()[batch * n_claims : (batch + 1) * n_claims]:
                self.plane.store.create(claim)
            self.run()
            outcomes.append(self.outcome())
            self.plane.clock.time_ms += STEP_MS
        return outcomes

    def run(self) -> None:
        """Run a pass; it refuses what cannot be decided, so that nothing has to be set aside."""
        for note in self.plane.run().set_aside:
            raise note.error

    def make(self, attack: Attack) -> None:
        """Make an attack; it may be refused, but only by an error of this library."""
        with contextlib.suppress(errors.PrivateKubeError):
            match attack:
                case Creation(document):
                    self.create(document, attack.is_block)
                case Edit(age, operations, of_honest=False, of_status=False) if self.claims:
                    self.edit(hostile.aged(self.claims, age), operations)
                case Removal(age) if self.blocks:
                    self.remove(hostile.aged(self.blocks, age))
                case _:
                    pass  # forbidden to each role; an embedded store has none

    def create(self, document: Json, is_block: bool) -> None:
        """Create a resource as its document says, but without the status, which a server would drop as well."""
        kind: Any = kinds.BLOCK if is_block else kinds.CLAIM
        resource = kind.decode(json.dumps({**document, "status": None}), 0)
        (self.blocks if is_block else self.claims).append(self.plane.store.create(resource).id)

    def edit(self, claim_id: str, operations: Sequence[Json]) -> None:
        """Patch a claim, if it has what is patched."""
        claim = self.plane.store.get_claim(claim_id)
        if claim is not None:
            try:
                document = hostile.patched(kinds.CLAIM.to_wire(claim), operations)
            except (LookupError, TypeError, ValueError):
                return
            version = claim.meta.resource_version
            self.plane.store.update(kinds.CLAIM.decode(json.dumps(document), version))

    def remove(self, block_id: str) -> None:
        """Delete a block, as a data owner may."""
        block = self.plane.store.get_block(block_id)
        if block is not None:
            block_admission.remove(self.plane.store, block, now_ms=self.plane.clock.now_ms())

    def outcome(self) -> Json:
        """Return what the honest claims got, and what is left of their blocks, after checking all blocks."""
        ledger_audit.verify(self.plane.store)
        for block in self.plane.store.list_blocks():
            if block.status is not None:
                transitions.require_balance(block)
                require_within(block)
        assert next_due.seconds_until(self.plane.store, self.plane.policy, now_ms=self.plane.clock.now_ms()) > 0
        left = {name: self.plane.status(name) for name in honest.BLOCKS}
        parts = {name: (status.pending, status.available, status.committed) for name, status in left.items()}
        return {**honest.outcome(self.plane.store.list_claims()), **parts}

    def require_shown(self) -> None:
        """Check that the command line shows what there is."""
        with contextlib.redirect_stdout(io.StringIO()):
            client = BudgetClient(self.plane.store)
            listing.show_list(listing.blocks(client), listing.Format.WIDE)
            listing.show_list(listing.claims(client), listing.Format.WIDE)


def open_game(unlock: str, order: str) -> Game:
    clock = FakeClock()
    store = SqliteStore(Path(":memory:"), clock=clock)
    return Game(Plane(store, unlock, order, settle_within_ms=SETTLE_WITHIN_MS, clock=clock))


@functools.cache
def outcomes_without_attacks(unlock: str, order: str) -> list[Json]:
    return open_game(unlock, order).play([])


@pytest.mark.slow
@pytest.mark.timeout(7200)
@pytest.mark.filterwarnings("ignore:Generating overly large repr")
@given(
    attacks=hostile.attacks(ATTACKS),
    unlock=st.sampled_from(["all", "t=1s,4s"]),
    order=st.sampled_from(["dpf", "fcfs", "dpack"]),
)
@settings(max_examples=chosen(quick=EXAMPLES, nightly=NIGHTLY_EXAMPLES), print_blob=True)
def test_hostile_objects_take_nothing_from_honest_claims(attacks: list[Attack], unlock: str, order: str) -> None:
    game = open_game(unlock, order)
    outcomes = game.play(attacks)
    for outcome, expected in zip(outcomes, outcomes_without_attacks(unlock, order), strict=True):
        assert outcome == expected
    game.plane.require_settled()
    game.require_shown()
    game.plane.store.close()


def test_without_attacks_the_honest_claims_get_all_that_there_is() -> None:
    last = outcomes_without_attacks("all", "dpf")[-1]
    states = [last[claim.meta.name]["responses"][0]["state"] for claim in honest.claims()]
    assert states.count("success") == 15
    assert states.count("failure") == 5
