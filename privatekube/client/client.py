"""The client that pipelines use: claim budget, mark data as opened, consume or release; every call may be repeated."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from privatekube import errors, validation
from privatekube.client import allocation
from privatekube.client.allocation import Allocation
from privatekube.client.claim_writer import ClaimWriter, require_readable
from privatekube.client.passes import Outcome
from privatekube.client.store_client import StoreClient
from privatekube.engine import card_statements
from privatekube.privacy.budget import PrivacyBudget
from privatekube.resources import deadlines, refusals
from privatekube.resources.claim import PrivacyBudgetClaim
from privatekube.resources.requester import Requester
from privatekube.resources.requests import AllocateRequest, RegisterRequest
from privatekube.resources.sealing_key import SealingKey
from privatekube.resources.statement import SignedStatement


class BudgetClient(StoreClient):
    """A client that claims privacy budget and settles it; `connect` returns one.

    Without `passes` it runs the passes of the control plane itself; with `cluster.Cluster` a controller does.

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

    @property
    def _claims(self) -> ClaimWriter:
        return ClaimWriter(self.store, self.passes, self.clock)

    def allocate(
        self,
        namespace: str,
        name: str,
        request: AllocateRequest,
        *,
        timeout_seconds: float,
        settle_after_seconds: int | None = None,
        team: str | None = None,
        purpose: str | None = None,
        deadline: str | None = None,
    ) -> PrivacyBudgetClaim:
        """Claim budget and wait until it is granted; a repeated call with the same name finds its claim and pays once.

        Args:
            namespace: of the claim and its blocks.
            name: of the claim.
            request: what to claim.
            timeout_seconds: how long to wait.
            settle_after_seconds: how long after the last progress of its run the control plane settles the claim; None
                for the time that its policy allows after the grant, which is the latest in any case.
            team: whom the budget is for; None if it is not stated.
            purpose: what the results are for; None if it is not stated.
            deadline: when the results become useless, an RFC 3339 time; None for never. Nothing is granted from then
                on, and of equal demands that of the earliest deadline goes first.

        Returns:
            The claim, which holds the budget.

        Raises:
            InvalidInput: fewer blocks match than the request needs, or an argument does not fit; nothing is written.
            BudgetUnavailable: waiting could not help; nothing is written.
            DeadlineExceeded: it was not granted in time, or its deadline has passed; the request is withdrawn.
            AlreadyExists: the name is taken by another request.
            StoreBusy: the control plane did not answer.
        """
        validation.require_type("request", request, AllocateRequest)
        validation.require_type("timeout_seconds", timeout_seconds, float | int)
        if not math.isfinite(timeout_seconds):
            raise errors.invalid("timeout_seconds", timeout_seconds, "must be finite", "set how long to wait")
        timed_request = replace(request, timeout_ms=max(1, round(timeout_seconds * 1000)))
        requester = Requester(user=self.store.user(), team=team, purpose=purpose)
        deadline_ms = None if deadline is None else deadlines.parse(deadline)
        wanted = Allocation(namespace, name, timed_request, settle_after_seconds, requester, deadline_ms)
        return allocation.allocate(self._claims, wanted)

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
            require_readable(claim)
            if claim.spec.data_opened:
                return claim
            return self._claims.renewed(replace(claim, spec=replace(claim.spec, data_opened=True)))

        self._claims.update_spec(claim_id, open_data)

    def postpone_settling(self, claim_id: str) -> None:
        """Postpone the time after which the control plane settles a claim: its run goes on.

        Args:
            claim_id: `namespace/name`.

        Raises:
            NotFound: no such claim exists.
        """
        self._claims.update_spec(claim_id, self._claims.renewed)

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
            claim = self._claims.commit(claim, claim.status.acquired, mechanisms)
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
            TooLarge: the claim is on so many blocks that no store would take the statement.
            StoreBusy: the control plane did not answer, or signs nothing because it cannot read the ledger.
        """

        def request_statement(claim: PrivacyBudgetClaim) -> PrivacyBudgetClaim:
            if not claim.status.committed:
                raise errors.BudgetUnavailable(f"claim {claim_id}: has committed nothing; consume it first")
            asked = claim if claim.spec.card == card else replace(claim, spec=replace(claim.spec, card=card))
            if asked.awaits_statement:
                card_statements.require_room(asked)
            return asked

        self._claims.update_spec(claim_id, request_statement)
        try:
            signed = self._claims.wait_for(claim_id, lambda claim: not claim.awaits_statement).status.statement
        except errors.StoreBusy as error:
            raise errors.StoreBusy(
                f"{error}; nothing is signed either while a ledger entry that may be the claim's cannot be read: "
                "privatekube ledger --verify"
            ) from error
        if signed is None or signed.card != card:
            raise errors.Conflict(f"claim {claim_id}: another run asked for a statement meanwhile; try again")
        return signed

    def opening_key(self, claim_id: str) -> SealingKey | None:
        """Have the control plane give the key that opens what was released under a claim, which must have paid.

        Args:
            claim_id: `namespace/name`; a repeated call returns the same key.

        Returns:
            The key with its private half; None if the claim was granted by a version that sealed nothing.

        Raises:
            NotFound: no such claim exists.
            BudgetUnavailable: not all that the claim was granted is committed.
            StoreBusy: the control plane did not answer, or has lost the secret that the key was derived from.
        """

        def request_key(claim: PrivacyBudgetClaim) -> PrivacyBudgetClaim:
            if claim.status.sealing is None or claim.spec.opens_releases:
                return claim
            return replace(claim, spec=replace(claim.spec, opens_releases=True))

        if not self.get_claim(claim_id).has_paid:
            raise errors.BudgetUnavailable(
                f"claim {claim_id}: has not consumed all that it was granted, so what it released stays sealed; "
                "consume it first"
            )
        self._claims.update_spec(claim_id, request_key)
        try:
            return self._claims.wait_for(claim_id, lambda claim: not claim.awaits_key).status.sealing
        except errors.StoreBusy as error:
            raise errors.StoreBusy(
                f"{error}; no key is given either where the secret sealing-key was lost: restore it from a backup"
            ) from error

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
        validation.require_type("release", release, RegisterRequest)
        with self.store.transaction():
            claim = self.get_claim(claim_id)
            if release.step not in claim.releases:  # else a refused step that is repeated would fill the claim
                if not claim.holds_its_grant:
                    raise errors.BudgetUnavailable(
                        f"claim {claim_id}: holds no budget, or not all it was granted, so {release.step} must not "
                        "release; start a new run"
                    )
                claim = self._claims.append(claim, release)
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
        validation.require_type("claim_id", claim_id, str)
        self.passes.release(self._claims, claim_id)

    def settle(self, claim_id: str) -> Outcome:
        """Release the budget of a claim whose data was never opened, and consume it otherwise.

        Args:
            claim_id: `namespace/name`.

        Returns:
            What was done; `Outcome.NO_CLAIM` if no such claim exists: a run may end before it has one.
        """
        validation.require_type("claim_id", claim_id, str)
        return self.passes.settle(self._claims, claim_id)
