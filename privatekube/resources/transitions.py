"""Pure transitions of a block: every way in which budget moves, and the invariant that all of them keep.

Each transition is named by an imperative verb and returns the new block; the given block is not changed.

The invariant: initial = pending + available + acquired + committed + amounts in unfinished locks, per component or
order. A lock is written together with the amount that it holds, so a crash between two writes loses nothing.

The sums are exact, however many claims of whatever size there are. Floats are exact numbers, and a sum of them is
computed as such and rounded once. Only the available part is rounded: it is what the other parts leave of the initial
budget, to the nearest float. So the parts add up to within half a unit in the last place of the available part, and
this error is not carried over to the next transition. Where the committed amounts of finished claims are folded, their
sum is rounded up: it is never less than what was committed, and above it by one unit in the last place per fold of 64
claims at most.
"""

from __future__ import annotations

import math
from collections.abc import Set
from dataclasses import replace
from types import MappingProxyType

from privatekube import errors
from privatekube.privacy import arithmetic, budget_text, rounding
from privatekube.privacy.budget import PrivacyBudget
from privatekube.resources.block import BlockStatus, Budgets, Lock, LockState, PrivateDataBlock, ReturnPolicy
from privatekube.resources.request_id import LockId

HOLDING = frozenset({LockState.ALLOCATING, LockState.DPF_ACQUIRING, LockState.COMMITTING, LockState.ABORTING})
"""States in which a lock holds an amount that was taken from another part of the block."""

FOLDED = "folded"
"""Key of the total that finished claims committed. It has no namespace, so it is never the id of a claim."""
INHERITED = "inherited"
"""Key of what was committed on earlier blocks that had the same records, beyond what claims committed on this data."""
MAX_COMMITTED_ENTRIES = 64
"""Number of claims that a block's committed map lists; above it they are folded into one total to bound its size."""


def initialize_status(block: PrivateDataBlock, committed: Budgets = MappingProxyType({})) -> PrivateDataBlock:
    """Give a new block a status: its budget is pending, except what was `committed` on its data before.

    A block that has a status is returned as it is. Where an order is overdrawn, the deficit goes to the available
    part: if it stayed in the pending part, a demand of zero at this order would still fit.
    """
    if block.status is not None:
        return block
    initial = block.spec.initial_budget
    left = initial - arithmetic.total(committed.values(), start=initial * 0.0)
    overdrawn = left.minimum(left * 0.0)
    listed = _fold(dict(committed), keep=max(committed, default=""))
    return replace(block, status=BlockStatus(left - overdrawn, overdrawn, committed=listed))


def status_of(block: PrivateDataBlock) -> BlockStatus:
    """Return the status of a block.

    Raises:
        Temporary: the control plane has not given it a status yet.
    """
    if block.status is None:
        raise errors.Temporary(f"block {block.id} has no status yet; try again")
    return block.status


def unlock(block: PrivateDataBlock, amount: PrivacyBudget) -> PrivateDataBlock:
    """Move up to `amount` from pending to available; pending never falls below zero."""
    status = status_of(block)
    pending = _at_orders(block, status.pending)
    moved = _at_orders(block, amount).minimum(pending)
    if not any(moved.values):
        return block
    return _made_available(_with(block, pending=pending - moved), moved)


def reserve(
    block: PrivateDataBlock, request: LockId, demand: PrivacyBudget, *, owner: str | None = None
) -> PrivateDataBlock:
    """Record the demand of a request that waits; its lock also records that the block has unlocked for it."""
    return _with(
        block,
        reserved={**status_of(block).reserved, request.claim: demand},
        locks=_with_lock(block, request, Lock(LockState.DPF_RESERVED, reserved=demand, owner=owner)),
    )


def begin_acquire(
    block: PrivateDataBlock, request: LockId, amount: PrivacyBudget, *, owner: str | None = None
) -> PrivateDataBlock:
    """Take `amount` from available for a request, and hold it in the request's lock.

    Raises:
        BudgetUnavailable: it does not fit.
        InvalidBudget: it lacks an order of the block.
    """
    status, amount = status_of(block), _at_orders(block, amount)
    if not status.available.admits(amount, capacity=block.spec.initial_budget):
        asked, available = budget_text.asked_and_left(amount, status.available)
        raise errors.BudgetUnavailable(f"block {block.id}: asked {asked}, available {available}")
    before = status.locks.get(request)
    lock = Lock(LockState.DPF_ACQUIRING, acquired=amount, reserved=before.reserved if before else None, owner=owner)
    return _with(block, available=status.available - amount, locks=_with_lock(block, request, lock))


def begin_commit(
    block: PrivateDataBlock, request: LockId, amount: PrivacyBudget, *, owner: str | None = None
) -> PrivateDataBlock:
    """Take `amount` from what the claim acquired, and hold it in the request's lock, to be committed."""
    amount = _at_orders(block, amount)
    lock = Lock(LockState.COMMITTING, acquired=amount, owner=owner)
    return _with(block, acquired=_minus(block, request.claim, amount), locks=_with_lock(block, request, lock))


def begin_release(
    block: PrivateDataBlock, request: LockId, amount: PrivacyBudget, *, owner: str | None = None
) -> PrivateDataBlock:
    """Take `amount` from what the claim acquired, and hold it in the request's lock, to be released."""
    amount = _at_orders(block, amount)
    lock = Lock(LockState.ABORTING, acquired=amount, owner=owner)
    return _with(block, acquired=_minus(block, request.claim, amount), locks=_with_lock(block, request, lock))


def complete(block: PrivateDataBlock, request: LockId) -> PrivateDataBlock:
    """Finish the transition that an answered request's lock began, and drop the lock."""
    status = status_of(block)
    lock = status.locks.get(request)
    if lock is None:
        return block
    done = _with(block, reserved=_without(status.reserved, request.claim), locks=_without_lock(block, request))
    if lock.acquired is None or lock.state not in HOLDING:
        return done
    amount = _at_orders(block, lock.acquired)
    if lock.state is LockState.COMMITTING:
        return _with(done, committed=_fold(_plus(block, status.committed, request.claim, amount), keep=request.claim))
    if lock.state is LockState.ABORTING:
        return _return_budget(done, amount)
    return _with(done, acquired=_plus(block, status.acquired, request.claim, amount))


def undo(block: PrivateDataBlock, request: LockId, *, keep_waiting: bool = False) -> PrivateDataBlock:
    """Revert the transition that a lock began, where its request failed or its claim was deleted.

    Args:
        block: a block with or without the lock.
        request: id of the request.
        keep_waiting: whether the request continues to wait; then only its incomplete grant is reverted.
    """
    status = status_of(block)
    lock = status.locks.get(request)
    if lock is None:
        return block
    if keep_waiting:
        locks = _with_lock(block, request, Lock(LockState.DPF_RESERVED, reserved=lock.reserved, owner=lock.owner))
        done = _with(block, locks=locks)
    else:
        done = _with(block, reserved=_without(status.reserved, request.claim), locks=_without_lock(block, request))
    if lock.acquired is None or lock.state not in HOLDING:
        return done
    amount = _at_orders(block, lock.acquired)
    if lock.state in (LockState.COMMITTING, LockState.ABORTING):
        return _with(done, acquired=_plus(block, status.acquired, request.claim, amount))
    return _made_available(done, amount)


def charge(block: PrivateDataBlock, claim: str, amount: PrivacyBudget, *, from_held: bool) -> PrivateDataBlock:
    """Commit an amount that was spent on the block's data elsewhere: it is taken from what is left, even beyond zero.

    Args:
        block: a block with a status.
        claim: id of the claim that spent it.
        amount: what was spent.
        from_held: whether what the claim holds here is what it spent, and is taken first.
    """
    status, amount = status_of(block), _at_orders(block, amount)
    acquired, rest = status.acquired, amount
    if from_held and claim in acquired:
        taken = _at_orders(block, acquired[claim]).minimum(amount)
        acquired, rest = _minus(block, claim, taken), amount - taken
    available = status.available - rest
    lacking = available.minimum(available * 0.0) * -1.0
    moved = lacking.minimum(rest).minimum(status.pending)
    committed = _fold(_plus(block, status.committed, claim, amount), keep=claim)
    return _with(
        block, pending=status.pending - moved, available=available + moved, acquired=acquired, committed=committed
    )


def drop_reservations(block: PrivateDataBlock, claims: Set[str]) -> PrivateDataBlock:
    """Remove the demands of claims that no longer wait."""
    kept = {claim: demand for claim, demand in status_of(block).reserved.items() if claim not in claims}
    return _with(block, reserved=kept)


def is_owned_by(lock: Lock, owner: str) -> bool:
    """Whether a lock belongs to the claim with the uid `owner`; a lock without an owner matches by name only."""
    return lock.owner in (None, owner)


def charges(block: PrivateDataBlock) -> dict[str, PrivacyBudget]:
    """Return what counts as committed once a block is deleted, by claim id: all that is neither pending nor available.

    Acquired budget counts, since it cannot be proved that the data behind it was not read; so does what no part of the
    block states.
    """
    if block.status is None:
        return {}
    held, unstated = _stated_charges(block), unstated_charge(block)
    return held if unstated is None else _plus(block, held, INHERITED, unstated)


def unstated_charge(block: PrivateDataBlock) -> PrivacyBudget | None:
    """Return what of the initial budget no part of a block states, as its status was damaged; None if it adds up."""
    status, whole = status_of(block), _at_orders(block, block.spec.initial_budget)
    rest = arithmetic.remainder(whole, (status.pending, status.available, *_stated_charges(block).values()))
    missing = rest - rest.minimum(rest * 0.0)
    scale = whole - status.available.minimum(whole * 0.0)
    return None if arithmetic.is_negligible(missing, capacity=scale) else missing


def _stated_charges(block: PrivateDataBlock) -> dict[str, PrivacyBudget]:
    status = status_of(block)
    held = {**status.committed}
    for claim, amount in status.acquired.items():
        held = _plus(block, held, claim, amount)
    for request, lock in unfinished_locks(block).items():
        assert lock.acquired is not None  # noqa: S101 - it holds an amount
        held = _plus(block, held, request.claim, lock.acquired)
    return held


def left(block: PrivateDataBlock) -> tuple[PrivacyBudget, PrivacyBudget]:
    """Return the parts of a block that are not granted: pending and available."""
    status = status_of(block)
    return status.pending, status.available


def has_same_parts(before: PrivateDataBlock, after: PrivateDataBlock) -> bool:
    """Return whether a transition moved no budget, as a reservation does: its balance needs no second check."""
    old, new = status_of(before), status_of(after)
    return all(getattr(old, part) is getattr(new, part) for part in ("pending", "available", "acquired", "committed"))


def unfinished_locks(block: PrivateDataBlock) -> dict[LockId, Lock]:
    """Return the locks that hold an amount, by request id."""
    locks = status_of(block).locks
    return {request: lock for request, lock in locks.items() if lock.acquired is not None and lock.state in HOLDING}


def amounts_in_locks(block: PrivateDataBlock) -> list[PrivacyBudget]:
    """Return the amounts in unfinished locks."""
    locks = status_of(block).locks.values()
    return [lock.acquired for lock in locks if lock.acquired is not None and lock.state in HOLDING]


def require_balance(block: PrivateDataBlock) -> PrivateDataBlock:
    """Check the invariant before a block is written, and return it with an available part that is exact.

    Raises:
        BudgetExceeded: the parts do not add up to the initial budget, by more than the rounding of one transition.
        InvalidBudget: a part lacks an order of the block.
    """
    status, whole = status_of(block), _at_orders(block, block.spec.initial_budget)
    parts = (status.pending, *status.acquired.values(), *status.committed.values(), *amounts_in_locks(block))
    exact = arithmetic.remainder(whole, parts)
    if exact == status.available:
        return block
    missing = exact - status.available
    scales = (abs(a) + abs(b) for a, b in zip(whole.values, exact.values, strict=True))  # no part is larger
    if not all(map(rounding.is_negligible, missing.values, scales)):
        raise errors.BudgetExceeded(f"block {block.id}: its parts miss {missing} of {whole}; not written")
    return _with(block, available=exact)


def _return_budget(block: PrivateDataBlock, amount: PrivacyBudget) -> PrivateDataBlock:
    """Add released budget to the part that the block's return policy names."""
    status = status_of(block)
    if block.spec.budget_return_policy is ReturnPolicy.TO_AVAILABLE:
        return _made_available(block, amount)
    return _with(block, pending=status.pending + amount)


def _made_available(block: PrivateDataBlock, amount: PrivacyBudget) -> PrivateDataBlock:
    """Add an amount, which is in no other part any more, to the available part.

    What is available may be far below zero at an order, and the amount as far above: their sum has lost the digits that
    the other parts still have, and is then taken from those. Any other difference is left for `require_balance`.
    """
    status, whole = status_of(block), _at_orders(block, block.spec.initial_budget)
    rounded = status.available + amount
    if all(value <= most for value, most in zip(amount.values, whole.values, strict=True)):
        return _with(block, available=rounded)
    parts = (status.pending, *status.acquired.values(), *status.committed.values(), *amounts_in_locks(block))
    exact = arithmetic.remainder(whole, parts)
    lost = [math.ulp(abs(a) + abs(b)) for a, b in zip(status.available.values, amount.values, strict=True)]
    is_rounding = (abs(a - b) <= 2 * most for a, b, most in zip(rounded.values, exact.values, lost, strict=True))
    return _with(block, available=exact if all(is_rounding) else rounded)


def _with(block: PrivateDataBlock, **changes: object) -> PrivateDataBlock:
    return replace(block, status=replace(status_of(block), **changes))  # type: ignore[arg-type]  # fields of BlockStatus


def _with_lock(block: PrivateDataBlock, request: LockId, lock: Lock) -> dict[LockId, Lock]:
    return {**status_of(block).locks, request: lock}


def _without_lock(block: PrivateDataBlock, request: LockId) -> dict[LockId, Lock]:
    locks = dict(status_of(block).locks)
    locks.pop(request, None)
    return locks


def _at_orders(block: PrivateDataBlock, amount: PrivacyBudget) -> PrivacyBudget:
    """Return an amount at the orders of the block's available part, which loses none by this.

    Raises:
        InvalidBudget: it lacks one of them.
    """
    kept = status_of(block).available
    is_same = type(amount) is type(kept) and amount.orders == kept.orders
    return amount if is_same else arithmetic.at_orders_of(amount, kept)


def _plus(block: PrivateDataBlock, budgets: Budgets, claim: str, amount: PrivacyBudget) -> dict[str, PrivacyBudget]:
    before, added = budgets.get(claim), _at_orders(block, amount)
    return {**budgets, claim: added if before is None else _at_orders(block, before) + added}


def _minus(block: PrivateDataBlock, claim: str, amount: PrivacyBudget) -> dict[str, PrivacyBudget]:
    """Subtract `amount` from what a claim acquired; an entry that is zero up to float rounding of it is removed."""
    acquired = status_of(block).acquired
    held = _at_orders(block, acquired[claim])
    left = held - amount
    return _without(acquired, claim) if arithmetic.is_negligible(left, capacity=held) else {**acquired, claim: left}


def _fold(committed: dict[str, PrivacyBudget], *, keep: str) -> dict[str, PrivacyBudget]:
    """Fold all entries but `keep` into one total where there are too many; the ledger has the details."""
    if len(committed) <= MAX_COMMITTED_ENTRIES:
        return committed
    others = [amount for claim, amount in committed.items() if claim != keep]
    return {FOLDED: arithmetic.total_rounded_up(others), keep: committed[keep]}


def _without(budgets: Budgets, claim: str) -> dict[str, PrivacyBudget]:
    others = dict(budgets)
    others.pop(claim, None)
    return others
