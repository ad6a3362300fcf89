"""A search of hyper-parameters that is one mechanism: a random number of trials, of which the best one is released.

1. The number of trials is drawn from a public distribution before the first one. 2. Each trial trains with values that
are drawn from the grid, whatever other trials found, and is scored under DP. 3. The trial with the best noisy score is
released. The others, their scores and their number are not.

All trials are of one DpEvent, which is what `events.select_from_many` charges for. How long the search takes tells the
number of trials to those who watch the run. Source: Papernot and Steinke, "Hyperparameter Tuning with Renyi
Differential Privacy" (2022), arXiv:2110.03620.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from privatekube import errors
from privatekube.privacy import events
from privatekube.privacy.mechanisms import Released
from privatekube.training import randomness, trials

VALIDATION_SHARE = 0.2
"""Share of the training users on whom trials are scored, and not trained."""

Candidate = TypeVar("Candidate")
Result = TypeVar("Result")


@dataclass(frozen=True, eq=False)
class Trial(Generic[Result]):
    """What one trial found.

    Args:
        result: what is released if no other trial has a better score.
        score: a noisy number by which trials are compared.
        event: of training and score together.
    """

    result: Result
    score: int
    event: events.DpEvent

    @classmethod
    def scored(cls, result: Result, trained: events.DpEvent, score: Released[int]) -> Trial[Result]:
        """Return a trial whose training and score compose in sequence."""
        return cls(result, score.value, events.composition(trained, score.event))


def best_of(
    candidates: Sequence[Candidate], run: Callable[[Candidate], Trial[Result]], *, mean_trials: float, shape: float
) -> tuple[Result, events.DpEvent]:
    """Return the best result of a random number of trials, and the event of the whole search.

    Args:
        candidates: what a trial may run with; public.
        run: runs one trial, with noise of its own. It must not know what other trials found.
        mean_trials: the mean of the number of trials, at least 1.
        shape: of its distribution; 1 is geometric, 0 logarithmic.

    Raises:
        InvalidInput: a number is out of range, or two trials were of different events: the search would cost more than
            is charged.
    """
    generator = randomness.SecureGenerator()
    number = trials.number_of_trials(generator, mean_trials=mean_trials, shape=shape)
    best = run(_drawn(candidates, generator))
    for _ in range(number - 1):
        trial = run(_drawn(candidates, generator))
        if trial.event != best.event:
            raise errors.InvalidInput("search: two trials ran different mechanisms; plan the same for all")
        best = max(best, trial, key=lambda compared: compared.score)
    return best.result, events.select_from_many(best.event, mean_trials=mean_trials, shape=shape)


def _drawn(candidates: Sequence[Candidate], generator: randomness.SecureGenerator) -> Candidate:
    return candidates[int(generator.uniforms(1)[0] * len(candidates))]
