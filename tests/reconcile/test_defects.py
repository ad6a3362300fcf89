"""The original scheduler's defects, put back one by one: each must be noticed by the tests around.

Source of the list: PrivateKube's scheduler (OSDI'21), read against its paper. What concerns only its manifests is not
here.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import hypothesis
import numpy as np
import pytest
from hypothesis.stateful import run_state_machine_as_test

from privatekube.privacy import budget
from privatekube.reconcile import allocate_requests, consume_release, reconcile, recovery
from privatekube.reconcile.pass_state import State
from privatekube.resources import matching, transitions
from privatekube.resources.claim import PrivacyBudgetClaim
from privatekube.resources.requests import ALL_OR_NOTHING, BudgetDemand
from privatekube.resources.responses import AllocateResponse, ConsumeResponse, ResponseState, Settlement
from privatekube.scheduling.budget_table import Table
from privatekube.scheduling.unlocking import UnlockingPolicy
from privatekube.store.sqlite.store import SqliteStore
from tests.clock import FakeClock
from tests.reconcile import test_machine, test_reconcile
from tests.reconcile.harness import Plane
from tests.scheduling import test_cases

Patch = pytest.MonkeyPatch
EXAMPLES = hypothesis.settings(
    max_examples=60,
    stateful_step_count=30,
    deadline=None,
    database=None,
    derandomize=True,
    phases=[hypothesis.Phase.generate],
    suppress_health_check=list(hypothesis.HealthCheck),
)


def a_fully_locked_block_is_refilled(patch: Patch) -> None:
    admit = recovery.admit

    def mutant(state: State) -> None:
        admit(state)
        for block in list(state.blocks.values()):
            status = transitions.status_of(block)
            if not any(status.available.values) and not status.acquired and not status.committed:
                state.write_block(
                    replace(block, status=replace(status, pending=status.pending + block.spec.initial_budget))
                )

    patch.setattr(recovery, "admit", mutant)


def an_exhausted_block_is_deleted_with_its_record(patch: Patch) -> None:
    recover = recovery.recover

    def mutant(state: State, unlocking: UnlockingPolicy) -> None:
        recover(state, unlocking)
        for block in list(state.blocks.values()):
            status = transitions.status_of(block)
            if budget.is_negligible(status.pending + status.available, capacity=block.spec.initial_budget):
                state.store.delete(state.blocks.pop(block.id))

    patch.setattr(recovery, "recover", mutant)


def the_claim_keeps_what_it_consumed(patch: Patch) -> None:
    answer = State.answer

    def mutant(self: State, *given: Any, detail: Any = None, held: Any = None, **named: Any) -> Any:
        return answer(self, *given, detail=detail, held=None if isinstance(detail, ConsumeResponse) else held, **named)

    patch.setattr(State, "answer", mutant)


def a_negative_release_doubles_what_is_acquired(patch: Patch) -> None:
    released = consume_release._released

    def mutant(state: State, claim: Any, request_id: str, block_id: str, asked: Any, *, truncate: bool) -> Settlement:
        held = consume_release._held(state, claim, block_id)
        if held is not None and all(value < 0 for value in asked.values):
            return Settlement(budget=held * -1.0)
        return released(state, claim, request_id, block_id, asked, truncate=truncate)

    patch.setattr(consume_release, "_released", mutant)


def all_or_nothing_never_fails(patch: Patch) -> None:
    flag = consume_release._flag
    patch.setattr(consume_release, "_flag", lambda policy, name: name != ALL_OR_NOTHING and flag(policy, name))


def consume_on_an_unknown_block_kills(patch: Patch) -> None:
    amount = consume_release._amount

    def mutant(state: State, claim: Any, request_id: str, block_id: str, *given: Any, **named: Any) -> Settlement:
        return amount(state, claim, request_id, state.blocks[block_id].id, *given, **named)

    patch.setattr(consume_release, "_amount", mutant)


def a_renyi_demand_on_an_epsilon_delta_block_kills(patch: Patch) -> None:
    patch.setattr(
        matching,
        "demand",
        lambda request, found: {each.id: request.expected_budget.constant for each in found},
    )


def deleting_a_waiting_claim_kills(patch: Patch) -> None:
    settle = recovery._settle

    def mutant(state: State, block_id: str, request_id: str) -> bool:
        claim = state.claim(request_id.rpartition("/")[0])
        assert claim is not None
        return settle(state, block_id, request_id)

    patch.setattr(recovery, "_settle", mutant)


def deleting_a_block_under_a_waiting_claim_kills(patch: Patch) -> None:
    snapshot = allocate_requests.snapshot

    def mutant(state: State) -> Any:
        for claim in state.open_claims.values():
            for block_id in claim.status.reserved:
                transitions.status_of(state.blocks[block_id])
        return snapshot(state)

    patch.setattr(allocate_requests, "snapshot", mutant)


def a_claim_granted_after_waiting_is_never_answered_again(patch: Patch) -> None:
    current = PrivacyBudgetClaim.current_request.fget
    assert current is not None
    expire = allocate_requests.expire
    waited: set[str] = set()

    def noting(state: State, default_timeout_ms: int) -> None:
        waited.update(each.meta.uid for each in state.open_claims.values() if each.status.reserved)
        expire(state, default_timeout_ms)

    def mutant(claim: Any) -> Any:
        last = claim.status.responses[-1] if claim.status.responses else None
        if last is not None and last.state is ResponseState.SUCCESS and isinstance(last.detail, AllocateResponse):
            return None if claim.meta.uid in waited else current(claim)
        return current(claim)

    patch.setattr(allocate_requests, "expire", noting)
    patch.setattr(PrivacyBudgetClaim, "current_request", property(mutant))


def a_renyi_share_divides_by_no_capacity(patch: Patch) -> None:
    def mutant(self: Table, rows: Any, demands: Any) -> Any:
        return np.fmax.reduce(demands / self.capacity[rows], axis=1)

    patch.setattr(Table, "shares", mutant)


def a_renyi_exact_fit_is_refused(patch: Patch) -> None:
    made = Table.__init__

    def mutant(self: Table, **given: Any) -> None:
        made(self, **given)
        self._tolerance[self.required == 1] *= -1
        self._set_ceiling(np.arange(len(self.required)))

    patch.setattr(Table, "__init__", mutant)
    patch.setattr(Table, "leaves_enough", lambda self, rows, demands: not len(rows))


def a_cap_above_the_candidates_is_never_granted(patch: Patch) -> None:
    snapshot = allocate_requests.snapshot

    def mutant(state: State) -> Any:
        seen = snapshot(state)
        return replace(seen, waiting=tuple(e for e in seen.waiting if (e.n_blocks or 0) <= len(e.demand)))

    patch.setattr(allocate_requests, "snapshot", mutant)


def a_budget_map_does_not_restrict_the_blocks(patch: Patch) -> None:
    candidates, demand = matching.candidates, matching.demand

    def alike(request: Any) -> Any:
        named = request.expected_budget.by_block
        constant = next(iter(named.values())) if named else request.expected_budget.constant
        return replace(request, expected_budget=BudgetDemand(constant=constant))

    patch.setattr(matching, "candidates", lambda request, *given: candidates(alike(request), *given))
    patch.setattr(matching, "demand", lambda request, found: demand(alike(request), found))


def unfinished_locks_are_never_completed(patch: Patch) -> None:
    patch.setattr(recovery, "recover", lambda state, unlocking: None)


def rolling_back_does_nothing(patch: Patch) -> None:
    patch.setattr(transitions, "undo", lambda block, claim, request, *, keep_waiting=False: block)


def a_conflict_loops_on_what_was_read_before(patch: Patch) -> None:
    read: dict[int, State] = {}

    def stale(store: Any, now_ms: int) -> State:
        return read.setdefault(id(store), State(store, now_ms, *_listed(store)))

    patch.setattr(State, "read", staticmethod(stale))
    patch.setattr(reconcile, "FIRST_WAIT_SECONDS", 0.0)


def _listed(store: Any) -> tuple[Any, Any]:
    claims = {claim.id: claim for claim in store.list_claims(open_only=True)}
    return {block.id: block for block in store.list_blocks()}, claims


DEFECTS: list[Callable[[Patch], None]] = [
    a_fully_locked_block_is_refilled,
    an_exhausted_block_is_deleted_with_its_record,
    the_claim_keeps_what_it_consumed,
    a_negative_release_doubles_what_is_acquired,
    all_or_nothing_never_fails,
    consume_on_an_unknown_block_kills,
    a_renyi_demand_on_an_epsilon_delta_block_kills,
    deleting_a_waiting_claim_kills,
    deleting_a_block_under_a_waiting_claim_kills,
    a_claim_granted_after_waiting_is_never_answered_again,
    a_renyi_share_divides_by_no_capacity,
    a_renyi_exact_fit_is_refused,
    a_cap_above_the_candidates_is_never_granted,
    a_budget_map_does_not_restrict_the_blocks,
    unfinished_locks_are_never_completed,
    rolling_back_does_nothing,
    a_conflict_loops_on_what_was_read_before,
]


def cases(folder: Path) -> None:
    """All acceptance cases of the project."""
    for place, each in enumerate(test_cases.cases()):
        test_cases.run_case(each.values[0], test_cases.on_sqlite(folder / f"{place}.db"))


def machine(folder: Path) -> None:
    """Some random walks of the state machine."""
    run_state_machine_as_test(test_machine.Machine, settings=EXAMPLES)


def passes(folder: Path) -> None:
    """What single passes do."""
    for name, test in vars(test_reconcile).items():
        if name.startswith("test_") and list(inspect.signature(test).parameters) == ["plane"]:
            test(Plane(SqliteStore(folder / f"{name}.db", clock=FakeClock())))


SUITES = {"cases": cases, "machine": machine, "passes": passes}


def notices(suite: Callable[[Path], None], folder: Path) -> bool:
    """Whether a suite fails."""
    try:
        suite(folder)
    except Exception:  # noqa: BLE001 - however it fails
        return True
    return False


@pytest.mark.parametrize("suite", SUITES)
def test_without_a_defect_nothing_is_noticed(suite: str, tmp_path: Path) -> None:
    assert not notices(SUITES[suite], tmp_path)


@pytest.mark.parametrize("defect", DEFECTS, ids=lambda defect: defect.__name__)
def test_a_defect_of_the_original_is_noticed(
    defect: Callable[[Patch], None], tmp_path: Path, monkeypatch: Patch
) -> None:
    defect(monkeypatch)
    assert any(notices(suite, tmp_path) for suite in SUITES.values())
