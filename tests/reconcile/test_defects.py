"""Put the defects of the original scheduler back, one by one, and check that a named test notices each.

Source of the list: PrivateKube's scheduler (OSDI'21), read against its paper, without what concerns only its manifests.
"""

from __future__ import annotations

import re
import traceback
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis.stateful import run_state_machine_as_test

from privatekube import errors, retries
from privatekube.engine import admission, allocate_requests, changes, consume_release, recovery
from privatekube.engine.changes import Barrier, BlockChange, Deletion
from privatekube.engine.draft import Draft
from privatekube.engine.world import World
from privatekube.privacy import arithmetic
from privatekube.reconcile import read_world, reconcile
from privatekube.reconcile.reconcile import Pass
from privatekube.resources import matching, transitions
from privatekube.resources.block_index import BlockIndex
from privatekube.resources.claim import PrivacyBudgetClaim
from privatekube.resources.request_id import RequestId
from privatekube.resources.requests import BudgetDemand, ConsumeRequest
from privatekube.resources.responses import AllocateResponse, ConsumeResponse, ResponseState, Settlement
from privatekube.scheduling.budget_table import BudgetTable
from privatekube.scheduling.policy import Policy
from privatekube.store.memory import MemoryStore
from privatekube.store.sqlite.store import SqliteStore
from tests.clock import FakeClock
from tests.reconcile import test_machine, test_reconcile, test_recovery
from tests.reconcile.harness import Plane
from tests.scheduling import test_cases

Patch = pytest.MonkeyPatch


class SchedulerDiedError(BaseException):
    """The defect ended the scheduler's process in the middle of a pass."""


def let_it_die(patch: Patch) -> None:
    """Have a pass in which the scheduler dies end there: nobody hears of it, and nothing of the pass is stored."""
    run = reconcile.reconcile

    def mutant(*given: Any, **named: Any) -> Pass:
        try:
            return run(*given, **named)
        except SchedulerDiedError:
            return Pass(has_unwritten=False, has_more=False)

    patch.setattr(reconcile, "reconcile", mutant)


def a_fully_locked_block_is_refilled(patch: Patch) -> None:
    admit_blocks = admission.admit_blocks

    def mutant(draft: Draft) -> None:
        admit_blocks(draft)
        for block in list(draft.blocks.values()):
            status = transitions.status_of(block)
            if not any(status.available.values) and not status.acquired and not status.committed:
                pending = status.pending + block.spec.initial_budget
                draft.blocks[block.id] = replace(block, status=replace(status, pending=pending))
                draft.add(BlockChange(draft.blocks[block.id]))

    patch.setattr(admission, "admit_blocks", mutant)


def an_exhausted_block_is_deleted_with_its_record(patch: Patch) -> None:
    recover_locks = recovery.recover_locks

    def mutant(draft: Draft, policy: Policy) -> None:
        recover_locks(draft, policy)
        for block in list(draft.blocks.values()):
            status = transitions.status_of(block)
            if arithmetic.is_negligible(status.pending + status.available, capacity=block.spec.initial_budget):
                draft.drop_block(block.id)
                draft.add(Deletion(block))

    patch.setattr(recovery, "recover_locks", mutant)


def the_claim_keeps_what_it_consumed(patch: Patch) -> None:
    answer = Draft.answer

    def mutant(self: Draft, *given: Any, detail: Any = None, holdings: Any = None, **named: Any) -> Any:
        kept = None if isinstance(detail, ConsumeResponse) else holdings
        return answer(self, *given, detail=detail, holdings=kept, **named)

    patch.setattr(Draft, "answer", mutant)


def a_negative_release_doubles_what_is_acquired(patch: Patch) -> None:
    settlement = consume_release._settlement

    def mutant(draft: Draft, claim: Any, request_id: Any, block_id: str, amount: Any, **named: Any) -> Settlement:
        held = consume_release.held_amount(draft, claim, block_id)
        if held is not None and all(value < 0 for value in amount.values):
            return Settlement(budget=held * -1.0)
        return settlement(draft, claim, request_id, block_id, amount, **named)

    patch.setattr(consume_release, "_settlement", mutant)
    patch.setattr(consume_release, "_release_amount", lambda draft, claim, block_id, amount: amount)


def all_or_nothing_never_fails(patch: Patch) -> None:
    patch.setattr(ConsumeRequest, "is_all_or_nothing", property(lambda _: False))


def consume_on_an_unknown_block_kills(patch: Patch) -> None:
    settlement = consume_release._settlement

    def mutant(draft: Draft, claim: Any, request_id: Any, block_id: str, *given: Any, **named: Any) -> Settlement:
        if block_id not in draft.blocks:
            raise SchedulerDiedError
        return settlement(draft, claim, request_id, block_id, *given, **named)

    let_it_die(patch)
    patch.setattr(consume_release, "_settlement", mutant)


def a_renyi_demand_on_an_epsilon_delta_block_kills(patch: Patch) -> None:
    demand = matching.demand

    def mutant(request: Any, candidates: Any) -> Any:
        try:
            return demand(request, candidates)
        except errors.InvalidBudget as error:
            raise SchedulerDiedError from error

    let_it_die(patch)
    patch.setattr(matching, "demand", mutant)


def deleting_a_waiting_claim_kills(patch: Patch) -> None:
    resolve_lock = recovery._resolve_lock

    def mutant(draft: Draft, block_id: str, request_id: RequestId) -> bool:
        if draft.claim(request_id.claim) is None:
            raise SchedulerDiedError
        return resolve_lock(draft, block_id, request_id)

    let_it_die(patch)
    patch.setattr(recovery, "_resolve_lock", mutant)


def deleting_a_block_under_a_waiting_claim_kills(patch: Patch) -> None:
    snapshot = allocate_requests.snapshot

    def mutant(draft: Draft) -> Any:
        if any(
            block_id not in draft.blocks for claim in draft.open_claims.values() for block_id in claim.status.reserved
        ):
            raise SchedulerDiedError
        return snapshot(draft)

    let_it_die(patch)
    patch.setattr(allocate_requests, "snapshot", mutant)


def a_claim_granted_after_waiting_is_never_answered_again(patch: Patch) -> None:
    current = PrivacyBudgetClaim.current_request
    assert isinstance(current, property)
    assert current.fget is not None
    read, expire = current.fget, allocate_requests.expire
    waited: set[str] = set()

    def noting(draft: Draft, policy: Policy) -> None:
        waited.update(claim.meta.uid for claim in draft.open_claims.values() if claim.status.reserved)
        expire(draft, policy)

    def mutant(claim: Any) -> Any:
        last = claim.status.responses[-1] if claim.status.responses else None
        if last is not None and last.state is ResponseState.SUCCESS and isinstance(last.detail, AllocateResponse):
            return None if claim.meta.uid in waited else read(claim)
        return read(claim)

    patch.setattr(allocate_requests, "expire", noting)
    patch.setattr(PrivacyBudgetClaim, "current_request", property(mutant))


def a_renyi_share_divides_by_no_capacity(patch: Patch) -> None:
    def mutant(self: BudgetTable, rows: Any, demands: Any) -> Any:
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.fmax.reduce(demands / self.capacity[rows], axis=1)

    patch.setattr(BudgetTable, "shares", mutant)


def a_renyi_exact_fit_is_refused(patch: Patch) -> None:
    made = BudgetTable.__init__

    def mutant(self: BudgetTable, **given: Any) -> None:
        made(self, **given)
        self._tolerance[self.required == 1] *= -1
        self._set_ceiling(np.arange(len(self.required)))

    patch.setattr(BudgetTable, "__init__", mutant)
    patch.setattr(BudgetTable, "leaves_enough", lambda self, rows, demands: not len(rows))


def a_cap_above_the_candidates_is_never_granted(patch: Patch) -> None:
    snapshot = allocate_requests.snapshot

    def mutant(draft: Draft) -> Any:
        seen = snapshot(draft)
        return replace(seen, waiting=tuple(e for e in seen.waiting if (e.n_blocks or 0) <= len(e.demand)))

    patch.setattr(allocate_requests, "snapshot", mutant)


def a_budget_map_does_not_restrict_the_blocks(patch: Patch) -> None:
    candidates, demand, near = matching.candidates, matching.demand, BlockIndex.near

    def alike(request: Any) -> Any:
        named = request.expected_budget.by_block
        constant = next(iter(named.values())) if named else request.expected_budget.constant
        return replace(request, expected_budget=BudgetDemand(constant=constant))

    patch.setattr(matching, "candidates", lambda request, *given: candidates(alike(request), *given))
    patch.setattr(matching, "demand", lambda request, found: demand(alike(request), found))
    patch.setattr(BlockIndex, "near", lambda index, request, namespace: near(index, alike(request), namespace))


def unfinished_locks_are_never_completed(patch: Patch) -> None:
    patch.setattr(recovery, "recover_locks", lambda draft, policy: None)


def rolling_back_does_nothing(patch: Patch) -> None:
    patch.setattr(transitions, "undo", lambda block, request, *, keep_waiting=False: block)


def a_conflict_loops_on_what_was_read_before(patch: Patch) -> None:
    read, worlds = read_world.read, dict[int, World]()

    def stale(store: Any, now_ms: int, **named: Any) -> World:
        return worlds.setdefault(id(store), read(store, now_ms, **named))

    patch.setattr(read_world, "read", stale)
    patch.setattr(reconcile, "BACK_OFF", retries.BackOff(first_seconds=0.0001))


def answers_are_written_beside_their_locks(patch: Patch) -> None:
    def mutant(decided: Any) -> Any:
        yield [change for change in decided if not isinstance(change, Barrier)]

    patch.setattr(changes, "segments", mutant)


def case(name: str) -> Callable[[Path], None]:
    """Return one acceptance case, ready to run."""
    (document,) = (parameters.values[0] for parameters in test_cases.cases() if parameters.id == f"cases-{name}")
    return lambda folder: test_cases.run_case(document, test_cases.on_sqlite(folder / "case.db"))


def passes(test: Callable[[Plane], None]) -> Callable[[Path], None]:
    """Return one test of `test_reconcile`, ready to run."""
    return lambda folder: test(Plane(SqliteStore(folder / "passes.db", clock=FakeClock())))


def walks(_folder: Path) -> None:
    """Run some random walks of the state machine."""
    run_state_machine_as_test(test_machine.Machine, settings=test_machine.walks(examples=60, steps=30))


@dataclass(frozen=True)
class Defect:
    """A defect and how it is noticed.

    Args:
        put_back: puts it into the code.
        suite: the test that must fail then.
        failure: a pattern of the line at which it must fail, with the message: `line: message`.
        error: the exact type of the failure.
    """

    put_back: Callable[[Patch], None]
    suite: Callable[[Path], None]
    failure: str
    error: type[Exception] = AssertionError


STATES = r"assert \[str\(response\.state\).* == wanted\[.states.\]"
AMOUNT = r"assert found\.values == pytest\.approx\(wanted\.values"
BLOCKS = r"assert set\(found\) == set\(wanted\)"
DEFECTS = [
    Defect(
        a_fully_locked_block_is_refilled, walks, r"its parts add up to \S+, its initial budget is ", errors.CorruptData
    ),
    Defect(an_exhausted_block_is_deleted_with_its_record, case("C08"), r"assert found is not None"),
    Defect(the_claim_keeps_what_it_consumed, case("E01"), AMOUNT),
    Defect(
        a_negative_release_doubles_what_is_acquired,
        passes(test_reconcile.test_a_negative_release_gives_back_what_is_held_and_no_more),
        r"assert plane\.claim\(.c.\)\.status\.acquired == \{\}",
    ),
    Defect(all_or_nothing_never_fails, case("E03"), STATES),
    Defect(consume_on_an_unknown_block_kills, case("E05"), STATES),
    Defect(a_renyi_demand_on_an_epsilon_delta_block_kills, case("F11"), STATES),
    Defect(deleting_a_waiting_claim_kills, case("F06"), STATES),
    Defect(
        deleting_a_block_under_a_waiting_claim_kills,
        passes(test_reconcile.test_deleting_a_block_leaves_its_waiting_claims_with_the_others),
        r"assert set\(plane\.claim\(.c.\)\.status\.acquired\) == \{.ns/b.\}",
    ),
    Defect(
        a_claim_granted_after_waiting_is_never_answered_again,
        passes(test_reconcile.test_a_claim_granted_after_waiting_has_its_later_requests_answered),
        r"assert plane\.states\(.first.\) == \[.success.\] \* 3",
    ),
    Defect(
        a_renyi_share_divides_by_no_capacity,
        passes(test_reconcile.test_an_order_without_capacity_does_not_count_in_a_share),
        r"assert plane\.states\(.small.\) == \[.success.\]",
    ),
    Defect(a_renyi_exact_fit_is_refused, case("C09"), STATES),
    Defect(
        a_cap_above_the_candidates_is_never_granted,
        passes(test_reconcile.test_a_cap_above_the_candidates_takes_them_all),
        r"\.status\.acquired\) == \{.ns/a., .ns/b.\}",
    ),
    Defect(a_budget_map_does_not_restrict_the_blocks, case("D08"), BLOCKS),
    Defect(unfinished_locks_are_never_completed, case("H05"), AMOUNT),
    Defect(
        rolling_back_does_nothing,
        passes(test_reconcile.test_data_opened_while_a_release_was_half_done_keeps_its_budget_charged),
        r"assert plane\.status\(.b.\)\.acquired == \{.ns/c.: HALF\}",
    ),
    Defect(
        answers_are_written_beside_their_locks,
        lambda _folder: test_recovery.test_the_outcome_is_the_same_wherever_a_process_dies("n=3", MemoryStore),
        r"assert result == expected, .*step 2, part",
    ),
    Defect(a_conflict_loops_on_what_was_read_before, case("A04"), STATES),
]
PARAMETERS = [pytest.param(defect, id=defect.put_back.__name__) for defect in DEFECTS]


def require_noticed(defect: Defect, folder: Path, patch: Patch) -> None:
    """Check that the suite fails at the named assertion; a failure of any other type is raised as it is."""
    defect.put_back(patch)
    with pytest.raises(defect.error) as caught:
        defect.suite(folder)
    assert caught.type is defect.error
    place = traceback.extract_tb(caught.value.__traceback__)[-1]
    assert re.search(defect.failure, f"{place.line}: {caught.value}"), f"failed elsewhere, at {place.line}"


@pytest.mark.slow
@pytest.mark.parametrize("defect", PARAMETERS)
def test_without_the_defect_its_suite_passes(defect: Defect, tmp_path: Path) -> None:
    defect.suite(tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("defect", PARAMETERS)
def test_a_defect_of_the_original_is_noticed(defect: Defect, tmp_path: Path, monkeypatch: Patch) -> None:
    require_noticed(defect, tmp_path, monkeypatch)


@pytest.mark.parametrize("error", [AttributeError, TypeError, KeyError, errors.Conflict, SchedulerDiedError])
def test_a_failure_of_another_type_does_not_count(error: type[Exception], tmp_path: Path, monkeypatch: Patch) -> None:
    def broken(_folder: Path) -> None:
        raise error("assert found is not None")

    with pytest.raises(error):
        require_noticed(Defect(lambda _patch: None, broken, "assert found is not None"), tmp_path, monkeypatch)


def test_another_assertion_does_not_count(tmp_path: Path, monkeypatch: Patch) -> None:
    def failing(_folder: Path) -> None:
        assert not _folder, "another"

    with pytest.raises(AssertionError, match="failed elsewhere, at assert not _folder"):
        require_noticed(Defect(lambda _patch: None, failing, "assert found is not None"), tmp_path, monkeypatch)


def test_a_suite_that_passes_does_not_count(tmp_path: Path, monkeypatch: Patch) -> None:
    with pytest.raises(pytest.fail.Exception, match="DID NOT RAISE"):
        require_noticed(Defect(lambda _patch: None, lambda _folder: None, ""), tmp_path, monkeypatch)
