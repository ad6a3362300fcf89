"""PrivacyBudgetClaim: an append-only list of requests for budget, and their answers (spec of PrivateKube, OSDI'21)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from privatekube import errors
from privatekube.privacy import budget
from privatekube.resources import meta
from privatekube.resources.block import Budgets
from privatekube.resources.request_id import RequestId
from privatekube.resources.requests import AllocateRequest, Request
from privatekube.resources.responses import AllocateResponse, ConsumeResponse, Response, ResponseState


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

    def renewed(self, *, now_ms: int, seconds: int | None = None) -> ClaimSpec:
        """Postpone the time to settle: by as many seconds as before, or else by `seconds`; None for never."""
        after = seconds if self.settle_after is None else self.settle_after.seconds
        return self if after is None else replace(self, settle_after=SettleAfter.of(after, now_ms=now_ms))


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

    def request_id(self, index: int) -> RequestId:
        """Return the id of the request at `index`."""
        return RequestId(self.id, index)

    @property
    def is_waiting(self) -> bool:
        """Whether a request has no final answer yet."""
        return self.current_request is not None

    @property
    def current_request(self) -> tuple[int, Request] | None:
        """The first request that has no final answer, with its index; None where all are answered."""
        n_answered = sum(response.state is not ResponseState.PENDING for response in self.status.responses)
        return (n_answered, self.spec.requests[n_answered]) if n_answered < len(self.spec.requests) else None

    @property
    def open_allocate_requests(self) -> list[AllocateRequest]:
        """The allocate requests that have no final answer yet."""
        n_answered = sum(response.state is not ResponseState.PENDING for response in self.status.responses)
        actions = [request.action for request in self.spec.requests[n_answered:]]
        return [action for action in actions if isinstance(action, AllocateRequest)]

    @property
    def is_settled_when_overdue(self) -> bool:
        """Whether it holds budget that the control plane settles once its settle-after time has passed."""
        return bool(self.status.acquired) and self.spec.settle_after is not None

    @property
    def holds_its_grant(self) -> bool:
        """Whether it was granted a budget above zero and still holds it on every block."""
        details = [response.detail for response in self.status.responses]
        granted = {
            block_id
            for detail in details
            if isinstance(detail, AllocateResponse)
            for block_id, allocation in detail.budgets.items()
            if allocation.acquired is not None
        }
        holds_any = any(value > 0 for amount in self.status.acquired.values() for value in amount.values)
        return holds_any and granted <= set(self.status.acquired)

    def response_at(self, index: int) -> Response | None:
        """The answer to the request at `index`, final or pending; None where it has not been answered."""
        return self.status.responses[index] if index < len(self.status.responses) else None

    def has_budget_on(self, block_id: str) -> bool:
        """Whether it holds or has reserved budget on a block."""
        return block_id in self.status.acquired or block_id in self.status.reserved

    def was_made_for(self, request: AllocateRequest) -> bool:
        """Whether its first request is `request`, whatever their time-outs."""
        first = self.spec.requests[0].action if self.spec.requests else None
        return isinstance(first, AllocateRequest) and replace(first, timeout_ms=request.timeout_ms) == request

    def require_committed(self, amounts: Budgets) -> None:
        """Compare what the last request committed with `amounts`, block by block.

        Raises:
            BudgetExceeded: they differ on a block; the message has both amounts.
        """
        response = self.status.responses[-1]
        outcomes = response.detail.blocks if isinstance(response.detail, ConsumeResponse) else {}
        for block_id, amount in amounts.items():
            outcome = outcomes.get(block_id)
            done = None if outcome is None or response.state is not ResponseState.SUCCESS else outcome.budget
            if done is None or not budget.is_close(done, amount):
                reason = response.refusal or (outcome.error if outcome else None) or "it was interrupted"
                raise errors.BudgetExceeded(f"block {block_id}: asked to commit {amount}, committed {done}: {reason}")
