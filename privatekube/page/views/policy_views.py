"""The scheduling policy, and what another one would have granted of what was asked for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from privatekube import errors
from privatekube.page.snapshot import Snapshot
from privatekube.resources.claim import PrivacyBudgetClaim
from privatekube.scheduling import ordering
from privatekube.scheduling.policy import ORDER, UNLOCK, Policy
from privatekube.simulation import replay, store_scenario

ORDERS = tuple(ordering.ORDERINGS)
_MOST_TICKS = 20_000
"""How many times budget may unlock in a replay: it decides at each of them."""
MOST_CLAIMS = 200
"""How many claims with another outcome are listed."""


@dataclass(frozen=True, slots=True)
class WhatIf:
    """What another policy would have granted.

    Args:
        granted: how many of the claims that were replayed.
        was_granted: how many of these were granted in fact.
        replayed: how many claims were replayed.
        gained: the claims that only the other policy grants.
        lost: the claims that only this store granted.
        least_left: the smallest share of a block that the other policy leaves.
    """

    granted: int
    was_granted: int
    replayed: int
    gained: tuple[str, ...]
    lost: tuple[str, ...]
    least_left: float


def what_if(snapshot: Snapshot, settings: Mapping[str, str]) -> WhatIf:
    """Return what a policy would have granted of the claims of a store, if each had waited as long as it takes.

    Args:
        snapshot: of the store.
        settings: `unlock` and `order` as text.

    Raises:
        InvalidInput: the policy is unknown or cannot be combined, or there is too much to replay.
    """
    policy = Policy.parse({UNLOCK: settings[UNLOCK], ORDER: settings[ORDER]})
    scenario = store_scenario.scenario(list(snapshot.blocks.values()), list(snapshot.claims.values()))
    period_ms = policy.unlocking.period_ms
    arrivals = [block.arrival_seconds for block in scenario.blocks]
    seconds = max(arrivals + [claim.arrival_seconds for claim in scenario.claims])
    if period_ms is not None and seconds * 1000 / period_ms > _MOST_TICKS:
        bound = f"unlocks more than {_MOST_TICKS:,} times in the time of these claims"
        raise errors.invalid("unlock", settings[UNLOCK], bound, "use a longer period")
    result = replay.replay(scenario, policy)
    replayed = [str(claim.id) for claim in scenario.claims]
    granted = {str(claim_id) for claim_id in result.granted}
    was_granted = {name for name in replayed if is_granted(snapshot.claims[name])}
    return WhatIf(
        granted=len(granted),
        was_granted=len(was_granted),
        replayed=len(replayed),
        gained=tuple(name for name in replayed if name in granted - was_granted),
        lost=tuple(name for name in replayed if name in was_granted - granted),
        least_left=max(0.0, 1.0 - max(result.used_share, default=0.0)),
    )


def is_granted(claim: PrivacyBudgetClaim) -> bool:
    """Return whether any of its requests was ever granted."""
    return bool(claim.grants)
