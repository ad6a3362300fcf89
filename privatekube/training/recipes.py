"""How each model is trained unless a run says otherwise; see docs/privacy.md for how these values were chosen.

They are functions of the model and of epsilon, which are public, and of nothing else.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

from privatekube.data import word_vectors

AUTO = "auto"
"""The value of a setting that is the model's own."""

REFERENCE_EPSILON = 1.0
"""Of the recipes as they are written here."""

_LEAST, _MOST = 0.1, 3.0
"""Bounds of the factor of a learning rate: at epsilon .01 and below, and 9 and above."""

_MOST_EPOCHS = 2.0
"""Bound of the factor of the epochs, which take time: at epsilon 4 and above."""


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """The settings of a model and of its training at epsilon 1.

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

    def at(self, epsilon: float) -> Recipe:
        """Return the recipe for a run of another epsilon.

        With more noise, momentum has to move the weights less, which then stay closer to their public start: the
        learning rate goes with the root of epsilon, and beyond epsilon 1 the number of epochs as well. Adam moves them
        by the learning rate whatever the noise, and DP-AdamBC by less where there is more noise.

        >>> RECIPES["linear"].learning_rate, RECIPES["linear"].at(0.25).learning_rate
        (4.0, 2.0)
        """
        if self.optimizer != "sgd":
            return self
        root = math.sqrt(epsilon / REFERENCE_EPSILON)
        rate = float(f"{self.learning_rate * min(max(root, _LEAST), _MOST):.3g}")
        return replace(self, learning_rate=rate, n_epochs=round(self.n_epochs * min(max(root, 1.0), _MOST_EPOCHS)))


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

RECIPES: Mapping[str, Recipe] = {
    "lstm": _BY_ADAM,
    "bow": replace(_BY_ADAM, optimizer="adambc", learning_rate=0.15),
    "feedforward": _BY_ADAM,
    "linear": _CONVEX,
}
"""By model, where it reads no vectors."""

ON_VECTORS: Mapping[str, Recipe] = {
    "linear": _CONVEX,
    "bow": _CONVEX,
    "feedforward": replace(_CONVEX, hidden_dim=32, learning_rate=8.0),
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


def recipe(model: str, *, is_on_vectors: bool, epsilon: float) -> Recipe | None:
    """Return the recipe of a model in a run of some epsilon; None if there is no such model."""
    own = (ON_VECTORS if is_on_vectors else RECIPES).get(model)
    return None if own is None else own.at(epsilon)
