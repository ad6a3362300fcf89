"""The blocks and claims of a store as a scenario: what another policy would have granted of what was asked for."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from privatekube import errors
from privatekube.privacy import arithmetic
from privatekube.privacy.budget import PrivacyBudget
from privatekube.resources import matching
from privatekube.resources.block import PrivateDataBlock
from privatekube.resources.claim import PrivacyBudgetClaim
from privatekube.resources.requests import AllocateRequest
from privatekube.simulation.scenario import Scenario, SimulatedBlock, SimulatedClaim

_Resource = PrivateDataBlock | PrivacyBudgetClaim
MOST_DEMANDS = 1_000_000
"""The largest number of demands, one for each claim and block, that is replayed."""


def scenario(blocks: Sequence[PrivateDataBlock], claims: Sequence[PrivacyBudgetClaim]) -> Scenario:
    """Return what was asked for: the first request of each claim, on the blocks that it got or waits for.

    What a claim asked for that was refused is counted on the first blocks that match. A claim with a demand by block,
    on blocks that are gone or of another accounting, is left out. Each claim waits as long as it takes, or until its
    deadline.

    Args:
        blocks: in order of creation.
        claims: likewise.

    Raises:
        InvalidInput: there are no blocks, or too many demands to replay.
    """
    if not blocks:
        raise errors.InvalidInput("scenario: there are no blocks; create some first")
    resources: list[_Resource] = [*blocks, *claims]
    begin_ms = min(map(_created_ms, resources))
    arrived = sorted(blocks, key=_created_ms)
    rows = {block.id: row for row, block in enumerate(arrived)}
    replayed = [(claim, demand) for claim in claims if (demand := _demand(claim, arrived, rows)) is not None]
    simulated = [_simulated(claim, *demand, begin_ms=begin_ms) for claim, demand in replayed]
    n_demands = sum(len(claim.blocks) for claim in simulated)
    if n_demands > MOST_DEMANDS:
        raise errors.invalid("claims", n_demands, f"demands are more than {MOST_DEMANDS:,}", "replay a scenario file")
    return Scenario(
        name="store",
        offline=False,
        timeout_seconds=None,
        blocks=tuple(
            SimulatedBlock(block.id, _arrival(block, begin_ms), block.spec.initial_budget) for block in arrived
        ),
        claims=tuple(sorted(simulated, key=lambda claim: claim.arrival_seconds)),
    )


def _simulated(
    claim: PrivacyBudgetClaim, rows: Sequence[int], demand: PrivacyBudget, *, begin_ms: int
) -> SimulatedClaim:
    end_ms = claim.spec.deadline_ms
    deadline_seconds = math.inf if end_ms is None else (end_ms - begin_ms) / 1000
    return SimulatedClaim(claim.id, _arrival(claim, begin_ms), rows, demand, deadline_seconds=deadline_seconds)


def _demand(
    claim: PrivacyBudgetClaim, blocks: Sequence[PrivateDataBlock], rows: Mapping[str, int]
) -> tuple[list[int], PrivacyBudget] | None:
    """Return the blocks, by their rows, and the demand of a claim on each; None if it cannot be replayed."""
    request = next((item.action for item in claim.spec.requests if isinstance(item.action, AllocateRequest)), None)
    if request is None or request.expected_budget.constant is None:
        return None
    demand = request.expected_budget.constant
    names = [name for name in (*claim.grants, *claim.status.reserved) if name in rows]
    if not names:
        try:
            matching_blocks = matching.candidates(request, claim.meta.namespace, blocks)
        except errors.InvalidInput:
            return None
        names = [block.id for block in matching_blocks[: matching.needed(request, len(matching_blocks))]]
    chosen = sorted({rows[name] for name in names})
    return (chosen, demand) if chosen and all(_is_alike(blocks[row], demand) for row in chosen) else None


def _is_alike(block: PrivateDataBlock, demand: PrivacyBudget) -> bool:
    try:
        arithmetic.at_orders_of(demand, block.spec.initial_budget)
    except errors.InvalidBudget:
        return False
    return True


def _arrival(resource: _Resource, begin_ms: int) -> float:
    return (_created_ms(resource) - begin_ms) / 1000


def _created_ms(resource: _Resource) -> int:
    return resource.meta.creation_time_ms or 0
