"""What each view says, computed from resources alone."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from privatekube import errors
from privatekube.client import connect
from privatekube.client.client import BudgetClient
from privatekube.page.snapshot import Kept, Snapshot, left_of
from privatekube.page.views import (
    block_views,
    claim_views,
    datasets,
    ledger_views,
    paging,
    policy_views,
    run_views,
    spending,
    team_views,
    wording,
)
from privatekube.privacy.budget import EpsilonDelta, RenyiCurve
from privatekube.resources import ledger_csv, quota, remaining
from privatekube.resources.block import BlockStatus
from privatekube.resources.meta import ObjectMeta
from privatekube.resources.quota import PrivacyBudgetQuota, QuotaSpec
from privatekube.resources.requester import Requester
from privatekube.resources.summary import ClaimState
from tests import builders
from tests.page import sites
from tests.page.sites import CAPACITY, SCRIPT


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BudgetClient]:
    with connect.connect(sites.fill(tmp_path_factory.mktemp("views") / "state.db")) as opened:
        yield opened


@pytest.fixture(scope="module")
def snapshot(client: BudgetClient) -> Snapshot:
    return sites.snapshot(client)


def test_what_is_left_is_that_of_the_scarcer_component_and_of_the_best_renyi_order() -> None:
    whole = EpsilonDelta(10.0, 1e-7)
    block = replace(builders.block("a", whole), status=BlockStatus(whole * 0.0, EpsilonDelta(8.0, 2e-8)))
    assert str(remaining.of_block(block)) == "2 of epsilon 10 (20.0%)"
    curve = builders.curve(1.0, 4.0)
    renyi = replace(builders.block("r", curve), status=BlockStatus(curve * 0.0, builders.curve(-0.5, 3.0)))
    assert remaining.of_block(renyi).share == pytest.approx(0.75)


@given(st.lists(st.floats(-5.0, 20.0), min_size=13, max_size=13))
def test_what_is_left_is_a_share_whatever_the_block_says(left: list[float]) -> None:
    curve = RenyiCurve(CAPACITY.orders, tuple(left))
    block = replace(builders.block("r", CAPACITY), status=BlockStatus(CAPACITY * 0.0, curve))
    found = remaining.of_block(block)
    assert 0.0 <= found.share <= 1.0
    assert 0 <= found.tenth <= 10
    assert found.lifetime is not None
    assert found.lifetime.epsilon == pytest.approx(10.0)


def test_a_curve_that_guarantees_nothing_has_a_share_and_no_epsilon() -> None:
    assert remaining.of_block(builders.block("r", builders.curve(0.0, 0.0))).epsilon is None


def test_a_day_has_its_weekday_and_what_is_not_a_day_is_shown_as_it_is() -> None:
    assert wording.day(Decimal(7)) == "Tue 2013-01-08"
    assert wording.day(Decimal(-1)) == "Mon 2012-12-31"
    assert wording.day(Decimal("0.5")) == "0.5"
    assert wording.day(Decimal("1e9")) == "1e+9"
    assert wording.day(Decimal("1e400")) == "1.0000e+400"


def test_the_heat_map_has_each_block_at_its_time_and_bucket_in_parts(snapshot: Snapshot) -> None:
    blocks = snapshot.datasets["ns", "reviews"]
    whole = datasets.heat_map(snapshot, blocks)
    assert (len(whole.columns), whole.rows, len(whole.cells)) == (10, ("bucket 0", "bucket 1"), 20)
    (cell,) = [cell for cell in whole.cells if cell.block == "ns/reviews-7-1"]
    assert (cell.column, cell.row, cell.left.tenth) == (7, 1, 8)
    many = [builders.block(f"d{day}", day=day) for day in range(150)]
    long = replace(sites.of_resources(many, []))
    parts = [datasets.heat_map(long, many, part=part) for part in (1, 2, 3, 9)]
    assert [len(part.columns) for part in parts] == [60, 60, 30, 30]
    assert parts[0].columns[-1] == wording.day(Decimal(149))
    assert {cell.block for part in parts for cell in part.cells} == {block.id for block in many}


def test_a_dataset_runs_out_when_all_of_it_is_spent_and_an_unspent_one_not_before_a_day(
    snapshot: Snapshot,
) -> None:
    hostile, reviews = datasets.datasets(snapshot)
    assert hostile.name == SCRIPT
    assert (reviews.n_blocks, round(reviews.left, 6)) == (20, 0.82)
    assert reviews.all_out.at_ms == pytest.approx(reviews.first_out.at_ms, abs=1000)
    assert str(reviews.all_out).startswith("about ")
    assert str(hostile.all_out).startswith("not before ")


def test_what_was_spent_is_added_up_by_claim_namespace_dataset_and_month(snapshot: Snapshot) -> None:
    for by, name in (
        (spending.By.CLAIM, "ns/paid"),
        (spending.By.NAMESPACE, "ns"),
        (spending.By.DATASET, "reviews"),
        (spending.By.MONTH, wording.moment(snapshot.now_ms)[:7]),
    ):
        (found,) = spending.spenders(snapshot, by)
        assert (found.name, found.n_blocks, found.n_claims) == (name, 20, 1)
        assert found.lifetimes == pytest.approx(20 * 0.09)
    assert spending.spenders(snapshot, spending.By.CLAIM)[0].claim_exists


def test_what_was_spent_is_added_up_by_user_team_and_purpose(snapshot: Snapshot) -> None:
    first, second, *_ = snapshot.amounts
    why = Requester(user="ann", team="ads", purpose="clicks")
    entries = [replace(first, requester=why), replace(second, requester=replace(why, team=None))]
    for by, names in (
        (spending.By.USER, {"ann"}),
        (spending.By.TEAM, {"ads", "not stated"}),
        (spending.By.PURPOSE, {"clicks"}),
    ):
        assert {spender.name for spender in spending.spenders(snapshot, by, entries)} == names
    for ordered in (entries, entries[::-1]):  # the latest entry says who it is, in whatever order they come
        (spender,) = spending.spenders(snapshot, spending.By.CLAIM, ordered)
        assert (spender.name, spender.who) == ("ns/paid", "ann")


def test_a_quota_says_what_of_it_is_committed_or_held_and_a_team_without_one_what_it_committed(
    snapshot: Snapshot,
) -> None:
    paid = tuple(replace(entry, requester=Requester(team="ads")) for entry in snapshot.amounts)
    with_teams = replace(
        snapshot,
        entries=paid,
        quotas=(
            PrivacyBudgetQuota(ObjectMeta("ads", "ns"), QuotaSpec("reviews", "ads", share=0.1)),
            PrivacyBudgetQuota(ObjectMeta("shop", "ns"), QuotaSpec("reviews", "shop", epsilon=0.0)),
            quota.closed(ObjectMeta("bad", "ns"), "cannot be read"),
            *snapshot.quotas,
        ),
    )
    uses = {use.name: use for use in team_views.quota_uses(with_teams)}
    assert list(uses) == ["ns/ads", "ns/all", "ns/bad", "ns/shop", "ns/threshold"]
    assert uses["ns/ads"].most == pytest.approx(0.9)
    assert uses["ns/ads"].mean == pytest.approx(0.9)
    assert uses["ns/all"].most == pytest.approx(0.2)  # what is held counts, too
    assert uses["ns/all"].allows == "0.9 of the budget of each block, for its lifetime"
    assert uses["ns/threshold"].allows == "0.5 of the budget of each block, for its lifetime; more with an approval"
    assert (uses["ns/bad"].fault, uses["ns/bad"].most, uses["ns/shop"].most) == ("cannot be read", None, None)
    assert team_views.teams_without_quota(with_teams) == []
    assert [spender.name for spender in team_views.teams_without_quota(snapshot)] == ["not stated"]


def test_a_decision_is_in_the_ledger_and_its_export_and_is_nothing_that_was_spent(snapshot: Snapshot) -> None:
    entry = replace(builders.rejection("ns/paid"), sequence=len(snapshot.entries) + 1)
    later = replace(snapshot, entries=(*snapshot.entries, entry))
    (found,) = ledger_views.search(later, "rejected by BOB: too much")
    row = ledger_views.row(later, found)
    assert (row.block, row.share, row.amount, row.reason) == ("", None, "", "rejected by bob: too much")
    assert json.loads(ledger_views.to_json([found]))["entries"][0]["decision"]["approver"] == "bob"
    assert spending.spenders(later, spending.By.CLAIM) == spending.spenders(snapshot, spending.By.CLAIM)
    assert later.run_outs == snapshot.run_outs


def test_what_data_inherited_or_folded_is_not_spent_twice(snapshot: Snapshot) -> None:
    entry = replace(snapshot.amounts[0], claim="inherited", reason="inherited")
    assert spending.spenders(snapshot, spending.By.CLAIM, [entry]) == []


def test_what_was_spent_is_derived_again_for_the_blocks_alone_that_changed_or_have_new_entries(
    snapshot: Snapshot,
) -> None:
    first, second, *_ = snapshot.amounts
    entry = replace(first, sequence=len(snapshot.entries) + 1)
    written = replace(snapshot.blocks[second.block], status=BlockStatus(CAPACITY * 0.0, CAPACITY))
    blocks = {**snapshot.blocks, written.id: written}
    later = replace(snapshot, blocks=blocks, entries=(*snapshot.entries, entry), kept=snapshot.keep())
    later = replace(later, left=left_of(blocks.values(), snapshot))
    assert len(later.histories[first.block].commits) == len(snapshot.histories[first.block].commits) + 1
    assert later.histories[second.block].left == 1.0
    derived = {block_id for block_id, item in later.histories.items() if item is not snapshot.histories[block_id]}
    assert derived == {first.block, second.block}
    assert later.histories == replace(later, kept=Kept()).histories


def test_claims_that_wait_are_first_and_say_why_in_words(snapshot: Snapshot) -> None:
    rows = [claim_views.row(snapshot, claim) for claim in claim_views.rows(snapshot)]
    assert [(row.id, row.position) for row in rows[:2]] == [("ns/later", 1), ("ns/greedy", 2)]
    assert rows[0].reason.startswith("waits: block ns/reviews-0-0 lacks order 5: asked 3.07")
    reasons = {row.id: row.reason for row in rows}
    assert reasons["ns/greedy"] == "waits for an approval by somebody else"
    assert reasons["ns/denied"].startswith("blocks: 0 match dataset")
    assert {row.id: row.state for row in rows} == {
        "ns/later": ClaimState.WAITING,
        "ns/greedy": ClaimState.AWAITS_APPROVAL,
        "ns/denied": ClaimState.FAILURE,
        "ns/held": ClaimState.ACQUIRED,
        "ns/paid": ClaimState.CONSUMED,
    }
    assert [claim.id for claim in claim_views.rows(snapshot, search="HEL", state="acquired")] == ["ns/held"]


def test_a_block_lists_who_holds_how_much_and_not_all_of_very_many(snapshot: Snapshot) -> None:
    found = block_views.block(snapshot, "ns/reviews-7-0")
    assert found is not None
    names = [row[0] for row in found.amounts]
    assert "acquired by ns/held" in names
    assert "committed by ns/paid" in names
    crowd = {f"ns/c{number}": EpsilonDelta(0.001) for number in range(500)}
    status = BlockStatus(EpsilonDelta(0.0), EpsilonDelta(0.5), reserved=crowd)
    crowded = block_views.block(sites.of_resources([replace(builders.block("a"), status=status)], []), "ns/a")
    assert crowded is not None
    assert (len(crowded.amounts), crowded.n_hidden) == (200, 303)
    assert block_views.block(snapshot, "ns/none") is None


def test_blocks_are_found_by_day_and_the_scarcest_is_first(snapshot: Snapshot) -> None:
    found = block_views.rows(snapshot, search="tue 2013-01-08")
    assert {block.id for block in found} == {"ns/reviews-7-0", "ns/reviews-7-1"}
    shares = [snapshot.left[block.id].share for block in block_views.rows(snapshot)]
    assert shares == sorted(shares)


def test_a_cell_of_an_export_is_never_a_formula(snapshot: Snapshot) -> None:
    entry = replace(snapshot.amounts[0], dataset="=1+1", requester=Requester(purpose="@SUM(A1)"))
    _, line = ledger_csv.of_entries([entry])
    assert ",'=1+1," in line
    assert ",'@SUM(A1)," in line


def test_pages_cover_all_rows_once() -> None:
    pages = [paging.page(range(250), number) for number in (1, 2, 3)]
    assert [row for page in pages for row in page.rows] == list(range(250))
    assert paging.page([], 5) == paging.Page((), 1, 1, 0)


def test_another_policy_says_what_it_would_have_granted(snapshot: Snapshot) -> None:
    found = policy_views.what_if(snapshot, {"unlock": "all", "order": "fcfs"})
    assert (found.replayed, found.was_granted, found.granted) == (4, 2, 3)
    assert (found.gained, found.lost) == (("ns/later",), ())
    assert found.least_left == pytest.approx(0.32)
    old = {
        key: replace(claim, meta=replace(claim.meta, creation_time_ms=10**12)) for key, claim in snapshot.claims.items()
    }
    with pytest.raises(errors.InvalidInput, match="unlocks more than 20,000 times"):
        policy_views.what_if(replace(snapshot, claims=old), {"unlock": "t=10ms,1d", "order": "dpf"})


def test_runs_are_compared_in_what_differs(tmp_path: Path) -> None:
    sites.publish(tmp_path, "r1", settings={"learning_rate": 0.1, "seed": 0})
    sites.publish(tmp_path, "r2", accuracy=0.8, settings={"learning_rate": 0.5, "seed": 0})
    (tmp_path / "unfinished").mkdir()
    (tmp_path / "latest").symlink_to("r2")
    (tmp_path / "r3").mkdir()
    (tmp_path / "r3" / "receipt.json").write_text("{}")
    runs = run_views.published(tmp_path)
    assert [run.folder for run in runs] == ["r2", "r1"]
    found = run_views.compare(runs)
    assert found.differing == (("learning_rate", ("0.5", "0.1")),)
    assert [name for name, _ in found.classes] == ["books", SCRIPT]
    assert run_views.published(tmp_path / "nowhere") == []


def test_a_revision_changes_with_what_is_stored_and_not_with_time(snapshot: Snapshot) -> None:
    assert replace(snapshot, now_ms=0).revision == snapshot.revision
    fewer = dict(list(snapshot.claims.items())[1:])
    assert replace(snapshot, claims=fewer).revision != snapshot.revision
    assert replace(snapshot, settings={"order": "fcfs"}).revision != snapshot.revision


def test_what_is_left_is_computed_again_only_for_blocks_that_were_written(snapshot: Snapshot) -> None:
    again = left_of(snapshot.blocks.values(), snapshot)
    assert all(again[name] is snapshot.left[name] for name in again)
    written = replace(snapshot.blocks["ns/hostile"], status=None)
    assert left_of([written], snapshot)["ns/hostile"].share == 1.0
