"""A restore never gives budget back: over pairs of histories, into any store, repeated, and cut off at any write."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from pathlib import Path
from typing import cast

import hypothesis
import pytest
from hypothesis import strategies as st

from privatekube import errors
from privatekube.backup import backup_file, contents, restoring
from privatekube.backup.contents import Contents
from privatekube.privacy import arithmetic
from privatekube.privacy.budget import EpsilonDelta, PrivacyBudget
from privatekube.reconcile import block_admission, ledger_audit
from privatekube.resources import ledger, transitions
from privatekube.resources.meta import ObjectMeta
from privatekube.resources.quota import PrivacyBudgetQuota, QuotaSpec
from privatekube.resources.requests import ConsumeRequest, ReleaseRequest
from privatekube.store.base import ResourceStore
from privatekube.store.memory import MemoryStore
from tests import builders
from tests.clock import FakeClock
from tests.examples import examples
from tests.reconcile.crashing import CrashError, CrashingStore
from tests.reconcile.harness import Plane, require_within

BLOCKS, CLAIMS = ("b0", "b1"), ("c0", "c1", "c2")
WHOLES: tuple[PrivacyBudget, ...] = (EpsilonDelta(1.0, 1e-6), builders.curve(0.5, 1.0, 2.0))
Step = tuple[str, str]
steps = st.lists(
    st.tuples(st.sampled_from(["ask", "ask", "open", "pay", "return", "forget"]), st.sampled_from(CLAIMS))
    | st.tuples(st.sampled_from(["create", "delete"]), st.sampled_from(BLOCKS)),
    max_size=8,
)


def new_plane() -> Plane:
    clock = FakeClock()
    return Plane(MemoryStore(clock), clock=clock)


def run(plane: Plane, history: list[Step], whole: PrivacyBudget) -> None:
    """Do what a history says, as far as it can be done."""
    for action, name in history:
        with contextlib.suppress(errors.PrivateKubeError, AssertionError, KeyError):
            _do(plane, action, name, whole)
        plane.run()


def _do(plane: Plane, action: str, name: str, whole: PrivacyBudget) -> None:
    match action:
        case "create":
            block_admission.register(plane.store, [builders.block(name, whole, digest=f"sha256:{name}")])
        case "delete":
            block_admission.remove(plane.store, plane.blocks()[f"ns/{name}"], now_ms=plane.clock.now_ms())
        case "ask":
            plane.store.create(plane.claim_of(name, builders.allocate(demand=whole * 0.3, timeout_ms=50_000)))
        case "open":
            plane.open_data(name)
        case "pay":
            plane.append(name, ConsumeRequest.all_or_nothing(dict(plane.claim(name).status.acquired)))
        case "return":
            plane.append(name, ReleaseRequest(dict(plane.claim(name).status.acquired)))
        case "forget":
            plane.store.delete(plane.claim(name))


def spent(state: Contents, *, opened_only: bool = False) -> dict[tuple[str, str], PrivacyBudget]:
    """Return what is spent on each data: what is committed or, on what was opened, held."""
    claims = {claim.id: claim for claim in state.claims}
    amounts: dict[tuple[str, str], list[PrivacyBudget]] = {}
    for block in state.blocks:
        status = transitions.status_of(block)
        held = [
            amount
            for claim, amount in status.acquired.items()
            if not opened_only or claim not in claims or claims[claim].spec.data_opened
        ]
        amounts[block.spec.dataset, ledger.data_key(block)] = [*status.committed.values(), *held]
    for record in state.retired:
        amounts.setdefault((record.dataset, record.digest), list(record.committed.values()))
    return {key: arithmetic.total(items[1:], start=items[0]) for key, items in amounts.items() if items}


def is_at_least(more: PrivacyBudget, less: PrivacyBudget) -> bool:
    return all(a >= b - 1e-9 * abs(b) - 1e-15 for a, b in zip(more.values, less.values, strict=True))


def require_restored(plane: Plane, backup: Contents, before: Contents) -> None:
    """Check that nothing that one of two histories has spent is forgotten, and that the store is sound."""
    after = spent(contents.read(plane.store, now_ms=0))
    for earlier in (spent(backup, opened_only=True), spent(before)):
        for data, amount in earlier.items():
            assert is_at_least(after[data], amount), f"{data}: {after[data]} is less than {amount}"
    ledger_audit.verify(plane.store)
    for block in plane.store.list_blocks():
        transitions.require_balance(block)
        assert all(value >= 0 for value in transitions.status_of(block).pending.values)
    committed = {(claim.id, claim.meta.uid): claim.status.committed for claim in before.claims}
    for claim in plane.store.list_claims():
        assert committed.get((claim.id, claim.meta.uid), {}).keys() <= claim.status.committed.keys()


def state_of(store: ResourceStore) -> object:
    state = contents.to_json(contents.read(store, now_ms=0))
    return {name: value for name, value in state.items() if name != "createdMs"}


@hypothesis.settings(deadline=None, max_examples=examples(30))
@hypothesis.given(shared=steps, saved=steps, later=steps, whole=st.sampled_from(WHOLES), continues=st.booleans())
def test_for_each_pair_of_histories_a_restore_forgets_no_spend_and_twice_is_once(
    shared: list[Step], saved: list[Step], later: list[Step], whole: PrivacyBudget, continues: bool
) -> None:
    """The store goes on from the state that both share: the same store later, an older copy, or another branch."""
    first = new_plane()
    run(first, [("create", "b0"), *shared], whole)
    second = Plane(MemoryStore(first.clock), clock=first.clock)
    copy = cast("MemoryStore", first.store)
    second.store = replace(copy, resources=dict(copy.resources), records=dict(copy.records), entries=list(copy.entries))
    run(first, saved, whole)
    backup = contents.read(first.store, now_ms=5)
    if continues:
        second = first
    run(second, later, whole)
    before = contents.read(second.store, now_ms=0)
    restoring.restore(second.store, backup, now_ms=6)
    require_restored(second, backup, before)
    once = state_of(second.store)
    restoring.restore(second.store, backup, now_ms=7)
    assert state_of(second.store) == once
    second.run()
    ledger_audit.verify(second.store)
    empty = new_plane()
    restoring.restore(empty.store, backup, now_ms=6)
    require_restored(empty, backup, Contents(0))
    for block in empty.store.list_blocks():
        require_within(block)


def a_backup(whole: PrivacyBudget = WHOLES[0]) -> tuple[Plane, Contents]:
    """Return a store with a claim in each state and a deleted block, and its backup."""
    plane = new_plane()
    history = [("create", "b0"), ("create", "b1"), ("ask", "c0"), ("pay", "c0"), ("ask", "c1"), ("open", "c1")]
    run(plane, [*history, ("delete", "b1"), ("ask", "c2"), ("ask", "c3"), ("ask", "c4")], whole)
    plane.store.put_quota(PrivacyBudgetQuota(ObjectMeta("q", "ns"), QuotaSpec("d", share=0.9)))
    plane.store.add_approval(builders.approval("c4", approver="bob"))
    plane.clock.time_ms += 1000
    return plane, contents.read(plane.store, now_ms=plane.clock.now_ms())


def test_claims_come_back_closed_consumed_if_they_held_budget_and_nothing_is_granted_again() -> None:
    plane, backup = a_backup()
    assert plane.states("c4") == ["pending"]
    restored = new_plane()
    restoring.restore(restored.store, backup, now_ms=9)
    restored.run()
    held = restored.claim("c1").status
    assert (held.acquired, set(held.committed)) == ({}, {"ns/b0", "ns/b1"})
    assert held.settlement is not None
    assert held.settlement.is_consumed
    assert restored.states("c4") == ["failure"]
    assert restored.claim("c0").status.committed == plane.claim("c0").status.committed
    assert restored.store.list_quotas() == plane.store.list_quotas()
    assert restored.store.list_approvals() == plane.store.list_approvals(), "who decided what, and when"
    assert [entry.digest for entry in restored.store.ledger()][: len(backup.entries)] == [
        entry.digest for entry in backup.entries
    ]
    assert "ns/b1" not in restored.blocks()
    assert "privateKey" not in str(contents.to_json(backup))


def test_a_claim_that_the_older_store_still_holds_is_consumed_if_it_is_so_in_the_backup() -> None:
    plane = new_plane()
    run(plane, [("create", "b0"), ("ask", "c0")], WHOLES[0])
    older = cast("MemoryStore", plane.store)
    copy = Plane(replace(older, resources=dict(older.resources), entries=list(older.entries)), clock=plane.clock)
    run(plane, [("pay", "c0")], WHOLES[0])
    restoring.restore(copy.store, contents.read(plane.store, now_ms=1), now_ms=2)
    assert copy.claim("c0").status.committed == plane.claim("c0").status.committed
    assert copy.status("b0").acquired == {}
    assert copy.status("b0").available == plane.status("b0").available
    copy.require_sound()


@pytest.mark.parametrize("into", ["empty", "older"])
def test_a_restore_that_dies_at_any_write_leaves_less_budget_and_is_completed_when_repeated(into: str) -> None:
    _, backup = a_backup()

    def target() -> Plane:
        plane = new_plane()
        if into == "older":
            run(plane, [("create", "b0"), ("ask", "c0"), ("pay", "c0")], WHOLES[0])
        return plane

    whole = target()
    restoring.restore(whole.store, backup, now_ms=9)
    for number in range(1, 60):
        plane = target()
        crashing = CrashingStore(plane.store)
        crashing.arm(number)
        with contextlib.suppress(CrashError):
            restoring.restore(cast("ResourceStore", crashing), backup, now_ms=9)
            break
        plane.run()  # a control plane meanwhile grants nothing that was spent
        restoring.restore(plane.store, backup, now_ms=9)
        for data, amount in spent(contents.read(whole.store, now_ms=0)).items():
            assert is_at_least(spent(contents.read(plane.store, now_ms=0))[data], amount)
        assert {claim.id for claim in plane.store.list_claims()} == {claim.id for claim in whole.store.list_claims()}
        ledger_audit.verify(plane.store)
    assert number > 10


def test_a_store_that_has_the_data_by_another_name_or_budget_is_left_as_it_is() -> None:
    _, backup = a_backup()
    for made, fault in (
        (builders.block("b0", WHOLES[0], digest="sha256:other"), "block ns/b0: has other data in the backup"),
        (
            builders.block("b0", EpsilonDelta(2.0, 1e-6), digest="sha256:b0"),
            "a budget is for the data's whole lifetime",
        ),
        (builders.block("x", WHOLES[0], digest="sha256:b1"), ""),
    ):
        plane = new_plane()
        block_admission.register(plane.store, [made])
        plane.run()
        before = state_of(plane.store)
        if fault:
            with pytest.raises(errors.PrivateKubeError, match=fault):
                restoring.restore(plane.store, backup, now_ms=9)
            assert state_of(plane.store) == before
        else:  # the data is the same, so what was committed on it is charged, whatever the block is called
            restoring.restore(plane.store, backup, now_ms=9)
            assert is_at_least(
                arithmetic.total(plane.status("x").committed.values(), start=WHOLES[0] * 0.0), WHOLES[0] * 0.6
            )
            ledger_audit.verify(plane.store)


def test_a_decision_comes_back_once_with_the_ledger(tmp_path: Path) -> None:
    plane = new_plane()
    run(plane, [("create", "b0"), ("ask", "c0"), ("pay", "c0")], WHOLES[0])
    plane.store.append(builders.rejection("ns/c1"))
    backup_file.write(tmp_path / "saved", contents.read(plane.store, now_ms=1))
    saved = backup_file.read(tmp_path / "saved")
    restored = new_plane()
    for _ in range(2):
        restoring.restore(restored.store, saved, now_ms=2)
        assert [entry.reason for entry in restored.store.ledger()] == ["consumed", "rejected"]
    assert ledger_audit.verify(restored.store).digest == saved.entries[-1].digest
    restoring.restore(plane.store, saved, now_ms=2)
    assert len(plane.store.ledger()) == 2


def test_a_decision_in_the_place_of_an_amount_is_told_and_the_amount_not_forgotten() -> None:
    plane, forged = new_plane(), new_plane()
    run(plane, [("create", "b0"), ("ask", "c0"), ("pay", "c0")], WHOLES[0])
    saved = contents.read(plane.store, now_ms=1)
    forged.store.append(replace(builders.rejection("ns/c0"), identity=saved.entries[0].identity))
    with pytest.raises(errors.CorruptData, match="is a decision here and an amount there"):
        restoring.restore(forged.store, saved, now_ms=2)
    assert forged.store.list_blocks() == []
