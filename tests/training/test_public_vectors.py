"""The vectors that a model reads are fetched into the workspace of a run, and refused before any data is opened."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from privatekube import errors
from privatekube.data import word_vectors
from privatekube.storage import uris
from privatekube.training import public_vectors
from privatekube.training.settings import TrainingSettings
from tests.steps.builders import SETTINGS
from tests.storage import bucket

TEXT = b"the 1 2 3 4\nof 5 6 7 8\n"


def settings_of(source: str, content: Path, **changes: Any) -> TrainingSettings:
    stated = {"model": "linear", "embeddings": source, "embeddings_digest": word_vectors.digest(str(content))}
    return TrainingSettings.of(SETTINGS | stated | changes)


@pytest.mark.parametrize("scheme", bucket.SCHEMES)
def test_vectors_in_a_bucket_are_read_from_their_copy_in_the_workspace(scheme: str, tmp_path: Path) -> None:
    original = tmp_path / "original.txt"
    original.write_bytes(TEXT)
    with bucket.served(scheme) as place:
        uris.publish(original, uris.join(place, "vectors.txt"))
        settings = settings_of(uris.join(place, "vectors.txt"), original)
        public_vectors.fetch(settings, tmp_path)
    rows = public_vectors.read(public_vectors.fetched(settings, tmp_path))
    assert rows.shape == (settings.vocab_size, settings.embedding_dim)
    assert rows.any()


@pytest.mark.parametrize(
    ("content", "changes", "message"),
    [
        (TEXT, {"embeddings_digest": f"sha256:{'1' * 64}"}, "^embeddings_digest: 'sha256:1+' is not the digest of"),
        (TEXT, {"embedding_dim": 5}, "^embedding_dim: 5 is above the 4 dimensions of the vectors; lower it"),
        (TEXT, {"hyperparameters": {"embedding_dim": [4, 5]}}, "^embedding_dim: 5 is above the 4 dimensions of the ve"),
        (b"the 1 2 3 nan\n", {}, "has a number that is not finite; correct it"),
        (b"of 1 2 3 4\nzyzzyva 1\n", {}, r"line 2 has 1 numbers, not 4\); correct the file"),
        (b"", {}, "has no vectors; give a file that has some"),
    ],
)
def test_vectors_that_training_could_not_use_are_refused_in_one_line_when_they_are_fetched(
    content: bytes, changes: dict[str, Any], message: str, tmp_path: Path
) -> None:
    source = tmp_path / "original.txt"
    source.write_bytes(content)
    with pytest.raises(errors.InvalidInput, match=message) as refusal:
        public_vectors.fetch(settings_of(str(source), source, **changes), tmp_path)
    assert "\n" not in str(refusal.value)


def test_bundled_vectors_are_not_copied(tmp_path: Path) -> None:
    stated = {"model": "linear", "embeddings": "bundled", "embeddings_digest": word_vectors.BUNDLED_DIGEST}
    settings = TrainingSettings.of(SETTINGS | stated)
    public_vectors.fetch(settings, tmp_path)
    assert public_vectors.fetched(settings, tmp_path) is settings
    assert not list(tmp_path.iterdir())
