"""The vectors that a model reads are those that its settings declare, for the words of the data."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from privatekube.data import word_vectors
from privatekube.data.tables import english
from privatekube.training import model_shape
from privatekube.training.settings import TrainingSettings
from tests.steps.builders import SETTINGS


def on_vectors(path: Path) -> TrainingSettings:
    path.write_text("the 1 2 3 4 5\nof 5 6 7 8 9\n")
    stated: dict[str, Any] = {"embeddings": str(path), "embeddings_digest": word_vectors.digest(str(path))}
    return TrainingSettings.of(SETTINGS | {"model": "linear"} | stated)


def test_vectors_have_a_row_for_each_token_id_and_the_directions_that_the_settings_say(tmp_path: Path) -> None:
    settings = on_vectors(tmp_path / "a.txt")
    rows = model_shape.vectors(settings, vocabulary_digest=english.digest())
    assert rows is not None
    assert rows.shape == (SETTINGS["vocab_size"], SETTINGS["embedding_dim"])
    assert np.flatnonzero(rows.any(1)).tolist() == sorted([english.ids()["the"], english.ids()["of"]])


def test_the_shape_records_the_digest_of_the_vectors_and_none_where_there_are_none(tmp_path: Path) -> None:
    settings = on_vectors(tmp_path / "a.txt")
    assert model_shape.of_settings(settings, n_categories=3).embeddings == settings.embeddings_digest
    plain = TrainingSettings.of(SETTINGS)
    assert model_shape.of_settings(plain, n_categories=3).embeddings is None
    assert model_shape.vectors(plain, vocabulary_digest="any") is None
