"""Pure transitions of a block: every way in which budget moves, and the invariant that all of them keep.

initial = pending + available + acquired + committed + amounts in unfinished locks, per component or common order.
A lock is written together with the amount that it takes out, so that a crash between two writes loses nothing.
"""

from __future__ import annotations

from collections.abc import Set
from dataclasses import replace
from types import MappingProxyType

from privatekube import errors
from privatekube.privacy import budget, rounding
from privatekube.privacy.budget import PrivacyBudget
from privatekube.resources.block import BlockStatus, Budgets, Lock, LockState, PrivateDataBlock, ReturnPolicy

HOLDING = frozenset({LockState.ALLOCATING, LockState.DPF_ACQUIRING, LockState.COMMITTING, LockState.ABORTING})
"""States of a lock that holds an amount taken from elsewhere."""

FOLDED = "folded"
"""Under which name what finished claims committed is kept in one total; no claim's id, for it has no namespace."""
MOST_COMMITTED = 64
"""So many claims stand by themselves in what is committed; from there on they are folded, so that blocks stay small."""


def initialised(block: PrivateDataBlock, committed: Budgets = MappingProxyType({})) -> PrivateDataBlock:
    """A new block: all of its budget is locked, but for what was `committed` on its data before.

    Only a block that never had a status is new. An order that is overdrawn is so in what is available, from the start:
    left in what is locked, a demand of nothing at this order would fit there.
    """
    if block.status is not None:
        return block
    initial = block.spec.initial_budget
    left = initial - budget.total(committed.values(), start=initial * 0.0)
    overdrawn = left.minimum(left * 0.0)
    return replace(block, status=BlockStatus(left - overdrawn, overdrawn, committed=dict(committed)))


def status_of(block: PrivateDataBlock) -> BlockStatus:
    """The status of a block that the control plane has seen."""
    if block.status is None:
        raise errors.Temporary(f"block {block.id} has no status yet; try again")
    return block.status


def unlocked(block: PrivateDataBlock, amount: PrivacyBudget) -> PrivateDataBlock:
    """Move up to `amount` from pending to available, never below nothing."""
    status = status_of(block)
    moved = amount.minimum(status.pending)
    return replace(block, status=replace(status, pending=status.pending - moved, available=status.available + moved))


def reserved(
    block: PrivateDataBlock, claim: str, request: str, demand: PrivacyBudget, *, owner: str | None = None
) -> PrivateDataBlock:
    """Record the demand of a request that will wait, and that the block has unlocked for it."""
    return _with(
        block,
        reserved={**status_of(block).reserved, claim: demand},
        locks=_locked(block, request, Lock(LockState.DPF_RESERVED, reserved=demand, owner=owner)),
    )


def acquiring(
    block: PrivateDataBlock, request: str, amount: PrivacyBudget, *, owner: str | None = None
) -> PrivateDataBlock:
    """Take `amount` from available for a request, and hold it in the request's lock.

    Raises:
        BudgetUnavailable: it does not fit; nothing may break this.
    """
    status = status_of(block)
    if not status.available.admits(amount, capacity=block.spec.initial_budget):
        raise errors.BudgetUnavailable(f"block {block.id}: asked {amount}, available {status.available}")
    before = status.locks.get(request)
    lock = Lock(LockState.DPF_ACQUIRING, acquired=amount, reserved=before.reserved if before else None, owner=owner)
    return _with(block, available=status.available - amount, locks=_locked(block, request, lock))


def committing(
    block: PrivateDataBlock, claim: str, request: str, amount: PrivacyBudget, *, owner: str | None = None
) -> PrivateDataBlock:
    """Take `amount` from what the claim acquired, and hold it in the request's lock, to be committed."""
    lock = Lock(LockState.COMMITTING, acquired=amount, owner=owner)
    return _with(block, acquired=_less(block, claim, amount), locks=_locked(block, request, lock))


def aborting(
    block: PrivateDataBlock, claim: str, request: str, amount: PrivacyBudget, *, owner: str | None = None
) -> PrivateDataBlock:
    """Take `amount` from what the claim acquired, and hold it in the request's lock, to be released."""
    lock = Lock(LockState.ABORTING, acquired=amount, owner=owner)
    return _with(block, acquired=_less(block, claim, amount), locks=_locked(block, request, lock))


def completed(block: PrivateDataBlock, claim: str, request: str) -> PrivateDataBlock:
    """Finish what the lock of an answered request began, and drop the lock."""
    status = status_of(block)
    lock = status.locks.get(request)
    if lock is None:
        return block
    done = _with(block, reserved=_without(status.reserved, claim), locks=_without_lock(block, request))
    amount = lock.acquired
    if amount is None or lock.state not in HOLDING:
        return done
    if lock.state is LockState.COMMITTING:
        return _with(done, committed=_folded(_more(status.committed, claim, amount), keep=claim))
    if lock.state is LockState.ABORTING:
        return returned(done, amount)
    return _with(done, acquired=_more(status.acquired, claim, amount))


def undone(block: PrivateDataBlock, claim: str, request: str, *, keep_waiting: bool = False) -> PrivateDataBlock:
    """Take back what the lock of a request that failed, or whose claim is gone, began.

    Args:
        block: with or without the lock.
        claim: id of the claim.
        request: id of the request.
        keep_waiting: the request waits on: only its half-done grant is taken back.
    """
    status = status_of(block)
    lock = status.locks.get(request)
    if lock is None:
        return block
    if keep_waiting:
        locks = _locked(block, request, Lock(LockState.DPF_RESERVED, reserved=lock.reserved, owner=lock.owner))
        done = _with(block, locks=locks)
    else:
        done = _with(block, reserved=_without(status.reserved, claim), locks=_without_lock(block, request))
    amount = lock.acquired
    if amount is None or lock.state not in HOLDING:
        return done
    if lock.state in (LockState.COMMITTING, LockState.ABORTING):
        return _with(done, acquired=_more(status.acquired, claim, amount))
    return _with(done, available=status.available + amount)


def without_reservations(block: PrivateDataBlock, claims: Set[str]) -> PrivateDataBlock:
    """Forget the demands of claims that do not wait any more."""
    kept = {claim: each for claim, each in status_of(block).reserved.items() if claim not in claims}
    return _with(block, reserved=kept)


def returned(block: PrivateDataBlock, amount: PrivacyBudget) -> PrivateDataBlock:
    """Put released budget where the block's policy says."""
    status = status_of(block)
    if block.spec.budget_return_policy is ReturnPolicy.TO_AVAILABLE:
        return _with(block, available=status.available + amount)
    return _with(block, pending=status.pending + amount)


def is_lock_of(lock: Lock, owner: str) -> bool:
    """Whether a lock is of the claim with that uid; a lock that names nobody is of whoever has the name."""
    return lock.owner in (None, owner)


def charged(block: PrivateDataBlock) -> dict[str, PrivacyBudget]:
    """What counts as committed, by claim id, once the block is gone: committed, or acquired and not settled.

    Nobody can prove that the data behind acquired budget was not read.
    """
    if block.status is None:
        return {}
    held = {**block.status.committed}
    for claim, amount in block.status.acquired.items():
        held = _more(held, claim, amount)
    for request, lock in holding(block).items():
        assert lock.acquired is not None  # noqa: S101 - it holds an amount
        held = _more(held, request.rpartition("/")[0], lock.acquired)
    return held


def holding(block: PrivateDataBlock) -> dict[str, Lock]:
    """The unfinished locks that hold an amount, by request id."""
    locks = status_of(block).locks
    return {key: lock for key, lock in locks.items() if lock.acquired is not None and lock.state in HOLDING}


def held_in_locks(block: PrivateDataBlock) -> list[PrivacyBudget]:
    """The amounts in unfinished locks."""
    return [lock.acquired for lock in holding(block).values() if lock.acquired is not None]


def require_balance(block: PrivateDataBlock) -> PrivateDataBlock:
    """Check the invariant before a block is written.

    Raises:
        BudgetExceeded: the parts do not add up to the initial budget; nothing is written.
    """
    parts = [*block.amounts(), *held_in_locks(block)]
    initial = block.spec.initial_budget
    missing = initial - budget.total(parts[1:], start=parts[0])
    largest = max(abs(value) for part in (initial, *parts) for value in part.values)
    if any(abs(value) > rounding.ROUNDING * largest * len(parts) for value in missing.values):
        raise errors.BudgetExceeded(f"block {block.id}: its parts miss {missing} of {initial}; not written")
    return block


def _with(block: PrivateDataBlock, **changes: object) -> PrivateDataBlock:
    return replace(block, status=replace(status_of(block), **changes))  # type: ignore[arg-type]  # fields of BlockStatus


def _locked(block: PrivateDataBlock, request: str, lock: Lock) -> dict[str, Lock]:
    return {**status_of(block).locks, request: lock}


def _without_lock(block: PrivateDataBlock, request: str) -> dict[str, Lock]:
    return {name: lock for name, lock in status_of(block).locks.items() if name != request}


def _more(budgets: Budgets, claim: str, amount: PrivacyBudget) -> dict[str, PrivacyBudget]:
    before = budgets.get(claim)
    return {**budgets, claim: amount if before is None else before + amount}


def _less(block: PrivateDataBlock, claim: str, amount: PrivacyBudget) -> dict[str, PrivacyBudget]:
    """What claims hold once `amount` is taken from one of them; what is left of float rounding leaves the map."""
    held = status_of(block).acquired
    left = held[claim] - amount
    if budget.is_negligible(left, capacity=block.spec.initial_budget):
        return _without(held, claim)
    return {**held, claim: left}


def _folded(committed: dict[str, PrivacyBudget], *, keep: str) -> dict[str, PrivacyBudget]:
    """What claims committed, with all but one in a total once they are many: their detail is in the ledger."""
    if len(committed) <= MOST_COMMITTED:
        return committed
    own, *others = committed[keep], *(amount for claim, amount in committed.items() if claim != keep)
    return {FOLDED: budget.total(others[1:], start=others[0]), keep: own}


def _without(budgets: Budgets, claim: str) -> dict[str, PrivacyBudget]:
    return {name: each for name, each in budgets.items() if name != claim}
