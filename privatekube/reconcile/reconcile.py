"""Run a pass over a store: read, decide, apply; start again if another writer interferes."""

from __future__ import annotations

from collections.abc import Callable

from privatekube import errors, retries
from privatekube.engine import run_pass
from privatekube.engine.changes import Change
from privatekube.engine.world import World
from privatekube.reconcile import apply, read_world
from privatekube.scheduling.policy import Policy
from privatekube.store.base import ResourceStore

ATTEMPTS = 6
BACK_OFF = retries.BackOff(first_seconds=0.02)


def reconcile(
    store: ResourceStore, policy: Policy, *, now_ms: int, tick: bool | None = None, completely: bool = True
) -> bool:
    """Run one pass, and return whether it left writes to a later one; it leaves none if `completely`.

    When another writer interferes, the pass starts again from what is stored then, up to `ATTEMPTS` times in all.

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

    def decide(world: World) -> tuple[Change, ...]:
        return run_pass.run_pass(world, policy, tick=tick)

    def run() -> bool:
        return _run(store, decide, now_ms, completely=completely)

    return retries.call(run, on=(errors.Conflict, errors.NotFound), attempts=ATTEMPTS, back_off=BACK_OFF)


def withdraw(store: ResourceStore, claim_id: str, *, now_ms: int) -> None:
    """Fail the request that a claim waits for, and drop its reservations."""
    _run(store, lambda world: run_pass.withdraw(world, claim_id), now_ms)


def _run(
    store: ResourceStore, decide: Callable[[World], tuple[Change, ...]], now_ms: int, *, completely: bool = True
) -> bool:
    with store.transaction():
        world = read_world.read(store, now_ms)
        return apply.apply(store, world, decide(world), completely=completely)
