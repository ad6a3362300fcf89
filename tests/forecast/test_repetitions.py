"""How many equal runs fit on a block."""

from __future__ import annotations

from pathlib import Path

import pytest

from privatekube.data import declare
from privatekube.forecast import repetitions
from privatekube.privacy import budget
from privatekube.privacy.solving import SolvedPlan
from privatekube.resources import transitions
from privatekube.resources.block import PrivateDataBlock
from privatekube.runs import run_arguments
from privatekube.training.settings import Settings
from tests import builders, shipped_plan

ARGUMENTS = Path(__file__).parents[2] / "arguments.yaml"


def block_of(accounting: str) -> PrivateDataBlock:
    block = builders.block("b", declare.initial_budget(10, 1e-7, accounting))
    return transitions.initialize_status(block)


@pytest.fixture(scope="module")
def plan() -> SolvedPlan:
    settings = Settings.of(run_arguments.load(ARGUMENTS).settings)
    return shipped_plan.solved(
        statistics_fraction=settings.statistics_fraction,
        sampling_rate=settings.sampling_rate,
        n_epochs=settings.n_epochs,
    )


def granted_one_by_one(block: PrivateDataBlock, price: budget.PrivacyBudget) -> int:
    """Grant the price again and again, as the scheduler does, until it does not fit."""
    left, count = block.spec.initial_budget, 0
    while left.admits(price, capacity=block.spec.initial_budget):
        left, count = left - price, count + 1
    return count


def test_seven_times_as_many_epsilon_one_runs_fit_in_renyi_as_in_epsilon_delta_accounting(
    plan: SolvedPlan,
) -> None:
    renyi, epsdel = block_of("renyi"), block_of("epsdel")
    curve, pair = plan.composition.renyi(), budget.EpsilonDelta(1.0, 1e-9)
    assert plan.composition.epsilon(1e-9) <= 1.0
    assert 73 <= repetitions.of_block(renyi, curve) <= 83
    assert repetitions.of_block(epsdel, pair) == 10
    assert granted_one_by_one(renyi, curve) == repetitions.of_block(renyi, curve)
    assert granted_one_by_one(epsdel, pair) == 10
