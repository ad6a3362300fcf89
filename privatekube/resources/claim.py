"""PrivacyBudgetClaim: an append-only list of requests and their answers (as specified in PrivateKube, OSDI'21)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from privatekube import errors, plain_text
from privatekube.privacy import arithmetic, budget_text
from privatekube.privacy.budget import PrivacyBudget
from privatekube.resources import bounds, meta
from privatekube.resources.block import Budgets
from privatekube.resources.refusals import Refusal
from privatekube.resources.request_id import RequestId, SettlementId
from privatekube.resources.requester import USER, Requester
from privatekube.resources.requests import AllocateRequest, RegisterRequest, Request
from privatekube.resources.responses import AllocateResponse, ConsumeResponse, Detail, Response, ResponseState
from privatekube.resources.sealing_key import SealingKey
from privatekube.resources.statement import SignedStatement


@dataclass(frozen=True, slots=True)
class SettleAfter:
    """When the control plane settles a claim that its run did not settle; a run that makes progress postpones it.

    Args:
        seconds: how long it is postponed each time.
        at_ms: the time, unix milliseconds.
    """

    seconds: int
    at_ms: int

    def __post_init__(self) -> None:
        if not 1 <= self.seconds <= bounds.LONGEST_MS // 1000:
            bound = f"must be 1 to {bounds.LONGEST_MS // 1000}"
            raise errors.invalid("settleAfter.seconds", self.seconds, bound, "change it")
        bounds.require_time("settleAfter.time", self.at_ms, bounds.LATEST_MS)

    @classmethod
    def from_now(cls, seconds: int, *, now_ms: int) -> SettleAfter:
        """Return a time `seconds` from now."""
        return cls(seconds, now_ms + 1000 * seconds)


@dataclass(frozen=True, slots=True)
class ClaimSpec:
    """What the claimant writes.

    Args:
        requests: append-only; answered strictly in order.
        data_opened: set permanently when the data behind the claim is read; its budget cannot be released after that.
        priority: for ordering policies that use it.
        owned_by: references to other objects; not used.
        settle_after: when the control plane settles the claim; None for the latest time of its policy.
        card: digest of the privacy card about which the control plane is to sign a statement; None for none.
        opens_releases: whether the control plane is to give the key that opens what was released under the claim, once
            it has paid.
        requester: who requests it, and why; it never changes.
        deadline_ms: when its results become useless, in whole seconds, as unix milliseconds: no request is granted
            from then on, and of equal demands that of the earliest deadline goes first; None for never. It never
            changes.
    """

    requests: tuple[Request, ...] = ()
    data_opened: bool = False
    priority: int | None = None
    owned_by: tuple[Mapping[str, object], ...] = ()
    settle_after: SettleAfter | None = None
    card: str | None = None
    opens_releases: bool = False
    requester: Requester = field(default_factory=Requester)
    deadline_ms: int | None = None

    def __post_init__(self) -> None:
        bounds.require_size("ownedBy", self.owned_by, bounds.OWNERS, "owners")
        bounds.require_time("deadline", self.deadline_ms, bounds.LATEST_MS)
        if self.deadline_ms is not None and self.deadline_ms % 1000:
            raise errors.invalid("deadline", self.deadline_ms, "must be in whole seconds", "round it")
        bounds.require_text("privacyCard", self.card, bounds.NAME)

    def with_request(self, request: Request) -> ClaimSpec:
        """Return the spec with one more request.

        Raises:
            InvalidInput: it has as many as a claim may have.
        """
        requests = (*self.requests, request)
        bounds.require_size("spec.requests", requests, bounds.REQUESTS, "requests")
        return replace(self, requests=requests)

    def missed_deadline_ms(self, now_ms: int) -> int | None:
        """Return the deadline if it has passed at `now_ms`, in unix milliseconds; else None."""
        return self.deadline_ms if self.deadline_ms is not None and now_ms >= self.deadline_ms else None

    def renew(self, *, now_ms: int, seconds: int | None = None) -> ClaimSpec:
        """Return the spec with its settle-after time postponed: by as long as before, or else by `seconds`."""
        after = seconds if self.settle_after is None else self.settle_after.seconds
        return self if after is None else replace(self, settle_after=SettleAfter.from_now(after, now_ms=now_ms))

    def settle_at_once(self) -> ClaimSpec:
        """Return the spec with a settle-after time that has passed, a second after the last answer at the latest."""
        return replace(self, settle_after=SettleAfter(seconds=1, at_ms=0))


@dataclass(frozen=True, slots=True)
class OverdueSettlement:
    """How the control plane settled a claim because its time to settle was over; it answers no request.

    Args:
        time_ms: when, unix milliseconds.
        is_consumed: whether the budget was consumed, because the data was opened; otherwise it was released.
        budgets: what was settled, by block id.
    """

    time_ms: int
    is_consumed: bool
    budgets: Budgets


@dataclass(frozen=True, slots=True)
class ClaimStatus:
    """What the control plane writes.

    Maps are by block id; `statement` is about the card in the spec, and `sealing` is the key of the claim: None before
    its first grant, and if an earlier version granted it.
    """

    acquired: Budgets = field(default_factory=lambda: MappingProxyType({}))
    reserved: Budgets = field(default_factory=lambda: MappingProxyType({}))
    committed: Budgets = field(default_factory=lambda: MappingProxyType({}))
    responses: tuple[Response, ...] = ()
    conditions: tuple[meta.Condition, ...] = ()
    statement: SignedStatement | None = None
    settlement: OverdueSettlement | None = None
    sealing: SealingKey | None = None


@dataclass(frozen=True, slots=True)
class PrivacyBudgetClaim:
    """A claim; its status is empty until the control plane has seen it."""

    meta: meta.ObjectMeta
    spec: ClaimSpec
    status: ClaimStatus = ClaimStatus()

    @property
    def id(self) -> str:
        """`namespace/name`."""
        return self.meta.id

    @property
    def requester(self) -> Requester:
        """Who requests the budget, and why; a claim of an earlier version states its user in an annotation only."""
        stated, creator = self.spec.requester, self.meta.annotations.get(meta.CREATED_BY)
        if stated.user is not None or not creator:
            return stated
        return replace(stated, user=plain_text.escaped(creator)[:USER])

    def request_id(self, index: int) -> RequestId:
        """Return the id of the request at `index`."""
        return RequestId(self.id, index)

    @property
    def settlement_id(self) -> SettlementId:
        """The id of its settlement by the control plane."""
        return SettlementId(self.id)

    def answered(
        self,
        index: int,
        state: ResponseState,
        *,
        refusal: Refusal | None = None,
        detail: Detail | None = None,
        holdings: ClaimStatus | None = None,
    ) -> PrivacyBudgetClaim:
        """Return the claim with an answer to one request, and its new `holdings` if that changes them."""
        status = holdings or self.status
        response = Response(self.spec.requests[index].identifier, state, refusal, detail)
        return replace(self, status=replace(status, responses=(*status.responses[:index], response)))

    @property
    def is_waiting(self) -> bool:
        """Whether a request has no final answer yet."""
        return self.current_request is not None

    @property
    def current_request(self) -> tuple[int, Request] | None:
        """The first request without a final answer, and its index; None if all are answered."""
        n_answered = sum(response.state is not ResponseState.PENDING for response in self.status.responses)
        return (n_answered, self.spec.requests[n_answered]) if n_answered < len(self.spec.requests) else None

    @property
    def open_allocate_requests(self) -> list[AllocateRequest]:
        """The allocate requests without a final answer."""
        n_answered = sum(response.state is not ResponseState.PENDING for response in self.status.responses)
        actions = [request.action for request in self.spec.requests[n_answered:]]
        return [action for action in actions if isinstance(action, AllocateRequest)]

    @property
    def holds_budget(self) -> bool:
        """Whether it was granted budget that is neither consumed nor released."""
        return bool(self.status.acquired)

    def settle_at_ms(self, within_ms: int) -> int | None:
        """Return when the control plane settles it, in unix milliseconds; None as long as there is no such time.

        That is at its settle-after time, which its run may postpone, and at the latest `within_ms` after its first
        grant, which nobody may. The run states that time by its own clock, so it is not believed where it is sooner
        than the stated number of seconds after the last answer.
        """
        after = self.spec.settle_after
        stated = [] if after is None else [max(after.at_ms, self._answered_ms + 1000 * after.seconds)]
        latest = [granted_ms + within_ms for granted_ms in self._grant_times_ms]
        return min([*stated, *latest], default=None)

    @property
    def last_progress_ms(self) -> int:
        """When its run last reported progress: by the run's own clock, and not before the last answer to it."""
        after = self.spec.settle_after
        return max(self._answered_ms, 0 if after is None else after.at_ms - 1000 * after.seconds)

    def is_overdue(self, within_ms: int, *, now_ms: int) -> bool:
        """Return whether its time to settle has passed at `now_ms`, or it was settled already; see `settle_at_ms`."""
        settle_at_ms = self.settle_at_ms(within_ms)
        return self.status.settlement is not None or (settle_at_ms is not None and now_ms >= settle_at_ms)

    @property
    def _answered_ms(self) -> int:
        """When its last allocate request was answered, or began to wait; else when it was created."""
        details = [response.detail for response in self.status.responses]
        answers = [detail for detail in details if isinstance(detail, AllocateResponse)]
        times = [time_ms for answer in answers for time_ms in (answer.start_time_ms, answer.finish_time_ms)]
        return max([time_ms for time_ms in times if time_ms is not None], default=self.meta.creation_time_ms or 0)

    @property
    def _grant_times_ms(self) -> list[int]:
        """When its requests were granted, by the control plane's clock."""
        details = [response.detail for response in self.status.responses if response.state is ResponseState.SUCCESS]
        times = [detail.finish_time_ms for detail in details if isinstance(detail, AllocateResponse)]
        return [time_ms for time_ms in times if time_ms is not None]

    @property
    def waited_in_vain_ms(self) -> int:
        """How long its allocate requests waited that failed, in milliseconds, by the control plane's clock."""
        failed = [response.detail for response in self.status.responses if response.state is ResponseState.FAILURE]
        return sum(
            max(0, detail.finish_time_ms - detail.start_time_ms)
            for detail in failed
            if isinstance(detail, AllocateResponse)
            and detail.start_time_ms is not None
            and detail.finish_time_ms is not None
        )

    @property
    def is_open(self) -> bool:
        """Whether a pass has to look at it, because it needs an action or may need one in time."""
        return self.is_waiting or self.holds_budget or self.awaits_statement or self.awaits_key

    @property
    def awaits_statement(self) -> bool:
        """Whether it has committed budget and the statement about its card is not signed yet."""
        card, statement = self.spec.card, self.status.statement
        is_signed = statement is not None and statement.card == card
        return card is not None and not is_signed and bool(self.status.committed)

    @property
    def awaits_key(self) -> bool:
        """Whether it has paid and asks for its private key, which is not given yet."""
        sealing = self.status.sealing
        return self.spec.opens_releases and sealing is not None and sealing.private is None and self.has_paid

    @property
    def has_paid(self) -> bool:
        """Whether all that it was granted is committed, so that nothing is held any more, and nothing was released."""
        committed, grants = self.status.committed, self.grants
        if not grants or not grants.keys() <= committed.keys():
            return False
        try:
            return all(
                arithmetic.is_close(committed[block_id], arithmetic.total(amounts[1:], start=amounts[0]))
                for block_id, amounts in grants.items()
            )
        except errors.InvalidBudget:  # of a block that was created again with another accounting
            return False

    @property
    def grants(self) -> dict[str, list[PrivacyBudget]]:
        """What its requests were granted on each block, by block id, whatever became of it."""
        granted: dict[str, list[PrivacyBudget]] = {}
        for response in self.status.responses:
            budgets = response.detail.budgets if isinstance(response.detail, AllocateResponse) else {}
            for block_id, allocation in budgets.items():
                if allocation.acquired is not None:
                    granted.setdefault(block_id, []).append(allocation.acquired)
        return granted

    @property
    def holds_its_grant(self) -> bool:
        """Whether it was granted a budget above zero and still holds budget on every granted block."""
        holds_any = any(value > 0 for amount in self.status.acquired.values() for value in amount.values)
        return holds_any and self.grants.keys() <= self.status.acquired.keys()

    @property
    def releases(self) -> dict[str, RegisterRequest]:
        """What was registered under the claim, by step, in the order of the answers."""
        answered = zip(self.spec.requests, self.status.responses, strict=False)
        return {
            request.action.step: request.action
            for request, response in answered
            if isinstance(request.action, RegisterRequest) and response.state is ResponseState.SUCCESS
        }

    def refusal_of(self, release: RegisterRequest) -> Refusal | None:
        """Return why the last attempt to register `release` was refused; None if it was not."""
        refusals = [
            response.refusal
            for request, response in zip(self.spec.requests, self.status.responses, strict=False)
            if request.action == release
        ]
        return refusals[-1] if refusals else None

    def response_at(self, index: int) -> Response | None:
        """Return the answer to the request at `index`, final or pending; None if there is no answer yet."""
        return self.status.responses[index] if index < len(self.status.responses) else None

    def demand_at(self, index: int) -> dict[str, PrivacyBudget]:
        """Return what the waiting request at `index` has reserved, by block id."""
        detail = self._allocate_response_at(index)
        allocations = {} if detail is None else detail.budgets
        return {key: item.reserved for key, item in allocations.items() if item.reserved is not None}

    def is_approved(self, index: int) -> bool:
        """Return whether somebody has approved the request at `index`."""
        detail = self._allocate_response_at(index)
        return detail is not None and detail.approval is not None

    @property
    def awaits_approval(self) -> bool:
        """Whether the request that it waits for waits for an approval."""
        current = self.current_request
        detail = None if current is None else self._allocate_response_at(current[0])
        return detail is not None and detail.awaits_approval is not None

    def _allocate_response_at(self, index: int) -> AllocateResponse | None:
        response = self.response_at(index)
        detail = None if response is None else response.detail
        return detail if isinstance(detail, AllocateResponse) else None

    def has_budget_on(self, block_id: str) -> bool:
        """Return whether it holds or has reserved budget on a block."""
        return block_id in self.status.acquired or block_id in self.status.reserved

    def was_made_for(self, request: AllocateRequest) -> bool:
        """Return whether its first request equals `request`, apart from the time-out."""
        first = self.spec.requests[0].action if self.spec.requests else None
        return isinstance(first, AllocateRequest) and replace(first, timeout_ms=request.timeout_ms) == request

    def _repr_html_(self) -> str:
        from privatekube.resources import html  # noqa: PLC0415 - it describes what is defined here

        return html.claim(self)

    def require_committed(self, amounts: Budgets) -> None:
        """Check that the last consume request committed exactly `amounts`.

        Raises:
            BudgetExceeded: it committed another amount on a block; the message has both amounts.
        """
        answers = [response for response in self.status.responses if isinstance(response.detail, ConsumeResponse)]
        response = answers[-1] if answers else None
        outcomes = response.detail.blocks if response and isinstance(response.detail, ConsumeResponse) else {}
        for block_id, amount in amounts.items():
            outcome = outcomes.get(block_id)
            is_refused = response is None or response.state is not ResponseState.SUCCESS
            committed = None if outcome is None or is_refused else outcome.budget
            if committed is None or not arithmetic.is_close(committed, arithmetic.at_orders_of(amount, committed)):
                refusal = None if response is None else response.refusal
                reason = refusal or (outcome.error if outcome else None) or "it was interrupted"
                asked, done = budget_text.differing(amount, committed)
                raise errors.BudgetExceeded(f"block {block_id}: asked to commit {asked}, committed {done}: {reason}")
