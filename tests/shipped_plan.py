"""The plan of the shipped pipeline, solved for the arguments of a test."""

from __future__ import annotations

from pathlib import Path

from privatekube.client import plan_file
from privatekube.privacy import solving
from privatekube.privacy.plan import Plan

PATH = Path(__file__).parents[1] / "pipelines" / "plan.yaml"
TEXT = PATH.read_text()


def solved(
    *,
    epsilon: float = 1.0,
    statistics_fraction: float = 0.05,
    sampling_rate: float = 0.2,
    n_epochs: int = 15,
    max_contribution: int = 1,
) -> solving.SolvedPlan:
    """Return the shipped plan with its noise, at delta 1e-9."""
    arguments = {"statistics_fraction": statistics_fraction, "sampling_rate": sampling_rate, "n_epochs": n_epochs}
    plan = plan_file.parse(TEXT, arguments)
    assert isinstance(plan, Plan)
    return solving.solve(plan, epsilon=epsilon, delta=1e-9, max_contribution=max_contribution)
