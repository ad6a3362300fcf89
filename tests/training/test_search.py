"""A search releases the best of a random number of trials, as one mechanism."""

from __future__ import annotations

import itertools
from collections import Counter

import pytest

from privatekube import errors
from privatekube.privacy import events
from privatekube.privacy.mechanisms import Released
from privatekube.training import search

TRAINING, SCORE = events.poisson_gaussian(0.5, 8.0, 2), events.discrete_laplace(8.0, 1)
MANY = {"mean_trials": 500.0, "shape": 4.0}
"""A single trial, with which the tests below show nothing, once in 6 * 10^7 searches."""


def trial(name: str, score: int) -> search.Trial[str]:
    return search.Trial.scored(name, TRAINING, Released(score, SCORE))


def test_the_result_with_the_best_noisy_score_is_released_and_charged_as_the_whole_search() -> None:
    scores = itertools.cycle([3, 9, -4])
    ran: list[tuple[str, int]] = []

    def run(name: str) -> search.Trial[str]:
        ran.append((f"{name}{len(ran)}", next(scores)))
        return trial(*ran[-1])

    best, event = search.best_of(["a", "b"], run, **MANY)
    assert best == max(ran, key=lambda each: each[1])[0]  # the first of those with the best score
    assert event == events.select_from_many(events.composition(TRAINING, SCORE), **MANY)


def test_each_trial_draws_any_candidate_with_the_same_chance() -> None:
    """Six standard deviations of 4,000 draws of one in four are 164."""
    drawn: Counter[str] = Counter()
    for _ in range(4000):
        best, _ = search.best_of("abcd", lambda name: trial(name, 0), mean_trials=1.0, shape=0.0)
        drawn[best] += 1
    assert all(abs(drawn[name] - 1000) < 164 for name in "abcd")


def test_trials_of_different_mechanisms_are_refused() -> None:
    noises = itertools.count(8)

    def run(name: str) -> search.Trial[str]:
        return search.Trial.scored(name, events.poisson_gaussian(0.5, next(noises), 2), Released(0, SCORE))

    with pytest.raises(errors.InvalidInput, match="two trials ran different mechanisms"):
        search.best_of(["a"], run, **MANY)
