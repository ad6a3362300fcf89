"""What a run does under DP, and what it requests for it."""

from __future__ import annotations

from dataclasses import dataclass

from privatekube.privacy.budget import EpsilonDelta, PrivacyBudget
from privatekube.privacy.solving import SolvedPlan
from privatekube.privacy.unit import PrivacyUnit
from privatekube.resources.requests import AllocateRequest


@dataclass(frozen=True, slots=True)
class RunDemand:
    """What a run does under DP, and what it requests for it.

    Args:
        unit: the privacy unit of all blocks that match.
        max_contribution: how many records a unit has at most in a block.
        target: the epsilon and delta that all of it may cost.
        plan: the mechanisms of all steps with their noise; None where a budget is demanded without a plan.
        price: what they cost each block, in the accounting of the blocks.
        request: the claim's request, for this price on each block.
    """

    unit: PrivacyUnit
    max_contribution: int
    target: EpsilonDelta
    plan: SolvedPlan | None
    price: PrivacyBudget
    request: AllocateRequest
