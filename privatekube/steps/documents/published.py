"""Statistics and Metrics: the noisy values that a run publishes, and the noise of its steps in their words."""

from __future__ import annotations

import pydantic

from privatekube import validation
from privatekube.privacy import planned_steps
from privatekube.privacy.unit import PrivacyUnit
from privatekube.steps.documents.document import ADJACENCY, Adjacency, Document, Frozen, Json, Share
from privatekube.steps.documents.granted_plan import GrantedStep


class CountNoise(Frozen):
    """The noise on published counts: its scale, and how far one privacy unit moves the counts (L1)."""

    mechanism: str = "discrete Laplace"
    scale: validation.Positive
    sensitivity: validation.Count

    @classmethod
    def planned(cls, step: GrantedStep, *, max_contribution: int) -> CountNoise:
        """Return the noise that a step may draw once on counts of records.

        Args:
            step: the step as it was granted.
            max_contribution: how many records a privacy unit has at most, so how far it moves the counts (L1).

        Raises:
            InvalidInput: the plan says that it runs something else, or that a unit moves the counts less.
        """
        planned_steps.require_record_counts(step, max_contribution=max_contribution)
        return cls(scale=step.parameters["scale"], sensitivity=step.parameters["sensitivity"])


class TrainingNoise(Frozen):
    """The noisy steps of DP-SGD, see `privacy.planned_mechanisms.DpSgd`."""

    sampling_rate: validation.Rate
    steps: validation.Count
    noise_multiplier: validation.Positive

    @classmethod
    def planned(cls, step: GrantedStep) -> TrainingNoise:
        """Return the noisy steps that a step may take.

        Raises:
            InvalidInput: the plan says that it runs something else.
        """
        planned_steps.require_dp_sgd(step)
        return cls(**step.parameters)


class SearchNoise(Frozen):
    """What each trial of a search draws, and the distribution of their number.

    Args:
        mean_trials, shape: of the number of trials, see `privacy.planned_mechanisms.SelectFromMany`.
        training: of each trial.
        score: of each trial: the noise on the count by which it is compared.
    """

    mean_trials: float = pydantic.Field(ge=1)
    shape: float = pydantic.Field(ge=0)
    training: TrainingNoise
    score: CountNoise

    @classmethod
    def planned(cls, step: GrantedStep, *, max_contribution: int) -> SearchNoise:
        """Return what a step may draw that releases the best of many trained models.

        Args:
            step: the step as it was granted.
            max_contribution: how many records a privacy unit has at most, so how far it moves a score (L1).

        Raises:
            InvalidInput: the plan says that it runs something else, or that a unit moves a score less.
        """
        training, score = planned_steps.require_search(step, max_contribution=max_contribution)
        return cls(
            mean_trials=step.parameters["mean_trials"],
            shape=step.parameters["shape"],
            training=TrainingNoise(**training.parameters),
            score=CountNoise(scale=score.parameters["scale"], sensitivity=score.parameters["sensitivity"]),
        )


class Published(Document):
    """Base of the documents with noisy values; a component of your own may add fields of its own."""

    model_config = pydantic.ConfigDict(extra="allow")


class Statistics(Published):
    """Noisy numbers of reviews by category and stars.

    Args:
        counts: by category, then by stars as text, `1` to `5`; may be negative.

    >>> noise = CountNoise(scale=20.0, sensitivity=1)
    >>> Statistics(counts={"books": {"1": 3, "5": 12}}, noise=noise, unit=PrivacyUnit.EVENT).total
    15
    """

    counts: dict[str, dict[str, int]]
    noise: CountNoise
    unit: PrivacyUnit
    adjacency: Adjacency = ADJACENCY

    @property
    def total(self) -> int:
        """The noisy number of all reviews."""
        return sum(count for stars in self.counts.values() for count in stars.values())


class Estimate(Frozen):
    """A share estimated from noisy counts, with its confidence interval [low, high]; None if they leave no estimate."""

    estimate: Share | None
    low: Share
    high: Share


class Metrics(Published):
    """How good a model is on the held-out users, from noisy counts; a replacement of dp_evaluate may publish less.

    Args:
        accuracy: share of correct predictions.
        per_class: the same among the reviews of each class.
        majority_share: share of the largest class, which is the accuracy of always predicting it.
        examples: noisy number of reviews evaluated.
        task: what the model predicts.
        model: its architecture.
        hyperparameters: the values that a search found; None where nothing was searched.
        confidence: level of the intervals.

    >>> accuracy, noise = Estimate(estimate=0.7, low=0.6, high=0.8), CountNoise(scale=5.0, sensitivity=1)
    >>> Metrics(accuracy=accuracy, task="product", model="lstm", noise=noise).accuracy.estimate
    0.7
    """

    accuracy: Estimate
    per_class: dict[str, Estimate] | None = None
    majority_share: Estimate | None = None
    examples: int | None = None
    task: str
    model: str
    hyperparameters: dict[validation.SettingName, validation.Scalar] | None = None
    confidence: validation.OpenShare = 0.95
    noise: CountNoise

    @pydantic.model_serializer(mode="wrap")
    def _omit_absent_fields(self, serialize: pydantic.SerializerFunctionWrapHandler) -> Json:
        return {name: value for name, value in serialize(self).items() if value is not None}
