from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from privatekube.privacy import mechanisms
from privatekube.privacy.unit import PrivacyUnit
from privatekube.training import evaluation, models
from tests.training import builders

CPU = torch.device("cpu")
SCALE = 15.0


def counted(
    unit: PrivacyUnit = PrivacyUnit.EVENT, max_contribution: int = 1, count: int = 120
) -> Counter[evaluation.Cell]:
    config = builders.config(n_classes=3)
    return evaluation.count_predictions(
        models.build(config, 0),
        builders.learnable_reviews(count, users=10),
        task="product",
        unit=unit,
        max_contribution=max_contribution,
        model=config,
        device=CPU,
    )


def test_counts_are_those_of_predicting_each_review_alone() -> None:
    config, data = builders.config(n_classes=3), builders.learnable_reviews(120, users=10)
    module = models.build(config, 0)
    wanted: Counter[evaluation.Cell] = Counter()
    for i in range(len(data)):
        tokens = torch.from_numpy(data.tokens[data.offsets[i] : data.offsets[i + 1]]).unsqueeze(0)
        predicted = int(module(tokens, torch.tensor([tokens.shape[1]]))[0].argmax())
        wanted[int(data.category[i]), predicted == int(data.category[i])] += 1
    assert counted() == wanted
    assert set(wanted) <= set(evaluation.cells(3))


def test_one_unit_contributes_no_more_than_its_bound() -> None:
    data = builders.learnable_reviews(120, users=10)
    day = data.time // 86400
    sizes = Counter(zip(data.user.tolist(), day.tolist(), strict=True))
    assert max(sizes.values()) > 2
    assert counted(PrivacyUnit.USER_DAY, 2).total() == sum(min(2, size) for size in sizes.values())


def noisy_counts(exact: dict[evaluation.Cell, int], n_classes: int) -> dict[evaluation.Cell, int]:
    cells = evaluation.cells(n_classes)
    return mechanisms.noisy_histogram(exact, cells, scale=SCALE, sensitivity=1).value


@pytest.mark.parametrize("size", [200, 4000])
def test_the_interval_covers_the_true_share_in_95_of_100_runs_and_is_not_much_wider_than_needed(size: int) -> None:
    """Sampling and noise together, simulated; a class share and an accuracy that are known."""
    generator, true = np.random.default_rng(0), 0.7
    covered, widths, spread, runs = 0, [], [], 600
    noise = generator.geometric(1 - np.exp(-1 / SCALE), (2, 6, runs))
    noise = noise[0] - noise[1]
    for run in range(runs):
        labels = generator.multinomial(size, [0.5, 0.3, 0.2])
        correct = generator.binomial(labels, true)
        cells = {(k, good): int(correct[k] if good else labels[k] - correct[k]) for k, good in evaluation.cells(3)}
        noisy = {cell: value + int(noise[i, run]) for i, (cell, value) in enumerate(cells.items())}
        result = evaluation.metrics(noisy, n_classes=3, scale=SCALE, max_contribution=1).accuracy
        assert result.estimate is not None
        covered += result.low <= true <= result.high
        widths.append(result.high - result.low)
        spread.append(result.estimate)
    assert 0.93 <= covered / runs <= 0.995
    assert np.mean(widths) < 1.3 * 2 * 1.96 * np.std(spread)


def test_a_stated_scale_that_is_too_small_gives_intervals_that_do_not_cover() -> None:
    exact = dict.fromkeys(evaluation.cells(2), 50)
    released = [noisy_counts(exact, 2) for _ in range(400)]

    def coverage(stated: float) -> float:
        results = [evaluation.metrics(noisy, n_classes=2, scale=stated, max_contribution=1) for noisy in released]
        return float(np.mean([metrics.accuracy.low <= 0.5 <= metrics.accuracy.high for metrics in results]))

    # .970, .700 and .526 over many runs; 400 are beyond one of the bounds with a chance of 1e-10
    assert coverage(SCALE) > 0.90
    assert coverage(SCALE / 3) < 0.85
    assert coverage(SCALE / 100) < 0.70


def test_the_interval_is_wider_for_more_noise_and_for_units_of_several_reviews() -> None:
    noisy = {(0, True): 700, (0, False): 300, (1, True): 500, (1, False): 500}

    def width(scale: float, max_contribution: int) -> float:
        result = evaluation.metrics(noisy, n_classes=2, scale=scale, max_contribution=max_contribution).accuracy
        return result.high - result.low

    assert width(1.0, 1) < width(50.0, 1)
    assert width(1.0, 1) < width(1.0, 3)


def test_metrics_are_the_shares_of_the_noisy_counts() -> None:
    noisy = {(0, True): 700, (0, False): 300, (1, True): 100, (1, False): 300}
    result = evaluation.metrics(noisy, n_classes=2, scale=1.0, max_contribution=1)
    assert result.accuracy.estimate == pytest.approx(800 / 1400)
    assert [share.estimate for share in result.per_class] == pytest.approx([0.7, 0.25])
    assert result.majority_share.estimate == pytest.approx(1000 / 1400)
    assert result.examples == 1400


COUNTS = st.integers(-500, 5000)


@given(part=COUNTS, rest=COUNTS, scale=st.floats(0.1, 300), design=st.integers(1, 5))
def test_an_estimate_lies_in_its_interval_within_zero_and_one_whatever_the_noise_did(
    part: int, rest: int, scale: float, design: int
) -> None:
    result = evaluation.share_estimate(part, rest, noise_variance=(scale**2, scale**2), design_effect=design)
    assert 0 <= result.low <= result.high <= 1
    if part + rest <= 0:
        assert result == evaluation.Estimate(None, 0.0, 1.0)
    else:
        assert result.estimate is not None
        assert result.low <= result.estimate <= result.high


def test_a_class_without_examples_gets_the_whole_interval() -> None:
    noisy = {(0, True): 700, (0, False): 300, (1, True): 3, (1, False): -2}
    result = evaluation.metrics(noisy, n_classes=2, scale=20.0, max_contribution=1)
    assert (result.per_class[1].low, result.per_class[1].high) == (0.0, 1.0)


def test_noise_that_leaves_no_interval_leaves_all_shares() -> None:
    """A quadratic that opens downwards, or is a line, has no bounded interval at or below zero."""
    assert evaluation._at_most_zero(-1.0, 1.0, 0.0) == (0.0, 1.0)
    assert evaluation._at_most_zero(0.0, 1.0, -0.5) == (0.0, 1.0)
