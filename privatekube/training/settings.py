"""The settings of the shipped pipeline, each declared here with its type and bounds; arguments.yaml has the values."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, Self

import pydantic

from privatekube import config, errors, validation
from privatekube.privacy import noisy_steps
from privatekube.training import recipes

Task = Literal["product", "sentiment"]
Architecture = Literal["lstm", "bow", "feedforward", "linear"]
Optimizer = Literal["sgd", "adam"]


class TrainingSettings(config.Checked):
    """What the steps of the pipeline read in the Grant; noise, sampling rate and number of steps are in its plan.

    Args:
        test_fraction: share of users held out for the evaluation.
        task: what to predict: the `product` category, or `sentiment` (five stars or not).
        model: architecture.
        max_grad_norm: L2 norm that a unit's gradient is clipped to: the sensitivity of a training step.
        optimizer: what applies the noisy gradients: SGD with momentum, or Adam, by which earlier versions trained.
        learning_rate: of the optimizer, constant.
        vocab_size: token ids from this number on are read as unknown words.
        max_text_len: tokens read of each review.
        embedding_dim: size of a token's embedding.
        hidden_dim: size of the hidden layer.
        seed: of the initial weights, never of noise or sampling.
    """

    test_fraction: validation.OpenShare
    task: Task
    model: Architecture
    max_grad_norm: validation.ClippingNorm
    optimizer: Optimizer = "adam"
    learning_rate: validation.Positive
    vocab_size: validation.VocabularySize
    max_text_len: validation.Count
    embedding_dim: validation.Count
    hidden_dim: validation.Count
    seed: validation.Seed

    @classmethod
    def of(cls, settings: Mapping[str, validation.Scalar]) -> Self:
        """Return these settings among others of a run.

        Raises:
            InvalidInput: one is missing, of another type, or out of bounds.
        """
        try:
            return cls.model_validate({name: value for name, value in settings.items() if name in cls.model_fields})
        except pydantic.ValidationError as error:
            raise errors.InvalidInput(f"settings: {validation.first_fault(error)}") from None


class Settings(TrainingSettings):
    """All settings of the pipeline: those of its steps, and those that its plan uses.

    A setting of the training that is `auto` is that of the model's `recipes.Recipe`.

    Args:
        statistics_fraction: share of epsilon for the statistics.
        n_epochs: expected passes over the training users' reviews.
        sampling_rate: Poisson rate at which a unit joins a step; public.
    """

    statistics_fraction: validation.OpenShare
    n_epochs: validation.Count
    sampling_rate: validation.Rate

    @pydantic.model_validator(mode="before")
    @classmethod
    def _fill_in(cls, data: object) -> object:
        if not isinstance(data, dict):
            return data
        recipe = recipes.RECIPES.get(data.get("model", ""))
        if recipe is None:
            return data  # the model is refused by its name
        return {name: getattr(recipe, name, value) if value == recipes.AUTO else value for name, value in data.items()}

    @pydantic.model_validator(mode="after")
    def _bound_steps(self) -> Self:
        if self.n_epochs / self.sampling_rate > noisy_steps.MOST_STEPS:
            steps = self.n_epochs / self.sampling_rate
            bound = f"takes {steps:,.0f} steps at sampling_rate {self.sampling_rate}, above {noisy_steps.MOST_STEPS:,}"
            raise errors.invalid("n_epochs", self.n_epochs, bound, "lower it, or raise sampling_rate")
        return self
