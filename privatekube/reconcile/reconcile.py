"""Run a pass over a store: read, decide, apply; start again if another writer interferes or an object is refused."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Collection
from dataclasses import dataclass, field, replace
from functools import partial

from privatekube import errors, retries
from privatekube.engine import run_pass
from privatekube.engine.changes import Change, Postponed, SetAside, Unsigned
from privatekube.engine.world import World
from privatekube.errors import ResourceKind
from privatekube.reconcile import apply, read_world
from privatekube.resources.claim import PrivacyBudgetClaim
from privatekube.resources.meta import REFUSED_VERSION
from privatekube.scheduling.policy import Policy
from privatekube.store import collector
from privatekube.store.base import ResourceStore

ATTEMPTS = 6
BACK_OFF = retries.BackOff(first_seconds=0.02)
MOST_ATTEMPTS = 32
"""How often a pass starts without the objects that the store refuses to write, before the rest is left to another."""
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
    the store refuses to write objects, it starts again without them and what depends on them; the request of a claim is
    failed before, if the store takes that answer.

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
    refused = _Refused()

    def decide(world: World) -> tuple[Change, ...]:
        return run_pass.run_pass(refused.known_to(world), policy, tick=tick)

    done = None
    for _ in range(MOST_ATTEMPTS):
        try:
            done = _run_again_on_conflict(store, decide, now_ms, set_aside=refused.set_aside, completely=completely)
            break
        except (errors.NotServed, errors.NotFound):  # not caused by the object
            raise
        except errors.Permanent as error:
            refused.add(store, error)
    done = done or Pass(has_unwritten=False, has_more=True, set_aside=refused.undecided())
    return _told(replace(done, set_aside=(*refused.set_aside.values(), *done.set_aside)))


@dataclass
class _Refused:
    """What the store has refused to write so far.

    Args:
        set_aside: the objects that a further attempt leaves as they are, and why.
        unanswerable: the claims of which one answer was refused, and why; a further attempt fails their requests.
        unanswered: the claims of which every answer was refused, by id, after a write that makes late ones fail.
    """

    set_aside: dict[errors.ResourceName, SetAside] = field(default_factory=dict)
    unanswerable: dict[errors.ResourceName, errors.PrivateKubeError] = field(default_factory=dict)
    unanswered: dict[str, PrivacyBudgetClaim] = field(default_factory=dict)

    def add(self, store: ResourceStore, error: errors.PrivateKubeError) -> None:
        """Take note of what an attempt was refused.

        Raises:
            PrivateKubeError: the error is of no object, or of one that was set aside already.
        """
        final: list[errors.ResourceName] = []
        for item in (error, *error.others):
            if item.resource is None or item.resource in self.set_aside:
                raise item
            if item.resource.kind is ResourceKind.CLAIM and item.resource not in self.unanswerable:
                self.unanswerable[item.resource] = item
            else:
                self.set_aside[item.resource] = SetAside(item.resource, item)
                final.append(item.resource)
        for fenced in store.concurrently([partial(_fenced, store, name) for name in final]):
            self.unanswered |= fenced

    def known_to(self, world: World) -> World:
        """Return the world with what the store refuses."""
        failed = {name.id: error for name, error in self.unanswerable.items() if name not in self.set_aside}
        return replace(world, unanswerable=failed, unanswered=self.unanswered)

    def undecided(self) -> tuple[SetAside, ...]:
        """Return the claims that a further attempt would have failed; where there is none, they are set aside as well.

        Otherwise another pass would begin with them again, and get no further.
        """
        claims = self.unanswerable.items()
        return tuple(SetAside(name, error) for name, error in claims if name not in self.set_aside)


def _fenced(store: ResourceStore, name: errors.ResourceName) -> dict[str, PrivacyBudgetClaim]:
    """Return a claim that cannot be answered, by id, after a write that makes every answer still on its way too late.

    Returns:
        Nothing if the object is a block, or if the claim cannot be read or annotated.
    """
    with contextlib.suppress(errors.Conflict, errors.NotFound, errors.InvalidInput):
        claim = store.get_claim(name.id) if name.kind is ResourceKind.CLAIM else None
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
        with collector.paused():  # it would go through all blocks and claims of the pass, again and again
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
