"""The public vectors of words that a model reads, as its settings say; nothing here loads torch."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from privatekube.data import word_vectors
from privatekube.training.settings import TrainingSettings


def read(settings: TrainingSettings) -> npt.NDArray[np.float32]:
    """Return the vectors [V, E] of the shipped list of words.

    Args:
        settings: of a model that reads vectors.

    Raises:
        InvalidInput: they have fewer dimensions than the model reads, or as `word_vectors.load`.
        MissingExtra: as `word_vectors.load`.
    """
    from privatekube.data.tables import english  # noqa: PLC0415 - only vectors need words

    loaded = word_vectors.load(
        settings.embeddings, words=english.ids(), vocab_size=settings.vocab_size, declared=settings.embeddings_digest
    )
    return loaded.reduced(settings.embedding_dim).rows
