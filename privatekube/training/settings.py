"""The settings of the shipped pipeline, each declared here with its type and bounds; arguments.yaml has the values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Annotated, Literal, Self

import pydantic

from privatekube import config, errors, validation
from privatekube.data import word_vectors
from privatekube.privacy import noisy_steps
from privatekube.training import recipes, search_grid

Task = Literal["product", "sentiment"]
Architecture = Literal["lstm", "bow", "feedforward", "linear"]
Workers = Annotated[int, pydantic.Field(ge=1, le=64)]
Optimizer = Literal["sgd", "adam", "adambc"]
EmbeddingsMode = Literal["frozen", "trained"]
VectorsDigest = Annotated[str, pydantic.Field(pattern=r"^(none|sha256:[0-9a-f]{64})$")]


class TrainingSettings(config.Checked):
    """What the steps of the pipeline read in the Grant; noise, sampling rate and number of steps are in its plan.

    Args:
        test_fraction: share of users held out for the evaluation.
        task: what to predict: the `product` category, or `sentiment` (five stars or not).
        model: architecture.
        max_grad_norm: L2 norm that a unit's gradient is clipped to: the sensitivity of a training step.
        optimizer: what applies the noisy gradients: SGD with momentum; Adam, by which earlier versions trained; or
            DP-AdamBC, which is Adam without the bias of the noise.
        learning_rate: of the optimizer, constant.
        vocab_size: token ids from this number on are read as unknown words.
        max_text_len: tokens read of each review.
        embeddings: public vectors of words that the model reads: `none`, `bundled` or a file; see `data.word_vectors`.
        embeddings_mode: whether these vectors stay as they are, or are trained, under DP.
        embeddings_digest: of the files that these vectors are read from; `none` where there are none.
        embedding_dim: size of a token's embedding, or how many directions of the vectors are read.
        hidden_dim: size of the hidden layer.
        seed: of the initial weights, never of noise or sampling.
        workers: how many processes of a machine share the training; what they compute and its privacy are those of one.
        hyperparameters: the values of some of these settings that a search draws at random for each of its trials; none
            where one model is trained, with the settings as they are.
    """

    test_fraction: validation.OpenShare
    task: Task
    model: Architecture
    max_grad_norm: validation.ClippingNorm
    optimizer: Optimizer = "adam"
    learning_rate: validation.Positive
    vocab_size: validation.VocabularySize
    max_text_len: validation.Count
    embeddings: validation.Line = word_vectors.NONE
    embeddings_mode: EmbeddingsMode = "frozen"
    embeddings_digest: VectorsDigest = word_vectors.NONE
    embedding_dim: validation.Count
    hidden_dim: validation.Count
    seed: validation.Seed
    workers: Workers = 1
    hyperparameters: validation.Grid = pydantic.Field(default_factory=dict)

    @pydantic.field_validator("hyperparameters", mode="before")
    @classmethod
    def _in_their_types(cls, grid: object) -> object:
        """Give the values the types of their settings: Kubeflow passes 64 as 64.0."""
        return search_grid.typed(grid, cls)

    @pydantic.model_validator(mode="after")
    def _require_fitting_vectors(self) -> Self:
        if self.trains_vectors and not self.is_on_vectors:
            bound = f"does not fit embeddings {self.embeddings}, which leave nothing to start from"
            raise errors.invalid("embeddings_mode", self.embeddings_mode, bound, "set frozen, or bundled embeddings")
        if self.is_on_vectors == (self.embeddings_digest == word_vectors.NONE):
            bound = f"does not fit embeddings {self.embeddings}"
            raise errors.invalid("embeddings_digest", self.embeddings_digest, bound, "set auto for none and bundled")
        return self

    @property
    def is_on_vectors(self) -> bool:
        """Whether the model reads public vectors of words."""
        return self.embeddings != word_vectors.NONE

    @property
    def trains_vectors(self) -> bool:
        """Whether the model trains the public vectors that it reads."""
        return self.embeddings_mode == "trained"

    @property
    def candidates(self) -> tuple[Self, ...]:
        """What a model may be trained with: each combination of the grid, or these settings where there is none."""
        grid = search_grid.combinations(self.hyperparameters)
        return tuple(self.model_copy(update={**values, "hyperparameters": {}}) for values in grid)

    @classmethod
    def of(cls, settings: Mapping[str, validation.Scalar | validation.Grid]) -> Self:
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

    A setting that is `auto` is that of the model's recipe for the epsilon of the run; see `recipes`.

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
    def _fill_in(cls, data: object, info: pydantic.ValidationInfo) -> object:
        if not isinstance(data, dict):
            return data
        model, source = str(data.get("model")), data.get("embeddings", word_vectors.NONE)
        source = recipes.embeddings(model) if source == recipes.AUTO else source
        digest = _digest_of(data.get("embeddings_digest", recipes.AUTO), source)
        epsilon = (info.context or {}).get("epsilon", recipes.REFERENCE_EPSILON)
        recipe = recipes.recipe(model, is_on_vectors=source != word_vectors.NONE, epsilon=epsilon)
        own = {} if recipe is None else asdict(recipe)  # a model without one is refused by its name
        filled = {name: own.get(name, value) if value == recipes.AUTO else value for name, value in data.items()}
        return filled | {"embeddings": source, "embeddings_digest": digest}

    @pydantic.model_validator(mode="after")
    def _bound_steps(self) -> Self:
        if self.n_epochs / self.sampling_rate > noisy_steps.MOST_STEPS:
            steps = self.n_epochs / self.sampling_rate
            bound = f"takes {steps:,.0f} steps at sampling_rate {self.sampling_rate}, above {noisy_steps.MOST_STEPS:,}"
            raise errors.invalid("n_epochs", self.n_epochs, bound, "lower it, or raise sampling_rate")
        return self


_KNOWN_DIGESTS = {word_vectors.NONE: word_vectors.NONE, word_vectors.BUNDLED: word_vectors.BUNDLED_DIGEST}
"""What `embeddings_digest: auto` stands for."""


def _digest_of(stated: object, source: object) -> object:
    """Return the digest of vectors; that of a file has to be stated."""
    if stated != recipes.AUTO:
        return stated
    if source not in _KNOWN_DIGESTS:
        remedy = "correct it; for a file or URI, set embeddings_digest to sha256: and what sha256sum prints of it"
        raise errors.invalid("embeddings", source, "is neither none nor bundled", remedy)
    return _KNOWN_DIGESTS[str(source)]
