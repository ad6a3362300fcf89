"""A budget belongs to people's data: whatever blocks are cut from it, they meet what was spent on it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from privatekube import errors
from privatekube.data import identify
from privatekube.engine.run_pass import run_pass
from privatekube.privacy import arithmetic, budget, renyi_conversion, renyi_filter
from privatekube.privacy.budget import EpsilonDelta, RenyiCurve
from privatekube.privacy.unit import PrivacyUnit
from privatekube.reconcile import block_admission, ledger_audit
from privatekube.resources import transitions
from privatekube.resources.block import PrivateDataBlock
from privatekube.resources.meta import CONTENT_DIGEST
from privatekube.resources.requests import AllocateRequest, BudgetDemand, ConsumeRequest
from privatekube.store.kubernetes.store import KubernetesStore
from privatekube.store.memory import MemoryStore
from privatekube.store.sqlite.store import SqliteStore
from tests import builders
from tests.clock import FakeClock
from tests.kubernetes import stores
from tests.reconcile.cuts import FIRST_BUDGET, Cut, Made, make, source
from tests.reconcile.harness import Plane
from tests.store.remembering import RememberingStore

SPENT = EpsilonDelta(0.75, 1e-7)
EARLIER = Cut(start_day=0, end_day=2)
ANOTHER_CUT = {
    "as it was": EARLIER,
    "two buckets of users": replace(EARLIER, buckets=2),
    "one slice": replace(EARLIER, width=3),
    "another dataset": replace(EARLIER, dataset="other"),
    "another namespace": replace(EARLIER, namespace="elsewhere"),
    "another namespace and dataset": replace(EARLIER, namespace="elsewhere", dataset="other"),
    "one review less": replace(EARLIER, left_out=1 / 240),
    "a tenth left out, renamed": replace(EARLIER, left_out=0.1, dataset="other", seed=5),
    "reordered, renamed, other slices and buckets": replace(EARLIER, dataset="other", width=2, buckets=3, seed=9),
    "more days": replace(EARLIER, end_day=5, width=6, dataset="other"),
}


@pytest.fixture(params=["sqlite", "memory", "remembering", pytest.param("kubernetes", marks=pytest.mark.kubernetes)])
def plane(request: pytest.FixtureRequest) -> Iterator[Plane]:
    clock = FakeClock()
    if request.param == "kubernetes":
        store = stores.open_empty(request.getfixturevalue("apiserver"), clock)
        yield Plane(store, clock=clock)
        store.close()
    elif request.param in {"memory", "remembering"}:
        of_kind = MemoryStore if request.param == "memory" else RememberingStore
        yield Plane(of_kind(clock), clock=clock)
    else:
        yield Plane(SqliteStore(Path(":memory:"), clock=clock), clock=clock)


def register(plane: Plane, cut: Cut) -> Made:
    """Register blocks, and admit them."""
    made = make(source(), cut)
    block_admission.register(plane.store, made.blocks, made.identities)
    plane.run()
    return made


def spend(plane: Plane, name: str, blocks: list[PrivateDataBlock], amount: budget.PrivacyBudget = SPENT) -> None:
    """Commit an amount on each of some blocks of one namespace."""
    demand = BudgetDemand(by_block={block.id: amount for block in blocks})
    request = AllocateRequest(blocks[0].spec.dataset, demand)
    claim = plane.claim_of(name, request, ConsumeRequest({block.id: amount for block in blocks}))
    namespace = blocks[0].meta.namespace
    plane.store.create(replace(claim, meta=replace(claim.meta, namespace=namespace)))
    plane.run()


def delete_all(plane: Plane) -> None:
    for block in plane.blocks().values():
        block_admission.remove(plane.store, block, now_ms=plane.clock.time_ms)


def committed(plane: Plane) -> list[float]:
    """Return the epsilon that is committed on each block."""
    totals = []
    for block in plane.blocks().values():
        total = arithmetic.total(transitions.status_of(block).committed.values(), start=EpsilonDelta(0.0))
        totals.append(total.values[0])
    return totals


@pytest.mark.parametrize("name", ANOTHER_CUT)
def test_the_same_reviews_meet_what_was_spent_on_them_however_they_are_cut(plane: Plane, name: str) -> None:
    first = register(plane, EARLIER)
    spend(plane, "c", first.blocks)
    delete_all(plane)
    register(plane, ANOTHER_CUT[name])
    assert committed(plane) == pytest.approx([0.75] * len(plane.blocks()))
    plane.require_sound()


@pytest.mark.parametrize("name", [name for name in ANOTHER_CUT if name != "as it was"])
def test_the_same_reviews_get_no_second_block_however_they_are_cut(plane: Plane, name: str) -> None:
    first = register(plane, EARLIER)
    made = make(source(), ANOTHER_CUT[name])
    with pytest.raises(errors.AlreadyExists, match=r"never refreshed|exists with other data") as caught:
        block_admission.register(plane.store, made.blocks, made.identities)
    assert len(str(caught.value).splitlines()) == 1
    assert "--dataset" not in str(caught.value)
    assert "--namespace" not in str(caught.value)
    assert set(plane.blocks()) == {block.id for block in first.blocks}


def test_a_block_that_was_created_past_the_check_is_not_admitted(plane: Plane) -> None:
    register(plane, EARLIER)
    made = make(source(), replace(EARLIER, dataset="other"))
    plane.store.keep_identity(made.identities[0])
    plane.store.create(made.blocks[0])
    plane.store.create(made.blocks[1])  # its identity is nowhere
    plane.run()
    assert [block.id for block in plane.blocks().values() if block.status is None] == ["ns/other-0-0", "ns/other-1-0"]


def test_a_new_block_inherits_the_largest_total_of_those_it_overlaps(plane: Plane) -> None:
    first = register(plane, EARLIER)
    for number, amount in enumerate([0.25, 0.5, 0.125]):
        spend(plane, f"c{number}", [first.blocks[number]], EpsilonDelta(amount, (3 - number) * 1e-8))
    delete_all(plane)
    register(plane, replace(EARLIER, width=3))
    (block,) = plane.blocks().values()
    total = arithmetic.total(transitions.status_of(block).committed.values(), start=EpsilonDelta(0.0))
    assert total.values == pytest.approx((0.5, 3e-8))
    (entry,) = plane.store.ledger(block_id=block.id)[1:]
    assert entry.reason == "inherited"
    plane.require_sound()


FEW = source(seed=1).select(np.arange(4))
"""Other reviews of the first day, too few to be told from a sketch of many that is cut off."""


@pytest.fixture
def cut_off_sketches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(identify, "MOST_ENTRIES_A_DAY", 16)


@pytest.mark.usefixtures("cut_off_sketches")
def test_what_cannot_be_told_from_deleted_data_bears_what_was_committed_there(plane: Plane) -> None:
    spend(plane, "c", register(plane, EARLIER).blocks[:1], EpsilonDelta(0.25))
    delete_all(plane)
    few = make(FEW, Cut(end_day=0, dataset="few"))
    block_admission.register(plane.store, few.blocks, few.identities)
    plane.run()
    assert committed(plane) == pytest.approx([0.25])
    spend(plane, "d", few.blocks, EpsilonDelta(0.5))
    delete_all(plane)
    register(plane, EARLIER)
    assert committed(plane) == pytest.approx([0.75, 0.0, 0.0])
    plane.require_sound()


@pytest.mark.usefixtures("cut_off_sketches")
def test_what_cannot_be_told_from_deleted_data_has_its_budget_or_none(plane: Plane) -> None:
    spend(plane, "c", register(plane, EARLIER).blocks[:1], EpsilonDelta(0.25))
    delete_all(plane)
    few = make(FEW, Cut(end_day=0, dataset="few", budget=FIRST_BUDGET * 2))
    with pytest.raises(errors.InvalidBudget, match="create it with the same"):
        block_admission.register(plane.store, few.blocks, few.identities)


@pytest.mark.usefixtures("cut_off_sketches")
def test_what_cannot_be_told_from_the_data_of_a_block_is_refused_beside_it(plane: Plane) -> None:
    register(plane, EARLIER)
    few = make(FEW, Cut(end_day=0, dataset="few"))
    with pytest.raises(
        errors.AlreadyExists, match="it cannot be told whether block ns/d-0-0 has some of the same data"
    ):
        block_admission.register(plane.store, few.blocks, few.identities)


@pytest.mark.usefixtures("cut_off_sketches")
@pytest.mark.parametrize("first", ["many", "few"])
def test_what_its_owner_has_told_apart_record_by_record_is_admitted_beside_it(plane: Plane, first: str) -> None:
    made = {"many": make(source(), EARLIER), "few": make(FEW, Cut(end_day=0, dataset="few"))}
    before, new = (made["many"], made["few"]) if first == "many" else (made["few"], made["many"])
    block_admission.register(plane.store, before.blocks, before.identities)
    plane.run()
    found = block_admission.indistinct(plane.store, new.blocks, new.identities)
    assert found.keys() == {new.identities[0].id}
    assert [block.id for block in found[new.identities[0].id]] == [before.blocks[0].id]
    apart = frozenset({before.blocks[0].content_digest or ""})
    identities = [replace(new.identities[0], apart_from=apart), *new.identities[1:]]
    block_admission.register(plane.store, new.blocks, identities)
    plane.run()
    assert committed(plane) == [0.0] * 4
    again = make(source(), replace(EARLIER, left_out=0.1, seed=3, dataset="again"))
    with pytest.raises(errors.AlreadyExists, match="never refreshed"):
        block_admission.register(plane.store, again.blocks, again.identities)


def test_what_was_inherited_is_inherited_again(plane: Plane) -> None:
    spend(plane, "c", register(plane, EARLIER).blocks, EpsilonDelta(0.5))
    delete_all(plane)
    spend(plane, "d", register(plane, replace(EARLIER, width=3)).blocks, EpsilonDelta(0.25))
    delete_all(plane)
    register(plane, replace(EARLIER, buckets=2, dataset="other"))
    assert committed(plane) == pytest.approx([0.75] * 6)
    delete_all(plane)
    register(plane, EARLIER)
    assert committed(plane) == pytest.approx([0.75] * 3)
    plane.require_sound()


def test_other_reviews_and_other_days_start_full(plane: Plane) -> None:
    spend(plane, "c", register(plane, EARLIER).blocks)
    delete_all(plane)
    register(plane, Cut(start_day=3, end_day=5))
    other = make(source(seed=1), replace(EARLIER, dataset="other"))
    block_admission.register(plane.store, other.blocks, other.identities)
    plane.run()
    assert committed(plane) == [0.0] * 6


@pytest.mark.parametrize(
    ("again", "message"),
    [
        (replace(EARLIER, unit=PrivacyUnit.USER_DAY), "its unit is user-day, but budget was committed on its data per"),
        (replace(EARLIER, budget=EpsilonDelta(2.0, 1e-6)), "a budget is for the data's whole lifetime"),
        (replace(EARLIER, budget=renyi_conversion.to_renyi(FIRST_BUDGET)), "a budget is for the data's whole lifetime"),
    ],
)
def test_unit_and_accounting_stay_once_something_was_committed(plane: Plane, again: Cut, message: str) -> None:
    first = register(plane, EARLIER)
    spend(plane, "c", first.blocks[:1])
    delete_all(plane)
    made = make(source(), replace(again, dataset="other"))
    with pytest.raises(errors.InvalidBudget, match=message):
        block_admission.register(plane.store, made.blocks, made.identities)


@pytest.mark.parametrize(
    "changes",
    [
        {"unit": PrivacyUnit.USER_DAY},
        {"budget": renyi_conversion.to_renyi(FIRST_BUDGET)},
        {"budget": renyi_filter.capacity(FIRST_BUDGET)},
    ],
)
def test_unit_and_accounting_of_unused_data_may_change(plane: Plane, changes: dict[str, object]) -> None:
    register(plane, EARLIER)
    delete_all(plane)
    register(plane, replace(EARLIER, **changes))  # type: ignore[arg-type]  # fields of a cut
    assert committed(plane) == [0.0] * 3


def test_a_curve_is_inherited_order_by_order(plane: Plane) -> None:
    whole = RenyiCurve((2, 4), (1.0, 1.0))
    first = register(plane, replace(EARLIER, budget=whole))
    spend(plane, "a", first.blocks[:1], RenyiCurve((2, 4), (0.75, 0.25)))
    spend(plane, "b", first.blocks[1:2], RenyiCurve((2, 4), (0.25, 0.5)))
    delete_all(plane)
    register(plane, replace(EARLIER, budget=whole, width=3))
    (block,) = plane.blocks().values()
    total = arithmetic.total(transitions.status_of(block).committed.values(), start=whole * 0.0)
    assert total.values == pytest.approx((0.75, 0.5))
    plane.require_sound()


def lose_status(plane: Plane, block_id: str) -> None:
    """Write a block without its status, as a backup of the specs restores it."""
    block = plane.blocks()[block_id]
    plane.store.update_status(replace(block, status=None))


def test_a_block_whose_status_was_lost_starts_with_what_the_ledger_has(plane: Plane) -> None:
    (block, *_) = register(plane, EARLIER).blocks
    spend(plane, "c", [block])
    lose_status(plane, block.id)
    plane.run()
    assert transitions.status_of(plane.blocks()[block.id]).committed == {"ns/c": SPENT}
    plane.require_sound()


def test_a_block_whose_status_was_lost_bears_what_claims_hold(plane: Plane) -> None:
    (block, *_) = register(plane, EARLIER).blocks
    spend(plane, "c", [block], EpsilonDelta(0.25))
    request = AllocateRequest("d", BudgetDemand(by_block={block.id: EpsilonDelta(0.5)}))
    plane.ask("held", request)
    assert plane.claim("held").status.acquired == {block.id: EpsilonDelta(0.5)}
    lose_status(plane, block.id)
    plane.run()
    status = transitions.status_of(plane.blocks()[block.id])
    assert arithmetic.total(status.committed.values(), start=EpsilonDelta(0.0)).values[0] == pytest.approx(0.75)
    plane.ask("more", AllocateRequest("d", BudgetDemand(by_block={block.id: EpsilonDelta(0.5)})))
    assert plane.states("more") == ["pending"]
    ledger_audit.verify(plane.store)


def delete_claim(plane: Plane, name: str) -> None:
    claim = plane.claim(name)
    plane.store.delete(claim)


@pytest.mark.parametrize("is_seen", [False, True])
def test_a_block_that_lost_its_status_bears_what_deleted_claims_had_committed(plane: Plane, is_seen: bool) -> None:
    """The larger of record and ledger: the second life of the data committed more than its record from the first."""
    spend(plane, "first", register(plane, EARLIER).blocks[:1], EpsilonDelta(0.25))
    delete_all(plane)
    (block, *_) = register(plane, EARLIER).blocks
    spend(plane, "second", [block], EpsilonDelta(0.5))
    for name in ("first", "second"):
        delete_claim(plane, name)
        plane.run() if is_seen else None
    lose_status(plane, block.id)
    plane.run()
    total = arithmetic.total(
        transitions.status_of(plane.blocks()[block.id]).committed.values(), start=EpsilonDelta(0.0)
    )
    assert total.values[0] == pytest.approx(0.75)
    plane.ask("more", AllocateRequest("d", BudgetDemand(by_block={block.id: EpsilonDelta(0.5)})))
    assert plane.states("more") == ["pending"]
    plane.require_sound()


@pytest.mark.parametrize("ended", ["paid", "held"])
def test_a_block_that_lost_its_status_bears_what_a_claim_holds_under_the_name_of_another(
    plane: Plane, ended: str
) -> None:
    (block, *_) = register(plane, EARLIER).blocks
    plane.ask("c", AllocateRequest("d", BudgetDemand(by_block={block.id: EpsilonDelta(0.25)})))
    if ended == "paid":
        plane.append("c", ConsumeRequest({block.id: EpsilonDelta(0.25)}))
        plane.run()
        delete_claim(plane, "c")
    else:  # the block is deleted, and created again, after the claim
        delete_claim(plane, "c")
        delete_all(plane)
        register(plane, EARLIER)
    plane.clock.time_ms += 1
    plane.ask("c", AllocateRequest("d", BudgetDemand(by_block={block.id: EpsilonDelta(0.5)})))
    assert plane.claim("c").status.acquired == {block.id: EpsilonDelta(0.5)}
    lose_status(plane, block.id)
    plane.run()
    committed = transitions.status_of(plane.blocks()[block.id]).committed.values()
    assert arithmetic.total(committed, start=EpsilonDelta(0.0)).values[0] == pytest.approx(0.75)
    ledger_audit.verify(plane.store)


def test_a_status_that_is_lost_twice_is_restored_twice(plane: Plane) -> None:
    (block, *_) = register(plane, EARLIER).blocks
    for name in ("a", "b"):
        plane.ask(name, AllocateRequest("d", BudgetDemand(by_block={block.id: EpsilonDelta(0.25)})))
        lose_status(plane, block.id)
        plane.run()
    total = arithmetic.total(
        transitions.status_of(plane.blocks()[block.id]).committed.values(), start=EpsilonDelta(0.0)
    )
    assert total.values[0] == pytest.approx(0.5)
    ledger_audit.verify(plane.store)


def test_a_block_made_by_hand_does_not_replace_what_the_data_of_a_record_is_recognised_by(plane: Plane) -> None:
    first = register(plane, EARLIER)
    spend(plane, "c", first.blocks[:1])
    delete_all(plane)
    stated = first.blocks[0]
    digest_alone = {CONTENT_DIGEST: stated.content_digest or ""}
    for by_hand in (
        replace(stated, meta=replace(stated.meta, annotations=digest_alone)),
        replace(stated, spec=replace(stated.spec, dimensions=())),
    ):
        with pytest.raises(errors.AlreadyExists, match="would be replaced by one that says something else of its data"):
            block_admission.register(plane.store, [by_hand])
    register(plane, replace(EARLIER, dataset="other"))
    assert committed(plane) == [0.75, 0.0, 0.0]


def test_a_name_is_not_used_again_for_other_data_that_states_no_digest(plane: Plane) -> None:
    first = builders.block("b")
    block_admission.register(plane.store, [first])
    plane.run()
    spend(plane, "c", [first])
    delete_all(plane)
    with pytest.raises(errors.AlreadyExists, match="create it as it was, or under another name"):
        block_admission.register(plane.store, [replace(first, spec=replace(first.spec, data_source="file:///other"))])
    renamed = replace(first, meta=replace(first.meta, name="renamed"))
    block_admission.register(plane.store, [renamed])
    plane.run()
    assert committed(plane) == [0.75]


def test_the_audit_finds_a_budget_that_was_refreshed(plane: Plane) -> None:
    first = register(plane, EARLIER)
    spend(plane, "c", first.blocks)
    delete_all(plane)
    made = make(source(), replace(EARLIER, dataset="other"))
    for identity in made.identities:
        plane.store.keep_identity(identity)
    full = transitions.initialize_status(plane.store.create(made.blocks[0]))
    plane.store.update_status(full)
    with pytest.raises(errors.CorruptData, match="has data of the deleted block ns/d-0-0, but not what was committed"):
        ledger_audit.verify(plane.store)


def test_the_audit_finds_two_budgets_of_the_same_data(plane: Plane) -> None:
    register(plane, EARLIER)
    made = make(source(), replace(EARLIER, dataset="other"))
    plane.store.keep_identity(made.identities[0])
    plane.store.update_status(transitions.initialize_status(plane.store.create(made.blocks[0])))
    with pytest.raises(errors.CorruptData, match="its budget was refreshed"):
        ledger_audit.verify(plane.store)


def test_the_audit_finds_a_block_that_was_removed_without_a_record(plane: Plane) -> None:
    first = register(plane, EARLIER)
    spend(plane, "c", first.blocks[:1])
    plane.store.delete(plane.blocks()[first.blocks[0].id])
    with pytest.raises(errors.CorruptData, match="block ns/d-0-0, which has neither a block nor a record"):
        ledger_audit.verify(plane.store)


def test_a_block_without_an_identity_is_known_by_uri_digest_dataset_and_days(plane: Plane) -> None:
    day = {"day": 3, "digest": "sha256:1"}
    plane.store.create(builders.block("a", **day))  # type: ignore[arg-type]  # keyword arguments
    plane.run()
    same_uri = builders.block("b", dataset="other")
    same_uri = replace(same_uri, spec=replace(same_uri.spec, data_source="file:///a"))
    other_namespace = builders.block("b", day=3, digest="sha256:2")
    other_namespace = replace(other_namespace, meta=replace(other_namespace.meta, namespace="elsewhere"))
    same_digest = builders.block("b", dataset="other", digest="sha256:1")
    cannot_be_told = builders.block("b", dataset="other", digest="sha256:3", day=3)
    for refused in (same_uri, other_namespace, same_digest, cannot_be_told):
        with pytest.raises(errors.AlreadyExists, match="never refreshed"):
            block_admission.register(plane.store, [refused])
    block_admission.register(plane.store, [builders.block("b", digest="sha256:4", day=4)])


def mark_deleted(plane: Plane, block_id: str) -> None:
    """Mark a block for deletion, as an API server does."""
    block = plane.blocks()[block_id]
    if isinstance(plane.store, KubernetesStore):
        plane.store.request_deletion(block)
    else:
        other = {**block.meta.other, "deletionTimestamp": "2026-01-01T00:00:00Z"}
        plane.store.update(replace(block, meta=replace(block.meta, other=other)))


@pytest.mark.parametrize("is_refused", [False, True])
def test_a_block_that_is_deleted_before_it_is_admitted_is_removed(plane: Plane, is_refused: bool) -> None:
    if is_refused:
        plane.block("first")
    data_source = "file:///first" if is_refused else "file:///b"
    block = builders.block("b")
    plane.store.create(replace(block, spec=replace(block.spec, data_source=data_source)))
    mark_deleted(plane, "ns/b")
    done = plane.run()
    assert not done.set_aside
    assert "ns/b" not in plane.blocks()
    assert not plane.store.list_retired()
    plane.require_sound()


def test_a_block_that_is_deleted_while_its_status_is_lost_is_recorded(plane: Plane) -> None:
    (block, *_) = register(plane, EARLIER).blocks
    spend(plane, "c", [block], EpsilonDelta(0.25))
    plane.ask("held", AllocateRequest("d", BudgetDemand(by_block={block.id: EpsilonDelta(0.5)})))
    lose_status(plane, block.id)
    mark_deleted(plane, block.id)
    renamed = make(source(), replace(EARLIER, dataset="other"))
    for identity in renamed.identities:
        plane.store.keep_identity(identity)
    plane.store.create(renamed.blocks[0])  # in time for the pass that deletes the other
    plane.run()
    plane.run()
    assert block.id not in plane.blocks()
    assert sum(committed(plane)) == pytest.approx(0.75)
    ledger_audit.verify(plane.store)


def test_a_block_that_is_deleted_without_its_status_and_its_identity_is_recorded(plane: Plane) -> None:
    """Without the identity it is not admissible, but what claims hold there is known."""
    (block, *_) = register(plane, EARLIER).blocks
    plane.ask("held", AllocateRequest("d", BudgetDemand(by_block={block.id: EpsilonDelta(0.5)})))
    lose_status(plane, block.id)
    mark_deleted(plane, block.id)
    world = plane.world()
    plane.write(run_pass(replace(world, records=replace(world.records, identities={})), plane.policy))
    assert block.id not in plane.blocks()
    (record,) = plane.store.list_retired()
    assert record.total.values[0] == 0.5
    ledger_audit.verify(plane.store)


def test_what_no_part_of_a_block_states_counts_as_committed_once_it_is_deleted(plane: Plane) -> None:
    (block, *_) = register(plane, EARLIER).blocks
    spend(plane, "c", [block], EpsilonDelta(0.25))
    damaged = plane.blocks()[block.id]
    status = transitions.status_of(damaged)
    plane.store.update_status(replace(damaged, status=replace(status, committed={}, available=EpsilonDelta(0.25))))
    delete_all(plane)
    register(plane, replace(EARLIER, dataset="other"))
    assert max(committed(plane)) == pytest.approx(0.75)
