"""Write the spec of a claim, and wait for what the control plane answers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol, TypeVar

from privatekube import errors, retries
from privatekube.client import stored
from privatekube.privacy.budget import PrivacyBudget
from privatekube.resources.claim import PrivacyBudgetClaim
from privatekube.resources.requests import ConsumeRequest, RegisterRequest, ReleaseRequest, Request
from privatekube.store.base import ResourceStore
from privatekube.store.clock import Clock

T = TypeVar("T")
_REGISTER, _SETTLE = "register", "settle"
BLOCK_SECONDS = 0.1
"""How much longer an answer may take for each block that is written for it: some ten times what it takes."""


class Answers(Protocol):
    """How the answers of a control plane come."""

    @property
    def answer_timeout_seconds(self) -> float:
        """How long to wait for an answer that does not depend on budget becoming free."""

    @property
    def no_answer(self) -> str:
        """The error message when no answer came in that time."""

    def current(self, read: Callable[[], T]) -> T:
        """Return what `read` returns; a control plane in this process first decides what is due."""


@dataclass(frozen=True, slots=True)
class ClaimWriter:
    """Writes claims of a store.

    Args:
        store: where the claims are.
        answers: how the answers come.
        clock: tells from when a settle-after time counts.
    """

    store: ResourceStore
    answers: Answers
    clock: Clock

    def get(self, claim_id: str) -> PrivacyBudgetClaim:
        """Return a claim as stored; NotFound if it does not exist."""
        return stored.claim(self.store, claim_id)

    def current(self, claim_id: str) -> PrivacyBudgetClaim:
        """Return a claim after what is due is decided; NotFound if it does not exist."""
        return self.answers.current(lambda: self.get(claim_id))

    def wait_for(
        self, claim_id: str, is_done: Callable[[PrivacyBudgetClaim], bool], *, n_blocks: int = 0
    ) -> PrivacyBudgetClaim:
        """Wait until a claim is done, for which so many blocks are written, and return it; StoreBusy if it is late."""
        return retries.poll(
            lambda: self.current(claim_id),
            is_done,
            timeout_seconds=self.patience_seconds(n_blocks),
            error=self.no_answer(claim_id),
        )

    def patience_seconds(self, n_blocks: int) -> float:
        """Return how long to wait for an answer for which so many blocks are written."""
        return self.answers.answer_timeout_seconds + n_blocks * BLOCK_SECONDS

    def no_answer(self, claim_id: str) -> errors.StoreBusy:
        """Return the error that no answer about a claim came in time."""
        return errors.StoreBusy(f"claim {claim_id}: {self.answers.no_answer}")

    def update_spec(self, claim_id: str, change: Callable[[PrivacyBudgetClaim], PrivacyBudgetClaim]) -> None:
        """Apply `change` to a claim and write it; read it again and retry if another writer was faster."""

        def write() -> None:
            with self.store.transaction():
                claim = self.get(claim_id)
                changed = change(claim)
                if changed is not claim:
                    self.store.update(changed)

        retries.call(write, on=errors.Conflict, timeout_seconds=self.answers.answer_timeout_seconds)

    def renewed(self, claim: PrivacyBudgetClaim) -> PrivacyBudgetClaim:
        """Return the claim with its settle-after time postponed: its run goes on."""
        return replace(claim, spec=claim.spec.renew(now_ms=self.clock.now_ms()))

    def append(
        self, claim: PrivacyBudgetClaim, action: ConsumeRequest | ReleaseRequest | RegisterRequest
    ) -> PrivacyBudgetClaim:
        """Append a request, unless it is the last one and not answered yet, and return the claim with its answer."""

        def append(claim: PrivacyBudgetClaim) -> PrivacyBudgetClaim:
            if claim.is_waiting and claim.spec.requests[-1].action == action:
                return claim
            is_progress = isinstance(action, RegisterRequest)
            name = _REGISTER if is_progress else _SETTLE
            request = Request(f"{name}-{len(claim.spec.requests)}", action)
            appended = replace(claim, spec=claim.spec.with_request(request))
            return self.renewed(appended) if is_progress else appended

        self.update_spec(claim.id, append)
        return self.wait_for(claim.id, lambda claim: not claim.is_waiting, n_blocks=len(claim.status.acquired))

    def commit(
        self, claim: PrivacyBudgetClaim, held: Mapping[str, PrivacyBudget], mechanisms: Sequence[str] = ()
    ) -> PrivacyBudgetClaim:
        """Commit `held`, all of it or nothing, and return the claim."""
        if not held:
            return claim
        request = ConsumeRequest.all_or_nothing(dict(held), tuple(mechanisms))
        answered_claim = self.append(claim, request)
        answered_claim.require_committed(held)
        return answered_claim


def require_readable(claim: PrivacyBudgetClaim) -> None:
    """Raise BudgetUnavailable unless a claim holds all that it was granted, so that its data may be read."""
    if not claim.holds_its_grant:
        raise errors.BudgetUnavailable(
            f"claim {claim.id}: holds no budget, or not all it was granted, so its data must not be read; "
            "start a new run"
        )


def require_unopened(claim: PrivacyBudgetClaim) -> None:
    """Raise BudgetExceeded if a claim holds budget behind data that was opened: it must be consumed."""
    if claim.spec.data_opened and claim.status.acquired:
        raise errors.BudgetExceeded(
            f"claim {claim.id}: its data was opened, so its budget cannot be released; consume it"
        )
