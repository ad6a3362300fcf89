"""Decide whether a claim admits a workload; pure."""

from __future__ import annotations

from dataclasses import dataclass

from privatekube import plain_text
from privatekube.controller.kueue.workload import CLAIM, State, Workload
from privatekube.resources import approval, conditions
from privatekube.resources.claim import PrivacyBudgetClaim
from privatekube.resources.meta import CREATED_BY, Condition

_LONGEST_MESSAGE = 1000


@dataclass(frozen=True, slots=True)
class Verdict:
    """The state of an admission check.

    Args:
        state: of the check.
        message: why, for people.
        retry_seconds: after how long Kueue reserves quota again; with RETRY only.
    """

    state: State
    message: str
    retry_seconds: int | None = None


def without_claim(workload: Workload, *, hold_seconds: int, now_ms: int) -> Verdict:
    """Return the verdict on a workload whose claim is not named by one name, or does not exist yet."""
    names = sorted(workload.claims)
    if len(names) != 1:
        named = f"names {len(names)} claims ({', '.join(names)})" if names else "names no claim"
        return _rejected(f"{named}; set the annotation {CLAIM} of the pod template to the name of one claim")
    message = f"claim {workload.namespace}/{names[0]}: does not exist; create it, or correct the annotation {CLAIM}"
    return _rejected(message) if _is_held(workload, hold_seconds, now_ms) else _pending(message)


def used_elsewhere(claim: PrivacyBudgetClaim, holder: str) -> Verdict:
    """Return the verdict on a workload whose claim another one uses."""
    return _rejected(f"claim {claim.id}: is used by workload {holder}; name a claim that no other workload uses")


def of_claim(workload: Workload, claim: PrivacyBudgetClaim, *, hold_seconds: int, now_ms: int) -> Verdict:
    """Return the verdict on a workload whose claim exists, and is used by no other workload.

    The claim must be of a service account of the workload's namespace, which all pods there share. Of another claim the
    pods could not open the data, and a user who may create jobs could have it settled by naming it.

    Args:
        workload: has reserved quota.
        claim: what it names.
        hold_seconds: how long a workload keeps its quota while its claim waits.
        now_ms: the time, unix milliseconds.
    """
    creator = claim.meta.annotations.get(CREATED_BY, "")
    if approval.accounts_of(creator) != workload.namespace:
        owner = plain_text.escaped(creator) or "a user who is not recorded"
        return _rejected(
            f"claim {claim.id}: belongs to {owner}, so the pods of a job cannot use it; "
            f"create it as a service account of namespace {workload.namespace}"
        )
    if claim.open_allocate_requests or not claim.status.responses:
        return waiting(workload, _waiting_message(claim), hold_seconds=hold_seconds, now_ms=now_ms)
    if claim.holds_its_grant:
        return Verdict(State.READY, f"claim {claim.id}: is granted")
    return _rejected(f"claim {claim.id}: {_why_not(claim)}; create another claim, and a job that names it")


def waiting(workload: Workload, message: str, *, hold_seconds: int, now_ms: int) -> Verdict:
    """Return the verdict on a workload whose claim waits: keep the quota for a while, then let others have it."""
    if _is_held(workload, hold_seconds, now_ms):
        return Verdict(State.RETRY, message[:_LONGEST_MESSAGE], hold_seconds)
    return _pending(message)


def _pending(message: str) -> Verdict:
    return Verdict(State.PENDING, message[:_LONGEST_MESSAGE])


def _rejected(message: str) -> Verdict:
    return Verdict(State.REJECTED, message[:_LONGEST_MESSAGE])


def _is_held(workload: Workload, hold_seconds: int, now_ms: int) -> bool:
    return workload.reserved_ms is not None and now_ms - workload.reserved_ms >= 1000 * hold_seconds


def _waiting_message(claim: PrivacyBudgetClaim) -> str:
    granted = _granted(claim)
    return f"claim {claim.id}: {granted.message if granted and granted.message else 'is not answered yet'}"


def _why_not(claim: PrivacyBudgetClaim) -> str:
    """Return why a claim whose requests are answered holds no budget, or not all that it was granted."""
    granted = _granted(claim)
    if granted is not None and not granted.status:
        return f"is not granted: {granted.message}"
    return "was consumed" if claim.status.committed else "holds no budget any more"


def _granted(claim: PrivacyBudgetClaim) -> Condition | None:
    return next((item for item in claim.status.conditions if item.type == conditions.GRANTED), None)
