"""The requests of a claim: the entries of spec.requests."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from privatekube.privacy.budget import PrivacyBudget
from privatekube.resources.block import Budgets

ALL_OR_NOTHING, ABORT_AVAILABLE = "allOrNothing", "abortAvailable"
"""Options in the policy of a consume or release request, such as `allOrNothing=true`."""


@dataclass(frozen=True, slots=True)
class BlockCondition:
    """A test on one dimension of a block; `operation` as on the wire (`>=`, `is`, `include`, ...)."""

    attribute: str
    operation: str
    numeric_value: str | None = None
    string_value: str | None = None


@dataclass(frozen=True, slots=True)
class BudgetDemand:
    """The demand on each block: one amount for all, an amount by block id, or a named function (not supported).

    If all three are None, it is the wire's empty object.

    Args:
        constant: the amount on every block.
        by_block: the amount by block id.
        function: read and written, but refused.

    Example:
        >>> from privatekube.privacy.budget import EpsilonDelta
        >>> BudgetDemand(EpsilonDelta(1.0, 1e-9)).constant
        EpsilonDelta(epsilon=1.0, delta=1e-09)
    """

    constant: PrivacyBudget | None = None
    by_block: Budgets | None = None
    function: str | None = None


@dataclass(frozen=True, slots=True)
class AllocateRequest:
    """Ask for budget on the blocks of a dataset that meet all conditions.

    Args:
        dataset: of the blocks.
        expected_budget: the demand.
        min_budget: read and written, but not used.
        conditions: on the dimensions of blocks; all must hold.
        min_blocks: minimum number of matching blocks; None for no minimum, -1 for all or none.
        max_blocks: number of matching blocks to grant; None for all.
        timeout_ms: how long to wait; None for the scheduler's default.

    Example:
        >>> from privatekube.privacy.budget import EpsilonDelta
        >>> demand = BudgetDemand(EpsilonDelta(1.0, 1e-9))
        >>> AllocateRequest(dataset="reviews", expected_budget=demand, max_blocks=7).max_blocks
        7
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
        consume: the amounts, by block id.
        policy: as on the wire, such as `allOrNothing=true`.
        mechanisms: the mechanisms that ran, for the ledger; no decision depends on them.
    """

    consume: Budgets
    policy: str | None = None
    mechanisms: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ReleaseRequest:
    """Release acquired budget, per block; `policy` as on the wire, such as `abortAvailable=true`."""

    release: Budgets
    policy: str | None = None


@dataclass(frozen=True, slots=True)
class MalformedRequest:
    """A request that cannot be read: its document, and the fault with which it is answered."""

    document: Mapping[str, object]
    fault: str


@dataclass(frozen=True, slots=True)
class Request:
    """One entry of spec.requests; its index is part of its id, see `RequestId`."""

    identifier: str
    action: AllocateRequest | ConsumeRequest | ReleaseRequest | MalformedRequest
