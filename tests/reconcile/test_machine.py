"""Arbitrary interleavings of requests, time, deletions, restarts and crashes between any two writes.

After every step: each block's parts add up, nothing committed ever falls, no block exceeds its initial budget.
"""

from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import hypothesis
import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from privatekube import errors
from privatekube.privacy import arithmetic
from privatekube.privacy.budget import EpsilonDelta, PrivacyBudget, RenyiCurve
from privatekube.reconcile import block_admission, ledger_audit, reconcile
from privatekube.resources import transitions
from privatekube.resources.block import PrivateDataBlock, ReturnPolicy
from privatekube.resources.requests import (
    AllocateRequest,
    BudgetDemand,
    ConsumeRequest,
    RegisterRequest,
    ReleaseRequest,
    Request,
)
from privatekube.resources.responses import ResponseState
from privatekube.scheduling import ordering, unlocking
from privatekube.scheduling.policy import Policy
from privatekube.store.base import ResourceStore
from privatekube.store.sqlite.store import SqliteStore
from tests import builders
from tests.clock import FakeClock
from tests.reconcile.crashing import CrashError, CrashingStore
from tests.reconcile.harness import Plane, require_within

COMBINATIONS = list(itertools.product(["all", "n=2", "n=5", "t=1s,10s"], sorted(ordering.ORDERINGS)))
BLOCKS = ["b0", "b1", "b2"]
MOST_COMMITTED = transitions.MAX_COMMITTED_ENTRIES
CLAIMS = ["c0", "c1", "c2", "c3"]
parts = st.sampled_from([0.0, 0.05, 0.1, 0.25, 0.3, 0.5, 1.0, 1.5])
policies = st.sampled_from(["", "allOrNothing=true", "abortAvailable=true"])


class Machine(RuleBasedStateMachine):
    """A control plane on a store without transactions."""

    @initialize(
        combination=st.sampled_from([combination for combination in COMBINATIONS if combination != ("all", "rr")]),
        renyi=st.booleans(),
        most=st.sampled_from([1, 64]),
    )
    def start(self, combination: tuple[str, str], renyi: bool, most: int) -> None:
        transitions.MAX_COMMITTED_ENTRIES = most
        self.clock = FakeClock()
        self.renyi = renyi
        self.whole: PrivacyBudget = builders.curve(0.5, 1.0, 2.0) if renyi else EpsilonDelta(1.0, 1e-6)
        unlock, order = combination
        self.policy = Policy(unlocking.parse(unlock), ordering.parse(order), default_timeout_ms=5000)
        self.store = CrashingStore(self.opened())
        self.committed: dict[str, PrivacyBudget] = {}
        self.releases: dict[tuple[str, str], RegisterRequest] = {}

    def opened(self) -> ResourceStore:
        """An empty store with the machine's clock."""
        return SqliteStore(Path(":memory:"), clock=self.clock)

    @property
    def plain(self) -> ResourceStore:
        return cast("ResourceStore", self.store)

    def reconcile(self) -> None:
        reconcile.reconcile(self.plain, self.policy, now_ms=self.clock.now_ms())

    def amount(self, part: float) -> PrivacyBudget:
        return self.whole * part

    @rule(name=st.sampled_from(BLOCKS), policy=st.sampled_from(ReturnPolicy), dies=st.none() | st.booleans())
    def create_block(self, name: str, policy: ReturnPolicy, dies: bool | None) -> None:
        made = builders.block(name, self.whole, digest=f"sha256:{name}")
        made = replace(made, spec=replace(made.spec, budget_return_policy=policy))
        if self.plain.get_block(made.id) is None:
            self.store.arm(None if dies is None else 1, after=bool(dies))
            try:
                block_admission.register(self.plain, [made])
            except CrashError:
                pass
            finally:
                self.store.arm(None)

    @rule(name=st.sampled_from(BLOCKS))
    def delete_block(self, name: str) -> None:
        found = self.plain.get_block(f"ns/{name}")
        if found is not None:
            block_admission.remove(self.plain, found, now_ms=self.clock.now_ms())

    @rule(
        name=st.sampled_from(CLAIMS),
        part=parts,
        named=st.none() | st.sets(st.sampled_from(BLOCKS), min_size=1),
        least=st.none() | st.sampled_from([-1, 1, 2, 3]),
        most=st.none() | st.integers(1, 3),
        timeout_ms=st.none() | st.sampled_from([1, 2000, 50_000]),
        settle_after=st.none() | st.sampled_from([1, 5]),
    )
    def create_claim(
        self,
        name: str,
        part: float,
        named: set[str] | None,
        least: int | None,
        most: int | None,
        timeout_ms: int | None,
        settle_after: int | None,
    ) -> None:
        if self.plain.get_claim(f"ns/{name}") is not None:
            return
        amount = self.amount(part)
        demand = BudgetDemand(constant=amount)
        if named is not None:
            demand = BudgetDemand(by_block={f"ns/{block}": amount for block in sorted(named)})
        request = AllocateRequest("d", demand, min_blocks=least, max_blocks=most, timeout_ms=timeout_ms)
        claim = builders.claim(name, request)
        self.plain.create(replace(claim, spec=claim.spec.renew(now_ms=self.clock.now_ms(), seconds=settle_after)))

    @rule(name=st.sampled_from(CLAIMS), block=st.sampled_from([*BLOCKS, "unknown"]), part=parts, policy=policies)
    def append_consume(self, name: str, block: str, part: float, policy: str) -> None:
        self._append(name, ConsumeRequest({f"ns/{block}": self.amount(part)}, policy))

    @rule(
        name=st.sampled_from(CLAIMS),
        block=st.sampled_from(BLOCKS),
        part=parts,
        sign=st.sampled_from([1, -1]),
        policy=policies,
    )
    def append_release(self, name: str, block: str, part: float, sign: int, policy: str) -> None:
        self._append(name, ReleaseRequest({f"ns/{block}": self.amount(part) * sign}, policy))

    def _append(self, name: str, action: Any) -> None:
        found = self.plain.get_claim(f"ns/{name}")
        if found is not None:
            requests = (*found.spec.requests, Request(str(len(found.spec.requests)), action))
            self.plain.update(replace(found, spec=replace(found.spec, requests=requests)))

    @rule(name=st.sampled_from(CLAIMS), step=st.sampled_from(["dp_train", "dp_evaluate"]), output=st.sampled_from("12"))
    def append_register(self, name: str, step: str, output: str) -> None:
        self._append(name, builders.release(step, output))

    @rule(name=st.sampled_from(CLAIMS))
    def open_data(self, name: str) -> None:
        found = self.plain.get_claim(f"ns/{name}")
        if found is not None:
            self.plain.update(replace(found, spec=replace(found.spec, data_opened=True)))

    @rule(name=st.sampled_from(CLAIMS))
    def delete_claim(self, name: str) -> None:
        found = self.plain.get_claim(f"ns/{name}")
        if found is not None:
            self.plain.delete(found)
            self.reconcile()

    @rule(ms=st.sampled_from([1, 500, 1000, 2500, 10_000]))
    def time_passes(self, ms: int) -> None:
        self.clock.time_ms += ms

    @rule()
    def run(self) -> None:
        self.reconcile()

    @rule(writes=st.integers(1, 12), after=st.booleans())
    def crash_in_a_pass(self, writes: int, after: bool) -> None:
        self.store.arm(writes, after=after)
        try:
            self.reconcile()
        except CrashError:
            pass
        finally:
            self.store.arm(None)

    @rule(name=st.sampled_from(BLOCKS), writes=st.integers(1, 5), after=st.booleans())
    @precondition(lambda self: self.plain.list_blocks())
    def crash_while_a_block_is_deleted(self, name: str, writes: int, after: bool) -> None:
        found = self.plain.get_block(f"ns/{name}")
        if found is None:
            return
        self.store.arm(writes, after=after)
        try:
            block_admission.remove(self.plain, found, now_ms=self.clock.now_ms())
        except CrashError:
            pass
        finally:
            self.store.arm(None)

    @invariant()
    def every_block_keeps_its_budget(self) -> None:
        if not hasattr(self, "store"):
            return
        ledger_audit.verify(self.plain)
        for claim in self.plain.list_claims():
            for step, release in claim.releases.items():
                assert self.releases.setdefault((claim.meta.uid, step), release) == release
        for block in self.plain.list_blocks():
            if block.status is not None:
                transitions.require_balance(block)
                require_within(block)
                self._committed_never_falls(block)

    def _committed_never_falls(self, block: PrivateDataBlock) -> None:
        total = arithmetic.total(transitions.status_of(block).committed.values(), start=self.whole * 0.0)
        before = self.committed.get(block.content_digest or "")
        if before is not None:
            assert all(a >= b - 1e-12 for a, b in zip(total.values, before.values, strict=True)), block.id
        self.committed[block.content_digest or ""] = total

    def teardown(self) -> None:
        """Check that a last pass leaves nothing unfinished, and that claims and blocks agree."""
        transitions.MAX_COMMITTED_ENTRIES = MOST_COMMITTED
        if not hasattr(self, "store"):
            return
        self.reconcile()
        Plane(self.plain).require_settled()
        self.store.close()


TestMachine = pytest.mark.slow(Machine.TestCase)


def walks(*, examples: int, steps: int) -> hypothesis.settings:
    """Return the settings of a bounded number of random walks, always the same ones."""
    return hypothesis.settings(
        max_examples=examples,
        stateful_step_count=steps,
        deadline=None,
        database=None,
        derandomize=True,
        phases=[hypothesis.Phase.generate],
        suppress_health_check=list(hypothesis.HealthCheck),
    )


def test_a_curve_and_a_pair_never_meet_in_one_block() -> None:
    """The machine relies on this: a demand of another type is refused, and the pass continues."""
    store = SqliteStore(Path(":memory:"))
    store.create(builders.block("b"))
    store.create(builders.claim("c", builders.allocate(demand=RenyiCurve((2,), (0.1,)))))
    reconcile.reconcile(store, Policy.parse({}), now_ms=1)
    claim = store.get_claim("ns/c")
    assert claim is not None
    assert claim.status.responses[0].state is ResponseState.FAILURE
    assert "types do not match" in str(claim.status.responses[0].refusal)
    assert issubclass(errors.InvalidBudget, errors.InvalidInput)
    store.close()
