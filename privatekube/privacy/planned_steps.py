"""What a step that is built for one mechanism requires of the plan: checked before a claim, and again in the step."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from privatekube import errors


class Step(Protocol):
    """A step with its noise: `solving.SolvedStep`, or that of a Grant."""

    @property
    def name(self) -> str:
        """Of the step."""

    @property
    def mechanism(self) -> str:
        """What it runs, as a plan names it."""

    @property
    def parameters(self) -> Mapping[str, Any]:
        """What it must know to run that."""


def require_record_counts(step: Step, *, max_contribution: int) -> None:
    """Check that a step may draw discrete Laplace noise once on counts of records.

    Args:
        step: with its noise.
        max_contribution: how many records a privacy unit has at most, so how far it moves the counts (L1).

    Raises:
        InvalidInput: the plan says that it runs something else, or that a unit moves the counts less.
    """
    if step.mechanism != "discrete_laplace" or step.parameters["queries"] != 1:
        bound = f"is not one query with discrete Laplace noise, which {step.name} runs"
        raise errors.invalid("mechanism", step.mechanism, bound, "change the plan")
    if step.parameters["sensitivity"] < max_contribution:
        bound = f"must be at least {max_contribution}, the records that a unit has at most"
        remedy = "say `per: record` in the plan"
        raise errors.invalid(f"{step.name}: sensitivity", step.parameters["sensitivity"], bound, remedy)


def require_dp_sgd(step: Step) -> None:
    """Check that a step may run DP-SGD.

    Raises:
        InvalidInput: the plan says that it runs something else.
    """
    if step.mechanism != "dp_sgd":
        bound = f"is not dp_sgd, which {step.name} runs"
        raise errors.invalid("mechanism", step.mechanism, bound, "change the plan")


def require_search(step: Step, *, max_contribution: int) -> tuple[Step, Step]:
    """Check that a step may release the best of many models, each trained by DP-SGD and scored by one count of records.

    Args:
        step: with its noise.
        max_contribution: how many records a privacy unit has at most, so how far it moves a score (L1).

    Returns:
        The training and the score of each trial.

    Raises:
        InvalidInput: the plan says that it runs something else, or that a unit moves a score less.
    """
    if step.mechanism != "select_from_many":
        bound = f"is not select_from_many, by which {step.name} searches hyperparameters"
        raise errors.invalid("mechanism", step.mechanism, bound, "set plan: pipelines/search.yaml")
    runs = [_OfTrial(f"trial of {step.name}", part["mechanism"], _without_name(part)) for part in _trial_of(step)]
    if len(runs) != 2:
        bound = "mechanisms are not the two of a trial, a training and its score"
        raise errors.invalid(f"{step.name}: trial", len(runs), bound, "change the plan")
    training, score = runs
    require_dp_sgd(training)
    require_record_counts(score, max_contribution=max_contribution)
    return training, score


@dataclass(frozen=True, slots=True)
class _OfTrial:
    """One mechanism of a trial."""

    name: str
    mechanism: str
    parameters: Mapping[str, Any]


def _trial_of(step: Step) -> list[Mapping[str, Any]]:
    trial: list[Mapping[str, Any]] = step.parameters["trial"]
    return trial


def _without_name(part: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in part.items() if name != "mechanism"}
