"""What a claim asks for: the entries of spec.requests."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from privatekube.privacy.budget import PrivacyBudget
from privatekube.resources.block import Budgets

ALL_OR_NOTHING = "allOrNothing"


ABORT_AVAILABLE = "abortAvailable"


@dataclass(frozen=True, slots=True)
class BlockCondition:
    """A test on one dimension of a block; `operation` as on the wire (`>=`, `is`, `include`, ...)."""

    attribute: str
    operation: str
    numeric_value: str | None = None
    string_value: str | None = None


@dataclass(frozen=True, slots=True)
class BudgetDemand:
    """What is asked of each block: one amount for all, an amount by block id, or a named function (refused).

    All None is the wire's empty object: nothing.
    """

    constant: PrivacyBudget | None = None
    by_block: Budgets | None = None
    function: str | None = None


@dataclass(frozen=True, slots=True)
class AllocateRequest:
    """Ask for budget on the blocks of a dataset that meet all conditions.

    Args:
        min_blocks: None asks for no minimum; -1 for every matching block or nothing.
        max_blocks: None takes all matching blocks.
        timeout_ms: None takes the scheduler's default.
    """

    dataset: str
    expected_budget: BudgetDemand
    min_budget: BudgetDemand | None = None
    conditions: tuple[BlockCondition, ...] = ()
    min_blocks: int | None = None
    max_blocks: int | None = None
    timeout_ms: int | None = None


@dataclass(frozen=True, slots=True)
class ConsumeRequest:
    """Move acquired budget to committed, per block.

    Args:
        policy: as on the wire, such as `allOrNothing=true`.
        mechanisms: what ran for it, for the ledger; nothing is decided by it.
    """

    consume: Budgets
    policy: str | None = None
    mechanisms: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ReleaseRequest:
    """Give acquired budget back, per block; `policy` as on the wire, such as `abortAvailable=true`."""

    release: Budgets
    policy: str | None = None


@dataclass(frozen=True, slots=True)
class MalformedRequest:
    """A request that cannot be read, as it came, and what is wrong with it; it is answered with that."""

    document: Mapping[str, object]
    fault: str


@dataclass(frozen=True, slots=True)
class Request:
    """One entry of spec.requests; its index is part of its id, see `RequestId`."""

    identifier: str
    action: AllocateRequest | ConsumeRequest | ReleaseRequest | MalformedRequest
