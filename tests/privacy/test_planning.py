"""A whole run fits its target, and uses it."""

from __future__ import annotations

import pytest

from privatekube import errors
from privatekube.privacy import accounting, noisy_steps, planning


def plan(**changes: float) -> planning.RunPlan:
    given = {"epsilon": 1.0, "delta": 1e-9, "statistics_fraction": 0.05, "sampling_rate": 0.1, "steps": 20} | changes
    return planning.plan_run(
        epsilon=given["epsilon"],
        delta=given["delta"],
        statistics_fraction=given["statistics_fraction"],
        sampling_rate=given["sampling_rate"],
        steps=int(given["steps"]),
        sensitivity=int(given.get("sensitivity", 1)),
    )


@pytest.mark.slow
@pytest.mark.parametrize("epsilon", [0.3, 1.0, 3.0])
@pytest.mark.parametrize("sensitivity", [1, 4])
def test_a_plan_fits_its_target_and_uses_nearly_all_of_it(epsilon: float, sensitivity: int) -> None:
    made = plan(epsilon=epsilon, sensitivity=sensitivity)
    used = made.composition.epsilon(1e-9)
    assert 0.995 * epsilon < used <= epsilon


@pytest.mark.parametrize("sensitivity", [1, 3])
def test_evaluation_makes_no_renyi_order_dearer(sensitivity: int) -> None:
    made = plan(sensitivity=sensitivity)
    training = accounting.renyi_cost(made.training)
    evaluation = accounting.renyi_cost(made.evaluation)
    assert all(e <= t for e, t in zip(evaluation.values, training.values, strict=True))


@pytest.mark.slow
def test_joint_planning_needs_less_noise_than_splitting_epsilon() -> None:
    split = planning.plan_run(
        epsilon=0.9, delta=1e-9, statistics_fraction=1e-6, sampling_rate=0.1, steps=20, sensitivity=1
    )
    assert plan(statistics_fraction=0.1).noise_multiplier < split.noise_multiplier


@pytest.mark.slow
def test_the_same_arguments_give_the_same_plan() -> None:
    assert plan() == plan()


@pytest.mark.parametrize(
    ("n_epochs", "rate", "steps"), [(1, 1.0, 1), (3, 0.05, 60), (5, 0.1, 50), (1, 0.3, 4), (7, 0.07, 100)]
)
def test_steps_are_epochs_over_rate_rounded_up(n_epochs: int, rate: float, steps: int) -> None:
    assert noisy_steps.of_epochs(n_epochs, rate) == steps


@pytest.mark.parametrize(
    "changes",
    [
        {"epsilon": 0.0},
        {"epsilon": -1.0},
        {"epsilon": float("nan")},
        {"statistics_fraction": 0.0},
        {"statistics_fraction": 1.0},
        {"delta": 0.0},
        {"delta": 1.0},
        {"sampling_rate": 0.0},
        {"steps": 0},
    ],
)
def test_a_number_out_of_range_is_refused(changes: dict[str, float]) -> None:
    with pytest.raises(errors.InvalidInput):
        plan(**changes)
