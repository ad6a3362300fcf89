"""Matching of allocate requests with blocks: the candidates of a request, and its demand on each."""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable, Collection, Iterable
from decimal import Decimal

from privatekube import errors
from privatekube.privacy import arithmetic, budget, budget_text, rounding
from privatekube.privacy.budget import PrivacyBudget
from privatekube.resources.block import Dimension, PrivateDataBlock, require_decimal
from privatekube.resources.claim import PrivacyBudgetClaim
from privatekube.resources.requests import AllocateRequest, BlockCondition

NUMERIC: dict[str, Callable[[Decimal, Decimal], bool]] = {
    ">": operator.gt,
    ">=": operator.ge,
    "=": operator.eq,
    "==": operator.eq,
    "<": operator.lt,
    "<=": operator.le,
    "greaterThan": operator.gt,
    "greaterThanOrEqual": operator.ge,
    "equal": operator.eq,
    "lessThan": operator.lt,
    "lessThanOrEqual": operator.le,
}
IS, INCLUDE = "is", "include"
EVERY_BLOCK = -1


def require_sound(request: AllocateRequest) -> None:
    """Check a request on its own, without any blocks.

    Raises:
        InvalidInput: a limit is below its bound, or a condition is unknown or incomplete.
    """
    for name, limit, least in (
        ("minNumberOfBlocks", request.min_blocks, EVERY_BLOCK),
        ("maxNumberOfBlocks", request.max_blocks, 0),
        ("timeout", request.timeout_ms, 0),
    ):
        if limit is not None and limit < least:
            raise errors.invalid(name, limit, f"must be {least} or more", "change it")
    for condition in request.conditions:
        _require_sound(condition)


def candidates(request: AllocateRequest, namespace: str, blocks: Iterable[PrivateDataBlock]) -> list[PrivateDataBlock]:
    """Return the blocks that a request is about.

    They are in the claim's namespace and dataset, meet all conditions, and are named by the demand if it names blocks.

    Raises:
        InvalidInput: the request is not sound, see `require_sound`.
    """
    require_sound(request)
    named = request.expected_budget.by_block
    return [
        block
        for block in blocks
        if block.meta.namespace == namespace
        and not block.meta.is_deleted
        and block.spec.dataset == request.dataset
        and (named is None or block.id in named)
        and all(_holds(condition, block.dimension(condition.attribute)) for condition in request.conditions)
    ]


def demand(request: AllocateRequest, chosen: Iterable[PrivateDataBlock]) -> dict[str, PrivacyBudget]:
    """Return the demand of a request on each of its candidate blocks.

    Raises:
        InvalidBudget: the demand is missing, given twice, or a function; or an amount is negative, below the
            resolution, of another type than the block's budget, or lacks one of its orders.
    """
    expected = request.expected_budget
    if expected.function is not None:
        raise errors.invalid(
            "expectedBudget.function", expected.function, "is not supported", "use constant or budgetMap instead"
        )
    if (expected.constant is None) == (expected.by_block is None):
        fault = "asks for nothing" if expected.constant is None else "has both a constant and a budgetMap"
        raise errors.InvalidBudget(f"expectedBudget: {fault}; give one of constant and budgetMap")
    demands: dict[str, PrivacyBudget] = {}
    for block in chosen:
        amount = expected.constant if expected.by_block is None else expected.by_block[block.id]
        assert amount is not None  # noqa: S101 - one of the two is given, see above
        demands[block.id] = _demand_on(block, amount)
    return demands


def _demand_on(block: PrivateDataBlock, amount: PrivacyBudget) -> PrivacyBudget:
    """Return the demand on one block, at exactly its orders.

    Without one of them, a grant would leave open what it cost there. At an order it may be zero, as in PrivateKube's
    own manifests, but not at all of them: what costs nothing would unlock, wait and fill the block's status for free.
    """
    name, capacity = f"demand on {block.id}", block.spec.initial_budget
    budget.require_amount(name, amount)
    if type(amount) is not type(capacity):
        raise errors.InvalidBudget(
            f"{name}: budget types do not match: asked {_accounting(amount)}, the block has {_accounting(capacity)}; "
            "ask for that, or use blocks of the other accounting"
        )
    try:
        amount = arithmetic.at_orders_of(amount, capacity)
    except errors.InvalidBudget as error:
        raise errors.InvalidBudget(f"{name}: {error}") from error
    if arithmetic.is_negligible(amount, capacity=capacity):
        raise errors.InvalidBudget(
            f"{name}: asked {amount}, which costs nothing: it must be above {rounding.RESOLUTION:g} of the initial "
            "budget in one component at least; ask for what the mechanisms cost"
        )
    return amount


def _accounting(amount: PrivacyBudget) -> str:
    return "a Renyi curve" if isinstance(amount, budget.RenyiCurve) else "epsilon and delta"


def require_enough(request: AllocateRequest, n_candidates: int) -> None:
    """Check the request's minimum number of blocks.

    Raises:
        InvalidInput: there are fewer candidates; the message has both numbers.
    """
    if n_candidates == 0 or (request.min_blocks or 0) > n_candidates:
        asked = "at least 1" if (request.min_blocks or 0) <= 0 else request.min_blocks
        remedy = "ask for fewer, or create more blocks"
        if n_candidates == 0:
            remedy = "create blocks in this namespace and store, or correct the dataset or the conditions"
        raise errors.InvalidInput(
            f"blocks: {n_candidates} match dataset {request.dataset!r} and its conditions, asked {asked}; {remedy}"
        )


def require_possible(request: AllocateRequest, chosen: Collection[PrivateDataBlock]) -> None:
    """Check that the demand is within the initial budget of as many candidate blocks as the request needs.

    Raises:
        InvalidBudget: it can never be granted; the message names the first block that is too small.
    """
    demands = demand(request, chosen)
    too_small = [
        block
        for block in chosen
        if not block.spec.initial_budget.admits(demands[block.id], capacity=block.spec.initial_budget)
    ]
    if len(chosen) - len(too_small) < needed(request, len(chosen)):
        first, others = too_small[0], len(too_small) - 1
        asked, whole = budget_text.asked_and_left(demands[first.id], first.spec.initial_budget)
        raise errors.InvalidBudget(
            f"demand on {first.id}: asked {asked}, more than its initial budget {whole}"
            + (f" (and {others} more)" if others else "")
            + "; ask for less, or for fewer blocks"
        )


def needed(request: AllocateRequest, n_candidates: int) -> int:
    """Return how many of its candidates a request needs: its maximum, or all."""
    return min(request.max_blocks or n_candidates, n_candidates)


def depends_on(claim: PrivacyBudgetClaim, block: PrivateDataBlock) -> bool:
    """Whether a claim has budget on a block, or has an open request that the block matches."""
    return claim.has_budget_on(block.id) or any(
        _is_candidate(request, claim.meta.namespace, block) for request in claim.open_allocate_requests
    )


def _is_candidate(request: AllocateRequest, namespace: str, block: PrivateDataBlock) -> bool:
    try:
        return bool(candidates(request, namespace, [block]))
    except errors.InvalidInput:
        return False


def _require_sound(condition: BlockCondition) -> None:
    operation = condition.operation
    if operation in NUMERIC:
        if condition.numeric_value is None:
            raise errors.InvalidInput(f"condition on {condition.attribute}: {operation} needs a numericValue; give one")
        require_decimal(condition.attribute, condition.numeric_value)
    elif operation not in (IS, INCLUDE):
        known = ", ".join([*NUMERIC, IS, INCLUDE])
        raise errors.invalid(f"operation on {condition.attribute}", operation, "is unknown", f"use one of {known}")
    elif condition.string_value is None:
        raise errors.InvalidInput(f"condition on {condition.attribute}: {operation} needs a stringValue; give it one")


def _holds(condition: BlockCondition, dimension: Dimension | None) -> bool:
    if dimension is None:
        return False
    if condition.operation in NUMERIC:
        if dimension.numeric_value is None:
            return False
        return NUMERIC[condition.operation](number(dimension.numeric_value), number(condition.numeric_value or ""))
    wanted = condition.string_value or ""
    if condition.operation == IS:
        return dimension.string_value == wanted
    return dimension.string_value in [value.strip() for value in wanted.strip("[] ").split(",")]


number = functools.lru_cache(maxsize=65_536)(Decimal)
"""A number of a dimension or a condition: each request looks at those of all blocks."""
