"""What would happen to a request: tried out on a copy of the store, so that nothing is charged or guessed."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from privatekube import bisection, errors, explaining
from privatekube.controller import allocation
from privatekube.controller import state as states
from privatekube.explaining import Shortage
from privatekube.plane import ControlPlane, Policy, now_ms
from privatekube.privacy.budget import PrivacyBudget
from privatekube.resources import matching, moves
from privatekube.resources.block import PrivateDataBlock
from privatekube.resources.claim import (
    AllocateRequest,
    AllocateResponse,
    BudgetDemand,
    ClaimSpec,
    PrivacyBudgetClaim,
    Request,
    ResponseState,
)
from privatekube.resources.meta import ObjectMeta
from privatekube.scheduling import unlocking as unlockings
from privatekube.store import memory
from privatekube.store.memory import MemoryStore

_NAME = "what-if"
_FOR_EVER_MS = 100 * 365 * 86_400_000
_LOOKS = 256


@dataclass(frozen=True, slots=True)
class Prospect:
    """What would happen to a request.

    Args:
        granted: whether it would be granted now, on `blocks`.
        blocks: what it would get, or else its candidates.
        refusal: why it would be refused at once, however long it waited.
        shortages: what its candidates lack now.
        granted_at_ms: when time would have unlocked enough, unix milliseconds, if nobody else came.
        arrivals: after how many more requests on its blocks enough would be unlocked, if they left it there.
        fitting: the largest part of the demand, from 0 to 1, that would be granted now on as many blocks.
        fitting_demand: this part of the demand.
        fitting_blocks: on which blocks the whole demand would be granted now, if it asked for fewer.
    """

    granted: bool
    blocks: tuple[str, ...] = ()
    refusal: str | None = None
    shortages: tuple[Shortage, ...] = ()
    granted_at_ms: int | None = None
    arrivals: int | None = None
    fitting: float | None = None
    fitting_demand: PrivacyBudget | None = None
    fitting_blocks: tuple[str, ...] = ()


def foresee(plane: ControlPlane, namespace: str, request: AllocateRequest) -> Prospect:
    """What would happen to `request` if a new claim in that namespace made it now."""
    trial = _Trial(memory.copy_of(plane.store), plane.read_policy(), namespace)
    try:
        found = matching.candidates(request, namespace, trial.blocks())
        matching.require_enough(request, len(found))
        demands = matching.demand(request, found)
    except errors.InvalidInput as error:
        return Prospect(granted=False, refusal=str(error))
    granted = trial.granted(request)
    if granted is not None:
        return Prospect(granted=True, blocks=granted)
    names = tuple(block.id for block in found)
    try:
        explaining.require_possible(found, request)
    except errors.BudgetUnavailable as error:
        prospect = Prospect(granted=False, blocks=names, refusal=str(error))
    else:
        prospect = trial.waiting(request)
    lacking = tuple(explaining.shortages(found, demands))
    return trial.with_alternatives(replace(prospect, blocks=names, shortages=prospect.shortages or lacking), request)


def explain(plane: ControlPlane, claim: PrivacyBudgetClaim) -> Prospect | None:
    """What keeps a waiting claim waiting, or what would happen if a refused one asked again; None if it was granted.

    Raises:
        InvalidInput: the claim never asked for budget.
    """
    asked = [place for place, each in enumerate(claim.spec.requests) if isinstance(each.action, AllocateRequest)]
    if not asked:
        raise errors.InvalidInput(f"claim {claim.id}: asks for no budget, so there is nothing to explain")
    response = states.response_at(claim, asked[-1])
    request = claim.spec.requests[asked[-1]].action
    assert isinstance(request, AllocateRequest)  # noqa: S101 - chosen so above
    if response is not None and response.state is ResponseState.SUCCESS:
        return None
    if response is None or response.state is ResponseState.FAILURE:
        return foresee(plane, claim.meta.namespace, request)
    store = memory.copy_of(plane.store)
    trial = _Trial(store, plane.read_policy(), claim.meta.namespace)
    waiting = trial.wait(store.copy(), claim.id, asked[-1])
    if waiting is None:
        return Prospect(granted=True, blocks=tuple(allocation.demand_of(claim, asked[-1])))
    without = _Trial(store.copy(), plane.read_policy(), claim.meta.namespace)
    without.forget(claim)
    return without.with_alternatives(waiting, request)


class _Trial:
    """Requests tried out on copies of one store."""

    def __init__(self, store: MemoryStore, policy: Policy, namespace: str) -> None:
        self._store, self._policy, self._namespace, self._now_ms = store, policy, namespace, now_ms()
        self._pass(self._store)

    def blocks(self) -> list[PrivateDataBlock]:
        """All blocks, admitted."""
        return self._store.list_blocks()

    def forget(self, claim: PrivacyBudgetClaim) -> None:
        """Go on without a claim."""
        self._store.delete(self._claim(self._store, claim.id))
        self._pass(self._store)

    def granted(self, request: AllocateRequest) -> tuple[str, ...] | None:
        """The blocks that a new claim would get now, or None."""
        store = self._store.copy()
        return self._granted(store, self._submit(store, request), 0)

    def waiting(self, request: AllocateRequest) -> Prospect:
        """What a new claim that is not granted now would wait for."""
        store = self._store.copy()
        return self.wait(store, self._submit(store, request), 0) or Prospect(granted=True)

    def wait(self, store: MemoryStore, claim_id: str, index: int) -> Prospect | None:
        """What a claim on `store` waits for; None if it does not wait."""
        if self._granted(store, claim_id, index) is not None:
            return None
        demands = allocation.demand_of(self._claim(store, claim_id), index)
        found = [block for block in store.list_blocks() if block.id in demands]
        prospect = Prospect(granted=False, blocks=tuple(demands), shortages=tuple(explaining.shortages(found, demands)))
        if self._policy.unlocking.period_ms is not None:
            at_ms = self._when(store, claim_id, index, found)
            return replace(prospect, granted_at_ms=at_ms)
        if 0 < self._policy.unlocking.on_arrival < 1:
            return replace(prospect, arrivals=self._arrivals(store, claim_id, index, found))
        return prospect

    def with_alternatives(self, prospect: Prospect, request: AllocateRequest) -> Prospect:
        """Add what would be granted now instead: less of everything, or the same on fewer blocks."""
        part = bisection.largest_share(lambda share: self.granted(_scaled(request, share)) is not None)
        asked = request.expected_budget.constant
        fitting = None if part is None or asked is None else asked * part
        needed = matching.needed(request, len(prospect.blocks))
        few = bisection.most(
            lambda n: self.granted(replace(request, min_blocks=n, max_blocks=n)) is not None, needed - 1
        )
        blocks = self.granted(replace(request, min_blocks=few, max_blocks=few)) if few else ()
        return replace(prospect, fitting=part, fitting_demand=fitting, fitting_blocks=blocks or ())

    def _submit(self, store: MemoryStore, request: AllocateRequest) -> str:
        spec = ClaimSpec(requests=(Request(_NAME, replace(request, timeout_ms=_FOR_EVER_MS)),))
        claim = store.create(PrivacyBudgetClaim(ObjectMeta(_NAME, self._namespace), spec))
        self._pass(store)
        return claim.id

    def _pass(self, store: MemoryStore, at_ms: int | None = None) -> None:
        self._policy.run_pass(store, now_ms=self._now_ms if at_ms is None else at_ms)

    def _granted(self, store: MemoryStore, claim_id: str, index: int) -> tuple[str, ...] | None:
        response = states.response_at(self._claim(store, claim_id), index)
        if response is None or response.state is not ResponseState.SUCCESS:
            return None
        return tuple(response.detail.budgets) if isinstance(response.detail, AllocateResponse) else ()

    def _claim(self, store: MemoryStore, claim_id: str) -> PrivacyBudgetClaim:
        found = store.get_claim(claim_id)
        if found is None:
            raise errors.NotFound(f"claim {claim_id}: there is none; see privatekube get claims")
        return found

    def _when(self, store: MemoryStore, claim_id: str, index: int, found: list[PrivateDataBlock]) -> int | None:
        """The first tick at which the claim would be granted, if nobody else came; None if never."""
        period_ms = self._policy.unlocking.period_ms or 1
        ends = [self._policy.unlocking.ends_ms(allocation.schedule(block)) for block in found]
        store = _patient(store, self._claim(store, claim_id))
        low, high = self._now_ms, max([each for each in ends if each is not None] + [self._now_ms]) + period_ms
        while True:
            step = max(1, math.ceil((high - low) / period_ms / _LOOKS)) * period_ms
            for at_ms in range(low + step, high + step, step):
                before = store.copy()
                self._pass(store, at_ms)
                if self._granted(store, claim_id, index) is not None:
                    break
            else:
                return None
            if step <= period_ms:
                return at_ms
            store, low, high = before, at_ms - step, at_ms

    def _arrivals(self, store: MemoryStore, claim_id: str, index: int, found: list[PrivateDataBlock]) -> int | None:
        """How many more arrivals on its blocks unlock enough, if they take nothing; None if none do."""
        store = _patient(store, self._claim(store, claim_id))
        most = math.ceil(1 / self._policy.unlocking.on_arrival)

        def enough(arrivals: int) -> bool:
            copy = store.copy()
            for block in found:
                opened = block
                for _ in range(arrivals):
                    pending = moves.status_of(opened).pending
                    amount = unlockings.arriving(self._policy.unlocking, block.spec.initial_budget, pending)
                    opened = opened if amount is None else moves.unlocked(opened, amount)
                copy.update_status(opened)
            self._pass(copy)
            return self._granted(copy, claim_id, index) is not None

        fewest = bisection.most(lambda n: not enough(n), most)
        return fewest + 1 if fewest < most else None


def _patient(store: MemoryStore, claim: PrivacyBudgetClaim) -> MemoryStore:
    """A copy in which a claim waits for ever."""
    copy = store.copy()
    requests = tuple(
        replace(each, action=replace(each.action, timeout_ms=_FOR_EVER_MS))
        if isinstance(each.action, AllocateRequest)
        else each
        for each in claim.spec.requests
    )
    copy.update(replace(claim, spec=replace(claim.spec, requests=requests)))
    return copy


def _scaled(request: AllocateRequest, share: float) -> AllocateRequest:
    """The request for a part of its demand."""
    asked = request.expected_budget
    by_block = None if asked.by_block is None else {key: each * share for key, each in asked.by_block.items()}
    return replace(
        request, expected_budget=BudgetDemand(None if asked.constant is None else asked.constant * share, by_block)
    )
