from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from privatekube import errors
from privatekube.training import randomness, trials

COUNT = 4000
SIGNIFICANCE = 1e-9


def numbers(mean_trials: float, shape: float) -> np.ndarray:
    generator = randomness.SecureGenerator()
    return np.array([trials.number_of_trials(generator, mean_trials=mean_trials, shape=shape) for _ in range(COUNT)])


def fits(drawn: np.ndarray, chances: np.ndarray) -> bool:
    """Whether the numbers have these chances, of 1, 2, ..., with one class for all larger numbers."""
    expected = np.append(chances, 1 - chances.sum()) * len(drawn)
    counted = np.array([*((drawn == k + 1).sum() for k in range(len(chances))), (drawn > len(chances)).sum()])
    return float(stats.chisquare(counted, expected).pvalue) > SIGNIFICANCE


def test_shape_one_is_the_geometric_distribution_and_another_mean_is_rejected() -> None:
    drawn = numbers(5.0, 1.0)
    k = np.arange(1, 11)
    assert fits(drawn, 0.2 * 0.8 ** (k - 1))
    assert not fits(drawn, 0.25 * 0.75 ** (k - 1))


def test_shape_zero_is_the_logarithmic_distribution() -> None:
    drawn = numbers(5.0, 0.0)
    p = next(p for p in np.linspace(0.9, 0.96, 60_001) if -1 / math.log1p(-p) * p / (1 - p) >= 5.0)
    k = np.arange(1, 11)
    assert fits(drawn, -1 / math.log1p(-p) * p**k / k)
    assert not fits(drawn, 0.2 * 0.8 ** (k - 1))


@pytest.mark.parametrize("shape", [0.0, 0.5, 1.0, 4.0])
def test_the_mean_is_the_planned_one(shape: float) -> None:
    drawn = numbers(6.0, shape)
    assert abs(drawn.mean() - 6.0) < 7 * drawn.std() / math.sqrt(COUNT)
    assert drawn.min() == 1


def test_a_mean_of_one_is_one_trial() -> None:
    assert set(numbers(1.0, 1.0)) == {1}


@pytest.mark.parametrize(
    ("mean_trials", "shape", "name"),
    [(0.5, 1.0, "mean_trials"), (math.inf, 1.0, "mean_trials"), (math.nan, 1.0, "mean_trials"), (5.0, -1.0, "shape")],
)
def test_a_number_out_of_range_is_refused(mean_trials: float, shape: float, name: str) -> None:
    with pytest.raises(errors.InvalidInput, match=name):
        trials.number_of_trials(randomness.SecureGenerator(), mean_trials=mean_trials, shape=shape)
