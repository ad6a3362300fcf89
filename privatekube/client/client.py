"""The client that pipelines use: claim budget, mark data as opened, consume or release; every call may be repeated."""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from privatekube import errors, retries
from privatekube.client.embedded import ControlPlane
from privatekube.engine import overdue_claims
from privatekube.privacy.budget import PrivacyBudget
from privatekube.reconcile import reconcile
from privatekube.resources import matching, refusals, shortages
from privatekube.resources.claim import ClaimSpec, PrivacyBudgetClaim
from privatekube.resources.meta import ObjectMeta
from privatekube.resources.refusals import RefusalReason
from privatekube.resources.requests import (
    ALL_OR_NOTHING,
    AllocateRequest,
    ConsumeRequest,
    RegisterRequest,
    ReleaseRequest,
    Request,
)
from privatekube.resources.responses import AllocateResponse, Response, ResponseState
from privatekube.resources.statement import SignedStatement
from privatekube.scheduling.policy import UNLOCK

_ALLOCATE, _REGISTER, _SETTLE = "allocate", "register", "settle"


class Outcome(enum.StrEnum):
    """What `BudgetClient.settle` did."""

    RELEASED = "released"
    CONSUMED = "consumed"
    NOTHING = "nothing to settle"
    NO_CLAIM = "there is no such claim"


class BudgetClient(ControlPlane):
    """A client that claims privacy budget and settles it; `connect` returns one.

    This class works on the embedded control plane, whose passes it runs itself. `cluster.ClusterClient` overrides
    what differs where a controller runs the passes.

    Example:
        >>> from privatekube.privacy.budget import EpsilonDelta
        >>> from privatekube.resources.block import BlockSpec, PrivateDataBlock
        >>> from privatekube.resources.meta import ObjectMeta
        >>> from privatekube.resources.requests import AllocateRequest, BudgetDemand, RegisterRequest
        >>> from privatekube.store.memory import MemoryStore
        >>> spec = BlockSpec(dataset="reviews", data_source="reviews.h5", initial_budget=EpsilonDelta(10.0, 1e-6))
        >>> request = AllocateRequest(dataset="reviews", expected_budget=BudgetDemand(EpsilonDelta(1.0, 1e-9)))
        >>> with BudgetClient(MemoryStore()) as client:
        ...     created = client.create_blocks([PrivateDataBlock(ObjectMeta("monday", "team"), spec)])
        ...     claim = client.allocate("team", "run-1", request, timeout_seconds=60)
        ...     client.mark_opened(claim.id)
        ...     client.register_release(claim.id, RegisterRequest("histogram", (f"sha256:{1:064x}",), event="noise"))
        ...     committed = client.consume(claim.id, mechanisms=["noisy histogram"])
        >>> committed
        {'team/monday': EpsilonDelta(epsilon=1.0, delta=1e-09)}
    """

    answer_timeout_seconds = 10.0
    """How long to wait for an answer of the control plane that does not depend on budget becoming free."""
    no_answer = "the store is too busy; try again"
    """The error message when no answer came in that time."""

    def allocate(
        self,
        namespace: str,
        name: str,
        request: AllocateRequest,
        *,
        timeout_seconds: float,
        settle_after_seconds: int | None = None,
    ) -> PrivacyBudgetClaim:
        """Claim budget and wait until it is granted; a repeated call with the same name finds its claim and pays once.

        Args:
            namespace: of the claim and its blocks.
            name: of the claim.
            request: what to claim.
            timeout_seconds: how long to wait.
            settle_after_seconds: how long after the last progress of its run the control plane settles the claim; None
                for the time that its policy allows after the grant, which is the latest in any case.

        Returns:
            The claim, which holds the budget.

        Raises:
            InvalidInput: fewer blocks match than the request needs; nothing is written.
            BudgetUnavailable: waiting could not help; nothing is written.
            DeadlineExceeded: it was not granted in time; the request is withdrawn.
            AlreadyExists: the name is taken by another request.
            StoreBusy: the control plane did not answer.
        """
        timeout_ms = max(1, round(timeout_seconds * 1000))
        timed_request = replace(request, timeout_ms=timeout_ms)
        no_answer = errors.StoreBusy(f"claim {namespace}/{name}: {self.no_answer}")

        def read() -> PrivacyBudgetClaim:
            return self._ensure_claim(namespace, name, timed_request, settle_after_seconds)

        claim = retries.poll(read, _is_admitted, timeout_seconds=self.answer_timeout_seconds, error=no_answer)
        if not _is_decided(claim):
            claim = retries.poll(
                read,
                _is_decided,
                timeout_seconds=None,  # the control plane ends the wait: it answers once the request has timed out
                error=no_answer,
                pause_at_most=lambda claim: _seconds_left(claim, timeout_ms, now_ms=self.clock.now_ms()),
            )
        response = claim.status.responses[0]
        if response.state is ResponseState.FAILURE:
            raise self._refusal(claim, timed_request, response)
        return claim

    def mark_opened(self, claim_id: str) -> None:
        """Record that the data behind a claim is about to be read: from here on its budget cannot be released.

        Args:
            claim_id: `namespace/name`.

        Raises:
            NotFound: no such claim exists.
            BudgetUnavailable: the claim does not hold all that it was granted (it was never granted, was released, or
                has been consumed), so its data must not be read.
        """

        def open_data(claim: PrivacyBudgetClaim) -> PrivacyBudgetClaim:
            if not claim.holds_its_grant:
                raise errors.BudgetUnavailable(
                    f"claim {claim_id}: holds no budget, or not all it was granted, so its data must not be read; "
                    "start a new run"
                )
            if claim.spec.data_opened:
                return claim
            spec = replace(claim.spec, data_opened=True)
            return replace(claim, spec=spec.renew(now_ms=self.clock.now_ms()))

        self._update_spec(claim_id, open_data)

    def postpone_settling(self, claim_id: str) -> None:
        """Postpone the time after which the control plane settles a claim: its run goes on.

        Args:
            claim_id: `namespace/name`.

        Raises:
            NotFound: no such claim exists.
        """

        def renew(claim: PrivacyBudgetClaim) -> PrivacyBudgetClaim:
            return replace(claim, spec=claim.spec.renew(now_ms=self.clock.now_ms()))

        self._update_spec(claim_id, renew)

    def consume(self, claim_id: str, *, mechanisms: Sequence[str] = ()) -> dict[str, PrivacyBudget]:
        """Commit everything that a claim holds; a repeated call commits nothing more.

        Args:
            claim_id: `namespace/name`.
            mechanisms: what ran for it, for the ledger.

        Returns:
            What the claim has committed, by block id.

        Raises:
            NotFound: no such claim exists.
            BudgetUnavailable: the claim neither holds nor has committed anything.
            BudgetExceeded: less was committed on some block than requested; the message has both amounts.
        """
        with self.store.transaction():
            claim = self.get_claim(claim_id)
            claim = self._commit(claim, claim.status.acquired, mechanisms)
            if not claim.status.committed:
                raise errors.BudgetUnavailable(f"claim {claim_id}: holds no budget to consume; was it released?")
            return dict(claim.status.committed)

    def sign_card(self, claim_id: str, card: str) -> SignedStatement:
        """Have the control plane sign what it knows about a claim, together with the digest of its privacy card.

        Args:
            claim_id: `namespace/name`.
            card: digest of the card; a repeated call with the same one returns the same statement.

        Raises:
            NotFound: no such claim exists.
            BudgetUnavailable: the claim has committed nothing.
        """

        def request_statement(claim: PrivacyBudgetClaim) -> PrivacyBudgetClaim:
            if not claim.status.committed:
                raise errors.BudgetUnavailable(f"claim {claim_id}: has committed nothing; consume it first")
            return claim if claim.spec.card == card else replace(claim, spec=replace(claim.spec, card=card))

        self._update_spec(claim_id, request_statement)
        signed = self._wait_for(claim_id, lambda claim: not claim.awaits_statement).status.statement
        if signed is None or signed.card != card:
            raise errors.Conflict(f"claim {claim_id}: another run asked for a statement meanwhile; try again")
        return signed

    def register_release(self, claim_id: str, release: RegisterRequest) -> None:
        """Register what a step releases, before it leaves the step; a repeated call changes nothing.

        Args:
            claim_id: `namespace/name`.
            release: the step, its outputs and inputs, and what ran.

        Raises:
            NotFound: no such claim exists.
            BudgetUnavailable: the claim does not hold all that it was granted.
            BudgetExceeded: the step has released something else under the claim, or its data was not opened.
            StoreBusy: the control plane did not answer.
        """
        with self.store.transaction():
            claim = self.get_claim(claim_id)
            if release.step not in claim.releases:  # else a refused step that is repeated would fill the claim
                if not claim.holds_its_grant:
                    raise errors.BudgetUnavailable(
                        f"claim {claim_id}: holds no budget, or not all it was granted, so {release.step} must not "
                        "release; start a new run"
                    )
                claim = self._append_request(claim, release)
        accepted = claim.releases.get(release.step)
        if accepted != release:
            refusal = claim.refusal_of(release) if accepted is None else refusals.second_release(release.step)
            raise errors.BudgetExceeded(f"claim {claim_id}: {refusal}")

    def release(self, claim_id: str) -> None:
        """Return everything that a claim holds and withdraw what it waits for; a repeated call changes nothing.

        Args:
            claim_id: `namespace/name`.

        Raises:
            NotFound: no such claim exists.
            BudgetExceeded: the data was opened, so the budget cannot be released.
        """
        with self.store.transaction():
            claim = self.get_claim(claim_id)
            require_unopened(claim)
            claim = self._withdraw(claim)
            if claim.status.acquired:
                self._append_request(claim, ReleaseRequest(dict(claim.status.acquired)))

    def settle(self, claim_id: str) -> Outcome:
        """Release the budget of a claim whose data was never opened, and consume it otherwise.

        Args:
            claim_id: `namespace/name`.

        Returns:
            What was done; `Outcome.NO_CLAIM` if no such claim exists: a run may end before it has one.
        """
        with self.store.transaction():
            claim = self.store.get_claim(claim_id)
            if claim is None:
                return Outcome.NO_CLAIM
            held = overdue_claims.held_on_known_blocks(claim, self.store.get_block)
            if not (held or claim.is_waiting):
                return Outcome.NOTHING
            if claim.spec.data_opened and held:
                self._commit(self._withdraw(claim), held)
                return Outcome.CONSUMED
            self.release(claim_id)
            return Outcome.RELEASED

    def _ensure_claim(
        self, namespace: str, name: str, request: AllocateRequest, settle_after_seconds: int | None
    ) -> PrivacyBudgetClaim:
        """Create the claim if it is missing and could be granted at some time; return its state after a pass."""
        with self.store.transaction():
            claim = self.store.get_claim(f"{namespace}/{name}")
            if claim is None:
                shortages.require_possible(self.matching_blocks(namespace, request), request)
                spec = ClaimSpec(requests=(Request(_ALLOCATE, request),))
                spec = spec.renew(now_ms=self.clock.now_ms(), seconds=settle_after_seconds)
                claim = self._create_or_get(PrivacyBudgetClaim(ObjectMeta(name, namespace), spec))
            if not claim.was_made_for(request):
                raise errors.AlreadyExists(
                    f"claim {claim.id}: exists with another request; start a run with another run id"
                )
            self.run_pass()
            return self.get_claim(claim.id)

    def _create_or_get(self, claim: PrivacyBudgetClaim) -> PrivacyBudgetClaim:
        """Create a claim, or return the one of the same name that another process has just created."""
        try:
            return self.store.create(claim)
        except errors.AlreadyExists:
            return self.get_claim(claim.id)

    def _withdraw(self, claim: PrivacyBudgetClaim) -> PrivacyBudgetClaim:
        """Withdraw the requests that a claim waits for and return the claim."""
        while claim.is_waiting:
            reconcile.withdraw(self.store, claim.id, now_ms=self.clock.now_ms())
            claim = self.get_claim(claim.id)
        return claim

    def _commit(
        self, claim: PrivacyBudgetClaim, held: Mapping[str, PrivacyBudget], mechanisms: Sequence[str] = ()
    ) -> PrivacyBudgetClaim:
        """Commit `held`, all of it or nothing, and return the claim."""
        if not held:
            return claim
        request = ConsumeRequest(dict(held), f"{ALL_OR_NOTHING}=true", tuple(mechanisms))
        answered_claim = self._append_request(claim, request)
        answered_claim.require_committed(held)
        return answered_claim

    def _append_request(
        self, claim: PrivacyBudgetClaim, action: ConsumeRequest | ReleaseRequest | RegisterRequest
    ) -> PrivacyBudgetClaim:
        """Append a request, unless it is the last one and not answered yet, and return the claim with its answer."""

        def append(claim: PrivacyBudgetClaim) -> PrivacyBudgetClaim:
            if claim.is_waiting and claim.spec.requests[-1].action == action:
                return claim
            is_progress = isinstance(action, RegisterRequest)
            name = _REGISTER if is_progress else _SETTLE
            request = Request(f"{name}-{len(claim.spec.requests)}", action)
            spec = replace(claim.spec, requests=(*claim.spec.requests, request))
            return replace(claim, spec=spec.renew(now_ms=self.clock.now_ms()) if is_progress else spec)

        self._update_spec(claim.id, append)
        return self._wait_for(claim.id, lambda claim: not claim.is_waiting)

    def _wait_for(self, claim_id: str, is_done: Callable[[PrivacyBudgetClaim], bool]) -> PrivacyBudgetClaim:
        """Run passes until a claim is done and return it; StoreBusy after `answer_timeout_seconds`."""

        def read() -> PrivacyBudgetClaim:
            self.run_pass()
            return self.get_claim(claim_id)

        no_answer = errors.StoreBusy(f"claim {claim_id}: {self.no_answer}")
        return retries.poll(read, is_done, timeout_seconds=self.answer_timeout_seconds, error=no_answer)

    def _update_spec(self, claim_id: str, change: Callable[[PrivacyBudgetClaim], PrivacyBudgetClaim]) -> None:
        """Apply `change` to a claim and write it; read it again and retry if another writer was faster."""

        def write() -> None:
            with self.store.transaction():
                claim = self.get_claim(claim_id)
                changed = change(claim)
                if changed is not claim:
                    self.store.update(changed)

        retries.call(write, on=errors.Conflict, timeout_seconds=self.answer_timeout_seconds)

    def _refusal(
        self, claim: PrivacyBudgetClaim, request: AllocateRequest, response: Response
    ) -> errors.PrivateKubeError:
        """Return the error that says why the control plane refused a request."""
        if response.refusal is None or response.refusal.reason is not RefusalReason.TIMED_OUT:
            return errors.InvalidInput(f"claim {claim.id}: {response.refusal}")
        blocks = matching.candidates(request, claim.meta.namespace, self.list_blocks(claim.meta.namespace))
        return errors.DeadlineExceeded(
            f"claim {claim.id}: not granted within {(request.timeout_ms or 0) / 1000:g} s; "
            f"{shortages.first_shortage(blocks, request)}; the policy {self.policy_settings()[UNLOCK]} unlocks it: "
            "wait longer, request less, or change the policy"
        )


def require_unopened(claim: PrivacyBudgetClaim) -> None:
    """Raise BudgetExceeded if a claim holds budget behind data that was opened: it must be consumed."""
    if claim.spec.data_opened and claim.status.acquired:
        raise errors.BudgetExceeded(
            f"claim {claim.id}: its data was opened, so its budget cannot be released; consume it"
        )


def _is_admitted(claim: PrivacyBudgetClaim) -> bool:
    return bool(claim.status.responses)


def _is_decided(claim: PrivacyBudgetClaim) -> bool:
    return _is_admitted(claim) and claim.status.responses[0].state is not ResponseState.PENDING


def _seconds_left(claim: PrivacyBudgetClaim, timeout_ms: int, *, now_ms: int) -> float:
    """Return how long until a waiting request times out, with a margin so that the next pass sees the timeout."""
    detail = (
        claim.status.responses[0].detail if claim.status.responses else None
    )  # none if it was deleted and recreated
    started_ms = detail.start_time_ms if isinstance(detail, AllocateResponse) else None
    if started_ms is None:
        return retries.STANDARD.longest_seconds
    return max(0.0, (started_ms + timeout_ms - now_ms) / 1000) + 0.01
