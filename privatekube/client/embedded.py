"""What components and people ask of the control plane: claim budget, pay, settle. Every call may be repeated."""

from __future__ import annotations

import enum
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from privatekube import errors, retries
from privatekube.client.client import ControlPlane
from privatekube.privacy.budget import PrivacyBudget
from privatekube.reconcile import allocate_requests, overdue_claims, reconcile
from privatekube.resources import matching, shortages
from privatekube.resources.claim import ClaimSpec, PrivacyBudgetClaim
from privatekube.resources.meta import ObjectMeta
from privatekube.resources.requests import ALL_OR_NOTHING, AllocateRequest, ConsumeRequest, ReleaseRequest, Request
from privatekube.resources.responses import AllocateResponse, Response, ResponseState
from privatekube.scheduling.policy import UNLOCK

_ALLOCATE, _SETTLE = "allocate", "settle"


class Outcome(enum.StrEnum):
    """What settling a claim came to."""

    RELEASED = "released"
    CONSUMED = "consumed"
    NOTHING = "nothing to settle"


class BudgetClient(ControlPlane):
    """A client of the embedded control plane; see `client.connect`."""

    patience_seconds = 10.0
    """How long an answer may take that does not wait for budget."""
    absent = "the store is too busy; try again"
    """What to say when there is none by then."""

    def allocate(
        self,
        namespace: str,
        name: str,
        request: AllocateRequest,
        *,
        timeout_seconds: float,
        settle_after_seconds: int | None = None,
    ) -> PrivacyBudgetClaim:
        """Claim budget and wait for it; a repetition under the same name finds its own claim and pays once.

        Args:
            namespace: of the claim and its blocks.
            name: of the claim.
            request: what to claim.
            timeout_seconds: how long to wait.
            settle_after_seconds: after how long without a sign of its run the control plane settles the claim; None
                for never.

        Raises:
            InvalidInput: fewer blocks match than asked; nothing is written.
            BudgetUnavailable: waiting could not help; nothing is written.
            DeadlineExceeded: it was not granted in time; the demand is withdrawn.
            AlreadyExists: the name is taken by another request.
        """
        timeout_ms = max(1, round(timeout_seconds * 1000))
        asked = replace(request, timeout_ms=timeout_ms)
        wait, answer_by = retries.FIRST_WAIT_SECONDS, time.monotonic() + self.patience_seconds
        while True:
            claim = self._claimed(namespace, name, asked, settle_after_seconds)
            response = claim.status.responses[0] if claim.status.responses else None
            if response is not None and response.state is ResponseState.SUCCESS:
                return claim
            if response is not None and response.state is ResponseState.FAILURE:
                raise self._refusal(claim, asked, response)
            if response is None and time.monotonic() >= answer_by:
                raise errors.StoreBusy(f"claim {claim.id}: {self.absent}")
            left = _seconds_left(response, timeout_ms, now_ms=self.clock.now_ms())
            wait = retries.pause(wait, at_most=left)

    def mark_opened(self, claim_id: str) -> None:
        """Record that the data behind a claim is about to be read: its budget cannot come back from here on.

        Raises:
            BudgetUnavailable: the claim does not hold all that it was granted (it never got it, gave it back, or paid
                already), so its data must not be read.
        """

        def opened(claim: PrivacyBudgetClaim) -> PrivacyBudgetClaim:
            if not claim.holds_its_grant:
                raise errors.BudgetUnavailable(
                    f"claim {claim_id}: holds no budget, or not all it was granted, so its data must not be read; "
                    "start a new run"
                )
            if claim.spec.data_opened:
                return claim
            spec = replace(claim.spec, data_opened=True)
            return replace(claim, spec=spec.renewed(now_ms=self.clock.now_ms()))

        self._respecified(claim_id, opened)

    def consume(self, claim_id: str, *, mechanisms: Sequence[str] = ()) -> dict[str, PrivacyBudget]:
        """Commit everything a claim holds and return what it has committed, by block id; a repetition commits once.

        Args:
            claim_id: `namespace/name`.
            mechanisms: what ran for it, for the ledger.

        Raises:
            BudgetUnavailable: the claim neither holds nor has committed anything.
            BudgetExceeded: on some block not all that was asked was committed, with both numbers.
        """
        with self.store.transaction():
            claim = self.get_claim(claim_id)
            claim = self._committed(claim, claim.status.acquired, mechanisms)
            if not claim.status.committed:
                raise errors.BudgetUnavailable(f"claim {claim_id}: holds no budget to consume; was it released?")
            return dict(claim.status.committed)

    def release(self, claim_id: str) -> None:
        """Give back everything a claim holds, and withdraw what it waits for; a repetition changes nothing.

        Raises:
            BudgetExceeded: the data was opened, so the budget cannot come back.
        """
        with self.store.transaction():
            claim = self.get_claim(claim_id)
            if claim.spec.data_opened and claim.status.acquired:
                raise errors.BudgetExceeded(f"claim {claim_id}: its data was opened, so its budget cannot come back")
            claim = self._withdrawn(claim)
            if claim.status.acquired:
                self._answered(claim, ReleaseRequest(dict(claim.status.acquired)))

    def settle(self, claim_id: str) -> Outcome:
        """What the exit task does: unopened budget is released, opened budget consumed; no claim, nothing to settle."""
        with self.store.transaction():
            claim = self.store.get_claim(claim_id)
            held = {} if claim is None else overdue_claims.held_on_known_blocks(claim, self.store.get_block)
            if claim is None or not (held or claim.is_waiting):
                return Outcome.NOTHING
            if claim.spec.data_opened and held:
                self._committed(self._withdrawn(claim), held)
                return Outcome.CONSUMED
            self.release(claim_id)
            return Outcome.RELEASED

    def _withdrawn(self, claim: PrivacyBudgetClaim) -> PrivacyBudgetClaim:
        """The claim without the request that it waits for."""
        while claim.is_waiting:
            reconcile.withdraw(self.store, claim.id, now_ms=self.clock.now_ms())
            claim = self.get_claim(claim.id)
        return claim

    def _committed(
        self, claim: PrivacyBudgetClaim, held: Mapping[str, PrivacyBudget], mechanisms: Sequence[str] = ()
    ) -> PrivacyBudgetClaim:
        """The claim with `held` committed, all of it or nothing."""
        if not held:
            return claim
        answered = self._answered(claim, ConsumeRequest(dict(held), f"{ALL_OR_NOTHING}=true", tuple(mechanisms)))
        answered.require_committed(held)
        return answered

    def _claimed(
        self, namespace: str, name: str, request: AllocateRequest, settle_after_seconds: int | None
    ) -> PrivacyBudgetClaim:
        """The claim of that name, after a pass; made if it is missing and may be granted one day."""
        with self.store.transaction():
            claim = self.store.get_claim(f"{namespace}/{name}")
            if claim is None:
                shortages.require_possible(self.matching_blocks(namespace, request), request)
                spec = ClaimSpec(requests=(Request(_ALLOCATE, request),))
                spec = spec.renewed(now_ms=self.clock.now_ms(), seconds=settle_after_seconds)
                claim = self._created(PrivacyBudgetClaim(ObjectMeta(name, namespace), spec))
            if not claim.was_made_for(request):
                raise errors.AlreadyExists(f"claim {claim.id}: exists with another request; start a run of another id")
            self.run_pass()
            return self.get_claim(claim.id)

    def _refusal(
        self, claim: PrivacyBudgetClaim, request: AllocateRequest, response: Response
    ) -> errors.PrivateKubeError:
        if (response.error or "").partition(":")[0] != allocate_requests.TIMEOUT:
            return errors.InvalidInput(f"claim {claim.id}: {response.error}")
        found = matching.candidates(request, claim.meta.namespace, self.list_blocks(claim.meta.namespace))
        return errors.DeadlineExceeded(
            f"claim {claim.id}: not granted within {(request.timeout_ms or 0) / 1000:g} s; "
            f"{shortages.shortage(found, request)}; policy {self.policy()[UNLOCK]} unlocks it: wait longer, ask for "
            "less, or change the policy"
        )

    def _answered(self, claim: PrivacyBudgetClaim, action: ConsumeRequest | ReleaseRequest) -> PrivacyBudgetClaim:
        """Append a request, unless it is the last one and waits to be answered; return the claim with its answer."""

        def asking(claim: PrivacyBudgetClaim) -> PrivacyBudgetClaim:
            if claim.is_waiting and claim.spec.requests[-1].action == action:
                return claim
            request = Request(f"{_SETTLE}-{len(claim.spec.requests)}", action)
            return replace(claim, spec=replace(claim.spec, requests=(*claim.spec.requests, request)))

        self._respecified(claim.id, asking)
        return self._once(claim.id, lambda found: not found.is_waiting)

    def _once(self, claim_id: str, is_done: Callable[[PrivacyBudgetClaim], bool]) -> PrivacyBudgetClaim:
        """A claim after passes, once it is done; StoreBusy if it is not by the end of this client's patience."""

        def look() -> PrivacyBudgetClaim:
            self.run_pass()
            return self.get_claim(claim_id)

        return retries.until(look, is_done, seconds=self.patience_seconds, otherwise=self.absent)

    def _created(self, claim: PrivacyBudgetClaim) -> PrivacyBudgetClaim:
        """A new claim; or the one of its name that another process made meanwhile."""
        try:
            return self.store.create(claim)
        except errors.AlreadyExists:
            return self.get_claim(claim.id)

    def _respecified(self, claim_id: str, change: Callable[[PrivacyBudgetClaim], PrivacyBudgetClaim]) -> None:
        """Write what `change` makes of a claim; again on what it is by then, where somebody else wrote meanwhile."""

        def write() -> None:
            with self.store.transaction():
                claim = self.get_claim(claim_id)
                changed = change(claim)
                if changed is not claim:
                    self.store.update(changed)

        retries.repeated(write, seconds=self.patience_seconds)


def _seconds_left(response: Response | None, timeout_ms: int, *, now_ms: int) -> float:
    """Until a waiting request times out, with a moment more so that the next pass finds it so."""
    detail = response.detail if response is not None else None
    started = detail.start_time_ms if isinstance(detail, AllocateResponse) else None
    return retries.LONGEST_WAIT_SECONDS if started is None else max(0.0, (started + timeout_ms - now_ms) / 1000) + 0.01
