"""Run a pass over a store: read, decide, apply; start again if another writer interferes or an object is refused."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace

from privatekube import errors, retries
from privatekube.engine import run_pass
from privatekube.engine.changes import Change, Postponed, SetAside, Unsigned
from privatekube.engine.world import World
from privatekube.reconcile import apply, read_world
from privatekube.resources.claim import PrivacyBudgetClaim
from privatekube.resources.meta import REFUSED_VERSION
from privatekube.scheduling.policy import Policy
from privatekube.store.base import ResourceStore

ATTEMPTS = 6
BACK_OFF = retries.BackOff(first_seconds=0.02)
MOST_SET_ASIDE = 32
"""How many objects that the store refuses to write are set aside before the rest is left to another pass."""
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Pass:
    """The result of a pass.

    Args:
        has_unwritten: whether it left changes to a later pass, which may wait.
        has_more: whether there is more to decide at once, in another pass.
        set_aside: the objects that it left as they are, and why.
        unsigned: the claims that await a statement and get none, and why.
    """

    has_unwritten: bool
    has_more: bool
    set_aside: tuple[SetAside, ...] = ()
    unsigned: tuple[Unsigned, ...] = ()


def reconcile(
    store: ResourceStore, policy: Policy, *, now_ms: int, tick: bool | None = None, completely: bool = True
) -> Pass:
    """Run one pass.

    When another writer interferes, the pass starts again from what is stored then, up to `ATTEMPTS` times in all. When
    the store refuses to write an object, it starts again without that object and what depends on it; the request of a
    claim is failed before, if the store takes that answer.

    Args:
        store: holds blocks and claims; the whole pass is one transaction if the store supports them.
        policy: how budget is shared.
        now_ms: the time in unix milliseconds.
        tick: whether time unlocks budget in this pass; None for each block when its period has passed.
        completely: whether to write at once what is decided and only has to be completed, at the cost of one more
            write per block; otherwise it is written together with the block's next change, in this pass or a later one.

    Raises:
        Conflict: another writer interfered with every attempt; run another pass.
    """
    refused: dict[errors.ResourceName, SetAside] = {}
    unanswerable: dict[errors.ResourceName, Exception] = {}
    unanswered: dict[str, PrivacyBudgetClaim] = {}

    def decide(world: World) -> tuple[Change, ...]:
        failed = {name.id: error for name, error in unanswerable.items() if name not in refused}
        return run_pass.run_pass(replace(world, unanswerable=failed, unanswered=unanswered), policy, tick=tick)

    done = None
    while done is None and len(refused.keys() | unanswerable.keys()) < MOST_SET_ASIDE:
        try:
            done = _run_again_on_conflict(store, decide, now_ms, set_aside=refused, completely=completely)
        except (errors.NotServed, errors.NotFound):  # not caused by the object
            raise
        except errors.Permanent as error:
            if error.resource is None or error.resource in refused:
                raise
            if error.resource.kind is errors.ResourceKind.CLAIM and error.resource not in unanswerable:
                unanswerable[error.resource] = error
            else:
                refused[error.resource] = SetAside(error.resource, error)
                unanswered |= _fenced(store, error.resource)
    done = done or Pass(has_unwritten=False, has_more=True)
    return _told(replace(done, set_aside=(*refused.values(), *done.set_aside)))


def _fenced(store: ResourceStore, name: errors.ResourceName) -> dict[str, PrivacyBudgetClaim]:
    """Return a claim that cannot be answered, by id, after a write that makes every answer still on its way too late.

    Returns:
        Nothing if the object is a block, or if the claim cannot be read or annotated.
    """
    with contextlib.suppress(errors.Conflict, errors.NotFound, errors.InvalidInput):
        claim = store.get_claim(name.id) if name.kind is errors.ResourceKind.CLAIM else None
        if claim is not None:
            annotations = {**claim.meta.annotations, REFUSED_VERSION: claim.meta.resource_version}
            return {name.id: store.update(replace(claim, meta=replace(claim.meta, annotations=annotations)))}
    return {}


def withdraw(store: ResourceStore, claim_id: str, *, now_ms: int) -> None:
    """Fail the request that a claim waits for, and drop its reservations."""
    _run(store, lambda world: run_pass.withdraw(world, claim_id), now_ms)


def _run_again_on_conflict(
    store: ResourceStore,
    decide: Callable[[World], tuple[Change, ...]],
    now_ms: int,
    *,
    set_aside: Collection[errors.ResourceName],
    completely: bool,
) -> Pass:
    def run() -> Pass:
        return _run(store, decide, now_ms, set_aside=set_aside, completely=completely)

    return retries.call(run, on=(errors.Conflict, errors.NotFound), attempts=ATTEMPTS, back_off=BACK_OFF)


def _run(
    store: ResourceStore,
    decide: Callable[[World], tuple[Change, ...]],
    now_ms: int,
    *,
    set_aside: Collection[errors.ResourceName] = (),
    completely: bool = True,
) -> Pass:
    with store.transaction():
        world = read_world.read(store, now_ms, set_aside=set_aside)
        changes = decide(world)
        applied = apply.apply(store, world, changes, completely=completely)
    is_cut_short = any(isinstance(change, Postponed) for change in changes)
    set_aside_now = tuple(change for change in changes if isinstance(change, SetAside))
    unsigned = tuple(change for change in changes if isinstance(change, Unsigned))
    return Pass(applied.has_unwritten, applied.has_new_requests or is_cut_short, set_aside_now, unsigned)


def _told(done: Pass) -> Pass:
    """Log, once and with its trace, why each object was set aside."""
    for note in done.set_aside:
        _log.error("set aside: %s", note.error, exc_info=note.error, extra={note.name.kind: note.name.id})
    return done
