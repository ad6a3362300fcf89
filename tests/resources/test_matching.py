"""The candidates of a request, and its demand on each."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from privatekube import errors
from privatekube.privacy.budget import EpsilonDelta, RenyiCurve
from privatekube.resources import matching
from privatekube.resources.block import Dimension, PrivateDataBlock
from privatekube.resources.requests import AllocateRequest, BlockCondition, BudgetDemand
from tests import builders


def block(name: str, **dimensions: str | int) -> PrivateDataBlock:
    made = builders.block(name)
    stated = tuple(
        Dimension(key, numeric_value=str(value)) if isinstance(value, int) else Dimension(key, string_value=value)
        for key, value in dimensions.items()
    )
    return replace(made, spec=replace(made.spec, dimensions=stated))


BLOCKS = [block("a", day=1, unit="event"), block("b", day=2, unit="user-day"), block("c", unit="event")]


def matches(*conditions: BlockCondition) -> str:
    request = replace(builders.allocate(), conditions=conditions)
    return "".join(candidate.meta.name for candidate in matching.candidates(request, "ns", BLOCKS))


@pytest.mark.parametrize(
    ("operation", "value", "names"),
    [
        (">", "1", "b"), (">=", "1", "ab"), ("=", "1.0", "a"), ("==", "2", "b"), ("<", "2", "a"), ("<=", "2.", "ab"),
        ("greaterThan", "1", "b"), ("greaterThanOrEqual", "1", "ab"), ("equal", "2", "b"), ("lessThan", "2", "a"),
        ("lessThanOrEqual", "-.5", ""),
    ],
)  # fmt: skip
def test_numbers_are_compared_as_numbers_and_a_missing_number_does_not_match(
    operation: str, value: str, names: str
) -> None:
    assert matches(BlockCondition("day", operation, numeric_value=value)) == names


def test_a_string_matches_if_it_is_equal_or_in_a_list() -> None:
    assert matches(BlockCondition("unit", "is", string_value="event")) == "ac"
    assert matches(BlockCondition("unit", "include", string_value="[user-day, week]")) == "b"
    assert matches(BlockCondition("unit", "include", string_value="[event, user-day]")) == "abc"
    assert matches(BlockCondition("missing", "is", string_value="event")) == ""


def test_all_conditions_must_hold() -> None:
    assert matches(BlockCondition("day", ">=", "1"), BlockCondition("unit", "is", string_value="event")) == "a"


@pytest.mark.parametrize(
    ("condition", "fault"),
    [
        (BlockCondition("day", "~", "1"), "operation on day: '~' is unknown; use one of >, >=,"),
        (BlockCondition("day", ">", "1e5"), "numericValue of day: '1e5' is not a decimal number"),
        (BlockCondition("day", ">", "Infinity"), "numericValue of day: 'Infinity' is not a decimal number"),
        (BlockCondition("day", ">", string_value="1"), "condition on day: > needs a numericValue"),
        (BlockCondition("unit", "is", "1"), "condition on unit: is needs a stringValue"),
    ],
)
def test_a_malformed_condition_is_refused(condition: BlockCondition, fault: str) -> None:
    with pytest.raises(errors.InvalidInput) as refused:
        matches(condition)
    assert str(refused.value).startswith(fault)


def test_other_namespaces_datasets_and_blocks_not_in_the_budget_map_do_not_match() -> None:
    request = builders.allocate()
    assert matching.candidates(request, "elsewhere", BLOCKS) == []
    assert matching.candidates(replace(request, dataset="x"), "ns", BLOCKS) == []
    named = replace(request, expected_budget=BudgetDemand(by_block={"ns/b": EpsilonDelta(0.5)}))
    assert matching.candidates(named, "ns", BLOCKS) == [BLOCKS[1]]
    assert matching.demand(named, [BLOCKS[1]]) == {"ns/b": EpsilonDelta(0.5)}


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"max_blocks": -2}, "maxNumberOfBlocks: -2 must be 0 or more"),
        ({"min_blocks": -2}, "minNumberOfBlocks: -2 must be -1 or more"),
        ({"timeout_ms": -1}, "timeout: -1 must be 0 or more"),
    ],
)
def test_limits_below_their_bound_are_refused(change: Any, fault: str) -> None:
    with pytest.raises(errors.InvalidInput) as refused:
        matching.candidates(replace(builders.allocate(), **change), "ns", BLOCKS)
    assert str(refused.value).startswith(fault)


@pytest.mark.parametrize(
    ("demand", "fault"),
    [
        (BudgetDemand(), "expectedBudget: asks for nothing"),
        (BudgetDemand(EpsilonDelta(1), {"ns/a": EpsilonDelta(1)}), "expectedBudget: has both a constant and"),
        (BudgetDemand(function="f"), "expectedBudget.function: 'f' is not supported"),
        (BudgetDemand(EpsilonDelta(-1)), "demand on ns/a: -1.0 is negative"),
        (BudgetDemand(RenyiCurve((2,), (1,))), "demand on ns/a: budget types do not match: asked a Renyi curve, the "),
    ],
)
def test_a_malformed_demand_is_refused(demand: BudgetDemand, fault: str) -> None:
    with pytest.raises(errors.InvalidInput) as refused:
        matching.demand(replace(builders.allocate(), expected_budget=demand), BLOCKS[:1])
    assert str(refused.value).startswith(fault)


def test_a_demand_at_orders_that_a_block_does_not_have_is_refused() -> None:
    made = builders.block(budget=RenyiCurve((2, 4), (1, 1)))
    with pytest.raises(errors.InvalidBudget, match="lacks the orders 2, 4 of the block"):
        matching.demand(builders.allocate(demand=RenyiCurve((3,), (0.1,))), [made])


def test_a_demand_that_leaves_out_an_order_of_a_block_is_refused() -> None:
    made = builders.block(budget=RenyiCurve((2, 4, 8), (1, 1, 1)))
    with pytest.raises(errors.InvalidBudget, match="demand on ns/b: renyi: lacks the orders 2, 8 of the block; name"):
        matching.demand(builders.allocate(demand=RenyiCurve((4, 16), (0.1, 0.1))), [made])


def test_a_demand_is_at_the_orders_of_the_block() -> None:
    """It may name more, and be zero at some, as a claim in PrivateKube's examples does."""
    made = builders.block(budget=RenyiCurve((2, 4), (1, 1)))
    asked = builders.allocate(demand=RenyiCurve((1.5, 2, 4, 8), (0.0, 0.0, 0.1, 0.1)))
    assert matching.demand(asked, [made]) == {"ns/b": RenyiCurve((2, 4), (0.0, 0.1))}


@pytest.mark.parametrize("amount", [EpsilonDelta(0.0), EpsilonDelta(1e-13), EpsilonDelta(5e-324, 1e-20)])
def test_a_demand_that_costs_nothing_is_refused(amount: EpsilonDelta) -> None:
    made = builders.block(budget=EpsilonDelta(1.0, 1e-7))
    with pytest.raises(errors.InvalidBudget, match=r"which costs nothing: it must be above 1e-12 of the initial"):
        matching.demand(builders.allocate(demand=amount), [made])


def test_a_curve_that_costs_nothing_at_any_order_is_refused() -> None:
    made = builders.block(budget=RenyiCurve((2, 4), (1, 1)))
    with pytest.raises(errors.InvalidBudget, match="costs nothing"):
        matching.demand(builders.allocate(demand=RenyiCurve((2, 4), (0.0, 1e-13))), [made])


def test_a_demand_of_delta_alone_is_not_nothing() -> None:
    """A mechanism that reveals a record with probability delta, and else nothing, has epsilon 0."""
    made = builders.block(budget=EpsilonDelta(10.0, 1e-7))
    asked = builders.allocate(demand=EpsilonDelta(0.0, 9e-12))
    assert matching.demand(asked, [made]) == {"ns/b": EpsilonDelta(0.0, 9e-12)}


@pytest.mark.parametrize(
    ("least", "count", "enough"), [(None, 1, True), (None, 0, False), (-1, 3, True), (3, 3, True), (4, 3, False)]
)
def test_fewer_blocks_than_requested_are_refused(least: int | None, count: int, enough: bool) -> None:
    request = replace(builders.allocate(), min_blocks=least)
    if enough:
        matching.require_enough(request, count)
    else:
        with pytest.raises(errors.InvalidInput, match=f"blocks: {count} match"):
            matching.require_enough(request, count)


def test_a_maximum_above_the_number_of_candidates_means_all_of_them() -> None:
    assert matching.needed(builders.allocate(), 3) == 3
    assert matching.needed(builders.allocate(blocks=2), 3) == 2
    assert matching.needed(builders.allocate(blocks=9), 3) == 3


@pytest.mark.parametrize(
    ("candidates", "remedy"),
    [(0, "create blocks in this namespace and store, or correct the dataset"), (2, "ask for fewer, or create more")],
)
def test_too_few_blocks_are_refused_with_what_can_be_done(candidates: int, remedy: str) -> None:
    request = AllocateRequest(dataset="d", min_blocks=3, expected_budget=BudgetDemand(constant=EpsilonDelta(0.1)))
    with pytest.raises(errors.InvalidInput, match=f"^blocks: {candidates} match dataset 'd' and .*, asked 3; {remedy}"):
        matching.require_enough(request, candidates)
