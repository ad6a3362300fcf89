"""The shape of a model that settings describe, and the public vectors that it reads."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from privatekube.data import word_vectors
from privatekube.training import models, public_vectors
from privatekube.training.settings import TrainingSettings


def of_settings(settings: TrainingSettings, *, n_categories: int) -> models.ModelConfig:
    """Return the shape of a model for data with a number of categories."""
    return models.ModelConfig(
        architecture=settings.model,
        vocab_size=settings.vocab_size,
        max_text_len=settings.max_text_len,
        embedding_dim=settings.embedding_dim,
        hidden_dim=settings.hidden_dim,
        n_classes=n_categories if settings.task == "product" else 2,
        embeddings=settings.embeddings_digest if settings.is_on_vectors else None,
        trains_embeddings=settings.trains_vectors,
    )


def vectors(settings: TrainingSettings, *, vocabulary_digest: str) -> npt.NDArray[np.float32] | None:
    """Return the vectors [V, E] that a model reads; None where it reads none.

    Args:
        settings: of the model.
        vocabulary_digest: of the list of words of the data, which must be the shipped one.

    Raises:
        InvalidInput: the data has another list of words, or as `public_vectors.read`.
    """
    if not settings.is_on_vectors:
        return None
    word_vectors.require_words(settings.embeddings, vocabulary_digest)
    return public_vectors.read(settings)
