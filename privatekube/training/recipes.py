"""How each model is trained unless a run says otherwise; see docs/privacy.md for how these values were chosen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

AUTO = "auto"
"""The value of a setting that is the model's own."""


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """The settings of a model's training.

    Args:
        optimizer: a key of `optimizers.OPTIMIZERS`.
        learning_rate: of the optimizer.
        max_grad_norm: L2 norm that a unit's gradient is clipped to.
        n_epochs: expected passes over the training users' reviews.
        sampling_rate: Poisson rate at which a unit joins a step.
    """

    optimizer: str
    learning_rate: float
    max_grad_norm: float
    n_epochs: int
    sampling_rate: float


def recipe(model: str, *, is_on_vectors: bool) -> Recipe | None:
    """Return the recipe of a model; None if there is no such model."""
    own = ON_VECTORS.get(model) if is_on_vectors else None
    return own or RECIPES.get(model)


_TRAINED_BY_ADAM = Recipe(optimizer="adam", learning_rate=0.015, max_grad_norm=1.0, n_epochs=15, sampling_rate=0.2)

RECIPES: Mapping[str, Recipe] = {
    "lstm": _TRAINED_BY_ADAM,
    "bow": _TRAINED_BY_ADAM,
    "feedforward": _TRAINED_BY_ADAM,
    "linear": Recipe(optimizer="sgd", learning_rate=4.0, max_grad_norm=1.0, n_epochs=20, sampling_rate=0.5),
}
"""By model. A review's gradient of `linear` is bounded by 2, and its loss is smooth, so that its learning rate depends
little on the data."""

ON_VECTORS: Mapping[str, Recipe] = {
    "linear": Recipe(optimizer="sgd", learning_rate=4.0, max_grad_norm=1.0, n_epochs=20, sampling_rate=0.5),
    "lstm": Recipe(optimizer="sgd", learning_rate=4.0, max_grad_norm=1.0, n_epochs=8, sampling_rate=0.2),
}
"""By model, where it reads public vectors of words."""
