"""How each model is trained unless a run says otherwise; see docs/privacy.md for how these values were chosen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from privatekube.data import word_vectors

AUTO = "auto"
"""The value of a setting that is the model's own."""


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """The settings of a model and of its training.

    Args:
        embedding_dim: size of a token's embedding, or how many directions of the vectors are read.
        hidden_dim: size of the hidden layer.
        optimizer: a key of `optimizers.OPTIMIZERS`.
        learning_rate: of the optimizer.
        max_grad_norm: L2 norm that a unit's gradient is clipped to.
        n_epochs: expected passes over the training users' reviews.
        sampling_rate: Poisson rate at which a unit joins a step.
    """

    embedding_dim: int
    hidden_dim: int
    optimizer: str
    learning_rate: float
    max_grad_norm: float
    n_epochs: int
    sampling_rate: float


_BY_ADAM = Recipe(
    embedding_dim=32,
    hidden_dim=32,
    optimizer="adam",
    learning_rate=0.015,
    max_grad_norm=1.0,
    n_epochs=15,
    sampling_rate=0.2,
)
_CONVEX = Recipe(
    embedding_dim=word_vectors.BUNDLED_DIMENSION,
    hidden_dim=1,
    optimizer="sgd",
    learning_rate=4.0,
    max_grad_norm=1.0,
    n_epochs=20,
    sampling_rate=0.5,
)
"""A review's gradient is bounded by 2 and the loss is smooth, so that the learning rate depends little on the data."""

RECIPES: Mapping[str, Recipe] = {"lstm": _BY_ADAM, "bow": _BY_ADAM, "feedforward": _BY_ADAM, "linear": _CONVEX}
"""By model, where it reads no vectors."""

ON_VECTORS: Mapping[str, Recipe] = {
    "linear": _CONVEX,
    "lstm": Recipe(
        embedding_dim=word_vectors.BUNDLED_DIMENSION,
        hidden_dim=32,
        optimizer="sgd",
        learning_rate=5.0,
        max_grad_norm=1.0,
        n_epochs=6,
        sampling_rate=0.2,
    ),
}
"""By model, where it reads public vectors of words."""


def embeddings(model: str) -> str:
    """Return what a model reads: the bundled vectors if it can."""
    return word_vectors.BUNDLED if model in ON_VECTORS else word_vectors.NONE


def recipe(model: str, *, is_on_vectors: bool) -> Recipe | None:
    """Return the recipe of a model; None if there is no such model."""
    own = ON_VECTORS.get(model) if is_on_vectors else None
    return own or RECIPES.get(model)
