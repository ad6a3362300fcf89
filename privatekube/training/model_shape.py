"""The shape of a model that settings describe, and the public vectors that it reads."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from privatekube.data import word_vectors
from privatekube.training import models
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
    )


def vectors(settings: TrainingSettings, *, vocabulary_digest: str) -> npt.NDArray[np.float32] | None:
    """Return the vectors [V, E] that a model reads; None where it reads none.

    Args:
        settings: of the model.
        vocabulary_digest: of the list of words of the data, which must be the shipped one.

    Raises:
        InvalidInput: the data has another list of words, or see `word_vectors.load`.
    """
    if not settings.is_on_vectors:
        return None
    from privatekube.data.tables import english  # noqa: PLC0415 - without vectors, no words are needed

    word_vectors.require_words(settings.embeddings, vocabulary_digest)
    loaded = word_vectors.load(
        settings.embeddings, words=english.ids(), vocab_size=settings.vocab_size, declared=settings.embeddings_digest
    )
    return loaded.reduced(settings.embedding_dim).rows
