"""Blocks are found by name and by number, and none that a request matches is missed."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from privatekube.privacy.budget import EpsilonDelta
from privatekube.resources import matching
from privatekube.resources.block_index import BlockIndex
from privatekube.resources.requests import AllocateRequest, BlockCondition, BudgetDemand
from tests import builders

BLOCKS = [
    builders.block(
        f"b{number}", dataset="xy"[number % 2], day=None if number % 5 == 4 else number % 3, bucket=number % 4
    )
    for number in range(24)
]
conditions = st.builds(
    BlockCondition,
    attribute=st.sampled_from(["startTime", "userBucket", "missing"]),
    operation=st.sampled_from(sorted(matching.NUMERIC)),
    numeric_value=st.sampled_from(["-1", "0", "1", "1.5", "2", "9"]),
)
demands = st.one_of(
    st.just(BudgetDemand(constant=EpsilonDelta(0.1))),
    st.lists(st.sampled_from([*(block.id for block in BLOCKS), "ns/gone"])).map(
        lambda names: BudgetDemand(by_block=dict.fromkeys(names, EpsilonDelta(0.1)))
    ),
)


@given(st.sampled_from("xyz"), demands, st.lists(conditions, max_size=3))
def test_no_block_that_a_request_matches_is_missed_and_the_order_is_kept(
    dataset: str, demand: BudgetDemand, chosen: list[BlockCondition]
) -> None:
    request = AllocateRequest(dataset, demand, conditions=tuple(chosen))
    near = BlockIndex(BLOCKS).near(request, builders.NAMESPACE)
    narrowed = [block for block in BLOCKS if block.id in near]
    assert [block.id for block in narrowed] == near
    assert matching.candidates(request, builders.NAMESPACE, narrowed) == matching.candidates(
        request, builders.NAMESPACE, BLOCKS
    )


def test_a_request_for_days_looks_at_the_blocks_of_these_days_alone() -> None:
    blocks = [builders.block(f"b{day}", day=day) for day in range(100)]
    days = (
        BlockCondition("startTime", ">=", numeric_value="40"),
        BlockCondition("startTime", "<=", numeric_value="41"),
        BlockCondition("endTime", "=", numeric_value="41"),
    )
    request = AllocateRequest("d", BudgetDemand(constant=EpsilonDelta(0.1)), conditions=days)
    assert BlockIndex(blocks).near(request, builders.NAMESPACE) == ["ns/b41"]


def test_a_condition_that_is_not_sound_is_left_to_the_matching_that_refuses_it() -> None:
    faulty = BlockCondition("startTime", ">=", numeric_value="soon")
    request = AllocateRequest("x", BudgetDemand(constant=EpsilonDelta(0.1)), conditions=(faulty,))
    assert BlockIndex(BLOCKS).near(request, builders.NAMESPACE) == [b.id for b in BLOCKS if b.spec.dataset == "x"]
