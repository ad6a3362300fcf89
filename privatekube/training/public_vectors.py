"""The public vectors of words that a model reads, as its settings say; nothing here loads torch.

A file of vectors may be where the run was started, or in a bucket: a run fetches it into its workspace with the blocks,
before their data counts as opened, and trains on that copy.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from privatekube.data import word_vectors
from privatekube.storage import uris
from privatekube.training.settings import TrainingSettings


def fetch(settings: TrainingSettings, workspace: Path) -> None:
    """Copy the file of vectors that a model reads into the workspace, and refuse one that training could not use.

    Each model that a search may train must be able to use it.

    Raises:
        InvalidInput: it is not the declared one, has too few dimensions, or cannot be read.
        NotFound, MissingExtra, Temporary: as `uris.read_bytes`.
    """
    copy = fetched(settings, workspace)
    if copy is settings:
        return
    uris.copy_to(settings.embeddings, Path(copy.embeddings))
    word_vectors.require_digest(copy.embeddings, settings.embeddings_digest)
    most = max(candidate.embedding_dim for candidate in settings.candidates)
    word_vectors.require_readable(copy.embeddings, dimension=most)


def fetched(settings: TrainingSettings, workspace: Path) -> TrainingSettings:
    """Return settings that read the copy in the workspace; the same where no file is read."""
    if settings.embeddings in {word_vectors.NONE, word_vectors.BUNDLED}:
        return settings
    copy = workspace / f"vectors{Path(settings.embeddings).suffix}"
    return settings.model_copy(update={"embeddings": str(copy)})


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
