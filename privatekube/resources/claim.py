"""PrivacyBudgetClaim: an append-only list of requests for budget, and their answers (spec of PrivateKube, OSDI'21)."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from privatekube.privacy.budget import PrivacyBudget
from privatekube.resources import meta
from privatekube.resources.block import Budgets

ALL_OR_NOTHING = "allOrNothing"
ABORT_AVAILABLE = "abortAvailable"


class ResponseState(enum.StrEnum):
    """State of the answer to one request."""

    PENDING = "pending"
    SUCCESS = "success"
    FAILURE = "failure"


@dataclass(frozen=True, slots=True)
class Condition:
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
    conditions: tuple[Condition, ...] = ()
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
    """One entry of spec.requests; its index gives it the id `namespace/claim/index`."""

    identifier: str
    action: AllocateRequest | ConsumeRequest | ReleaseRequest | MalformedRequest


@dataclass(frozen=True, slots=True)
class Allocation:
    """What an allocate request holds on one block: granted, or demanded while it waits."""

    acquired: PrivacyBudget | None = None
    reserved: PrivacyBudget | None = None


@dataclass(frozen=True, slots=True)
class Settlement:
    """What a consume or release request moved on one block, or why not."""

    budget: PrivacyBudget | None = None
    error: str | None = None


@dataclass(frozen=True, slots=True)
class AllocateResponse:
    """Answer to an allocate request, by block id; times in unix milliseconds."""

    budgets: Mapping[str, Allocation] = field(default_factory=lambda: MappingProxyType({}))
    start_time_ms: int | None = None
    finish_time_ms: int | None = None


@dataclass(frozen=True, slots=True)
class ConsumeResponse:
    """Answer to a consume request, by block id."""

    blocks: Mapping[str, Settlement] = field(default_factory=lambda: MappingProxyType({}))


@dataclass(frozen=True, slots=True)
class ReleaseResponse:
    """Answer to a release request, by block id."""

    blocks: Mapping[str, Settlement] = field(default_factory=lambda: MappingProxyType({}))


@dataclass(frozen=True, slots=True)
class Response:
    """The answer to the request of the same index."""

    identifier: str
    state: ResponseState
    error: str | None = None
    detail: AllocateResponse | ConsumeResponse | ReleaseResponse | None = None


@dataclass(frozen=True, slots=True)
class SettleAfter:
    """When the control plane settles a claim whose run did not: a time that the run puts off as it goes on.

    Args:
        seconds: how far it is put off each time.
        at_ms: the time, unix milliseconds.
    """

    seconds: int
    at_ms: int

    @classmethod
    def of(cls, seconds: int, *, now_ms: int) -> SettleAfter:
        """So many seconds from now."""
        return cls(seconds, now_ms + 1000 * seconds)


@dataclass(frozen=True, slots=True)
class ClaimSpec:
    """What the claimant writes.

    Args:
        requests: append-only; answered strictly in order.
        data_opened: set when the data behind the claim was read, for good: from then on its budget cannot be released.
        priority: recorded for ordering policies that say so.
        owned_by: references, recorded.
        settle_after: when the control plane settles it; None for never.
    """

    requests: tuple[Request, ...] = ()
    data_opened: bool = False
    priority: int | None = None
    owned_by: tuple[Mapping[str, object], ...] = ()
    settle_after: SettleAfter | None = None


@dataclass(frozen=True, slots=True)
class ClaimStatus:
    """What the control plane writes. Maps are by block id."""

    acquired: Budgets = field(default_factory=lambda: MappingProxyType({}))
    reserved: Budgets = field(default_factory=lambda: MappingProxyType({}))
    committed: Budgets = field(default_factory=lambda: MappingProxyType({}))
    responses: tuple[Response, ...] = ()
    conditions: tuple[meta.Condition, ...] = ()


@dataclass(frozen=True, slots=True)
class PrivacyBudgetClaim:
    """A claim."""

    meta: meta.ObjectMeta
    spec: ClaimSpec
    status: ClaimStatus = ClaimStatus()

    @property
    def id(self) -> str:
        """`namespace/name`."""
        return self.meta.id

    def request_id(self, index: int) -> str:
        """The id of the request at `index`: `namespace/claim/index`."""
        return f"{self.id}/{index}"
