"""What components and people ask of the control plane: claim budget, pay, settle. Every call may be repeated."""

from __future__ import annotations

import enum
import os
import random
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from privatekube import errors, explaining
from privatekube.controller import allocation, loop, settling
from privatekube.controller.policy import UNLOCK
from privatekube.plane import ControlPlane, now_ms
from privatekube.privacy import budget
from privatekube.privacy.budget import PrivacyBudget
from privatekube.resources import matching, standing
from privatekube.resources.claim import (
    ALL_OR_NOTHING,
    AllocateRequest,
    AllocateResponse,
    ClaimSpec,
    ConsumeRequest,
    ConsumeResponse,
    PrivacyBudgetClaim,
    ReleaseRequest,
    Request,
    Response,
    ResponseState,
)
from privatekube.resources.meta import ObjectMeta
from privatekube.store.sqlite import SqliteStore

STORE = "PRIVATEKUBE_STORE"
DEFAULT_STORE = "sqlite:///.privatekube/state.db"
_SCHEME = "sqlite:///"
_FIRST_WAIT, _LONGEST_WAIT = 0.05, 2.0
_ALLOCATE, _SETTLE = "allocate", "settle"


class Outcome(enum.StrEnum):
    """What settling a claim came to."""

    RELEASED = "released"
    CONSUMED = "consumed"
    NOTHING = "nothing to settle"


def connect(uri: str | None = None) -> BudgetClient:
    """A client of the store that `uri`, or else PRIVATEKUBE_STORE, names; a context manager.

    Raises:
        InvalidInput: no such kind of store, or a file that cannot be one.
    """
    named = uri or os.environ.get(STORE) or DEFAULT_STORE
    if not named.startswith(_SCHEME) or named == _SCHEME:
        raise errors.invalid(STORE, named, "is no store", f"write {_SCHEME}path/to/state.db")
    return BudgetClient(SqliteStore(Path(named.removeprefix(_SCHEME))))


def claim_name(run_id: str) -> str:
    """The name of a run's claim: the same for every repetition of its steps."""
    return f"run-{run_id}"


class BudgetClient(ControlPlane):
    """A client of the embedded control plane; see `connect`."""

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
        wait = _FIRST_WAIT
        while True:
            claim = self._claimed(namespace, name, asked, settle_after_seconds)
            response = claim.status.responses[0] if claim.status.responses else None
            if response is not None and response.state is ResponseState.SUCCESS:
                return claim
            if response is not None and response.state is ResponseState.FAILURE:
                raise self._refusal(claim, asked, response)
            left = _seconds_left(response, timeout_ms)
            time.sleep(min(wait * random.uniform(0.5, 1), left))  # noqa: S311 - spreads retries, protects nothing
            wait = min(wait * 2, _LONGEST_WAIT)

    def mark_opened(self, claim_id: str) -> None:
        """Record that the data behind a claim is about to be read: its budget cannot come back from here on.

        Raises:
            BudgetUnavailable: the claim does not hold all that it was granted (it never got it, gave it back, or paid
                already), so its data must not be read.
        """
        with self.store.transaction():
            claim = self.get_claim(claim_id)
            if not standing.holds_its_grant(claim):
                raise errors.BudgetUnavailable(
                    f"claim {claim_id}: holds no budget, or not all it was granted, so its data must not be read; "
                    "start a new run"
                )
            if not claim.spec.data_opened:
                opened = replace(claim.spec, data_opened=True)
                self.store.update(replace(claim, spec=standing.renewed(opened, now_ms=now_ms())))

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
            held = {} if claim is None else settling.held_on_known_blocks(claim, self.store.get_block)
            if claim is None or not (held or standing.waits(claim)):
                return Outcome.NOTHING
            if claim.spec.data_opened and held:
                self._committed(self._withdrawn(claim), held)
                return Outcome.CONSUMED
            self.release(claim_id)
            return Outcome.RELEASED

    def _withdrawn(self, claim: PrivacyBudgetClaim) -> PrivacyBudgetClaim:
        """The claim without the request that it waits for."""
        while standing.waits(claim):
            loop.withdraw(self.store, claim.id, now_ms=now_ms())
            claim = self.get_claim(claim.id)
        return claim

    def _committed(
        self, claim: PrivacyBudgetClaim, held: Mapping[str, PrivacyBudget], mechanisms: Sequence[str] = ()
    ) -> PrivacyBudgetClaim:
        """The claim with `held` committed, all of it or nothing."""
        if not held:
            return claim
        answered = self._answered(claim, ConsumeRequest(dict(held), f"{ALL_OR_NOTHING}=true", tuple(mechanisms)))
        _require_committed(answered, held)
        return answered

    def _claimed(
        self, namespace: str, name: str, request: AllocateRequest, settle_after_seconds: int | None
    ) -> PrivacyBudgetClaim:
        """The claim of that name, after a pass; made if it is missing and may be granted one day."""
        with self.store.transaction():
            claim = self.store.get_claim(f"{namespace}/{name}")
            if claim is None:
                explaining.require_possible(self.matching_blocks(namespace, request), request)
                spec = standing.renewed(
                    ClaimSpec(requests=(Request(_ALLOCATE, request),)), now_ms=now_ms(), seconds=settle_after_seconds
                )
                claim = self.store.create(PrivacyBudgetClaim(ObjectMeta(name, namespace), spec))
            elif not standing.is_for(claim, request):
                raise errors.AlreadyExists(f"claim {claim.id}: exists with another request; start a run of another id")
            self.run_pass()
            return self.get_claim(claim.id)

    def _refusal(
        self, claim: PrivacyBudgetClaim, request: AllocateRequest, response: Response
    ) -> errors.PrivateKubeError:
        if (response.error or "").partition(":")[0] != allocation.TIMEOUT:
            return errors.InvalidInput(f"claim {claim.id}: {response.error}")
        found = matching.candidates(request, claim.meta.namespace, self.list_blocks())
        return errors.DeadlineExceeded(
            f"claim {claim.id}: not granted within {(request.timeout_ms or 0) / 1000:g} s; "
            f"{explaining.shortage(found, request)}; policy {self.policy()[UNLOCK]} unlocks it: wait longer, ask for "
            "less, or change the policy"
        )

    def _answered(self, claim: PrivacyBudgetClaim, action: ConsumeRequest | ReleaseRequest) -> PrivacyBudgetClaim:
        """Append a request, unless it is the last one and waits to be answered; return the claim with its answer."""
        if not (standing.waits(claim) and claim.spec.requests[-1].action == action):
            request = Request(f"{_SETTLE}-{len(claim.spec.requests)}", action)
            self.store.update(replace(claim, spec=replace(claim.spec, requests=(*claim.spec.requests, request))))
        self.run_pass()
        return self.get_claim(claim.id)


def _seconds_left(response: Response | None, timeout_ms: int) -> float:
    """Until a waiting request times out, with a moment more so that the next pass finds it so."""
    detail = response.detail if response is not None else None
    started = detail.start_time_ms if isinstance(detail, AllocateResponse) else None
    return _LONGEST_WAIT if started is None else max(0.0, (started + timeout_ms - now_ms()) / 1000) + 0.01


def _require_committed(claim: PrivacyBudgetClaim, asked: Mapping[str, PrivacyBudget]) -> None:
    """Compare what was committed with what was asked, block by block."""
    response = claim.status.responses[-1]
    outcomes = response.detail.blocks if isinstance(response.detail, ConsumeResponse) else {}
    for block_id, amount in asked.items():
        outcome = outcomes.get(block_id)
        done = None if outcome is None or response.state is not ResponseState.SUCCESS else outcome.budget
        if done is None or not budget.is_close(done, amount):
            reason = response.error or (outcome.error if outcome else None) or "it was cut short"
            raise errors.BudgetExceeded(f"block {block_id}: asked to commit {amount}, committed {done}: {reason}")
