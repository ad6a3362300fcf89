"""Vectors of the words of the public list, learnt elsewhere from public text: they are read, never trained here.

They are those that the package wordllama ships, or those of a file; see `vector_files`. What they are is declared by a
digest, which a run records: a model on them is a function of them, too. They have to be public, since nothing is paid
for reading them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

import numpy as np
import numpy.typing as npt

from privatekube import errors
from privatekube.data import vector_files

NONE, BUNDLED = "none", "bundled"
"""Values of the setting `embeddings` that do not name a file."""
BUNDLED_DIGEST = "sha256:4d243a4b2daee65802d68699e288b9347fd45097303dc232205a660a82b5171e"
BUNDLED_DIMENSION = 256
WORDS_DIGEST = "sha256:33139a7be6999c6980d92d9585e63bb3667898870bb534478babe02c1d931f29"
"""Of the public list whose words have vectors; stated here for steps that have no words."""
_PACKAGE = "wordllama"
_BUNDLED_FILES = (
    "wordllama/weights/l2_supercat_256.safetensors",
    "wordllama/tokenizers/l2_supercat_tokenizer_config.json",
)
_HASHED_BYTES = 1 << 20


@dataclass(frozen=True, eq=False)
class WordVectors:
    """The vectors of the token ids below a vocabulary's size.

    Args:
        rows: float32 [V, D]; zeros of special tokens, and of words without a vector.
        digest: of the files that they were read from, `sha256:<hex>`.
    """

    rows: npt.NDArray[np.float32]
    digest: str

    def reduced(self, dimension: int) -> WordVectors:
        """Return the vectors in the directions in which they differ most, scaled to a mean length of 1.

        Args:
            dimension: D of the result; the directions are the leading right singular vectors of `rows`.

        Raises:
            InvalidInput: the vectors have fewer dimensions.
        """
        require_dimension(dimension, self.rows.shape[1])
        squares = self.rows.T.astype(np.float64) @ self.rows
        directions = np.linalg.eigh(squares).eigenvectors[:, ::-1][:, :dimension]
        signs = np.sign(directions[np.abs(directions).argmax(0), np.arange(dimension)])  # eigenvectors have none
        projected = self.rows @ (directions * signs)
        lengths = np.linalg.norm(projected, axis=1)
        return WordVectors((projected / lengths[lengths > 0].mean()).astype(np.float32), self.digest)


def require_dimension(dimension: int, available: int) -> None:
    """Refuse a model that reads more dimensions than vectors have.

    Raises:
        InvalidInput: names both.
    """
    if dimension > available:
        bound = f"is above the {available} dimensions of the vectors"
        raise errors.invalid("embedding_dim", dimension, bound, "lower it")


def require_words(source: str, vocabulary_digest: str) -> None:
    """Refuse vectors for data whose token ids stand for other words than those of the public list.

    Raises:
        InvalidInput: they do.
    """
    if vocabulary_digest != WORDS_DIGEST:
        bound = "need the shipped list of words, and the data has another"
        raise errors.invalid("embeddings", source, bound, "set none")


def dimension(source: str) -> int:
    """Return how many dimensions the vectors of a source have, from the beginning of its file.

    Raises:
        InvalidInput: as `load`.
    """
    if source == BUNDLED:
        return BUNDLED_DIMENSION
    for _, vector in _readable(source):
        return len(vector)
    raise _no_vectors(source)


def digest(source: str) -> str:
    """Return the digest of the files of a source, `sha256:<hex>`.

    Raises:
        InvalidInput: as `load`.
    """
    content = hashlib.sha256()
    for path in _bundled() if source == BUNDLED else (_existing(source),):
        with path.open("rb") as file:
            while part := file.read(_HASHED_BYTES):
                content.update(part)
    return f"sha256:{content.hexdigest()}"


def load(source: str, *, words: Mapping[str, int], vocab_size: int, declared: str) -> WordVectors:
    """Read the vectors of words.

    Args:
        source: `bundled`, or a file.
        words: token id of each word; the first vector of a word counts, as in gensim.
        vocab_size: V; words with other ids are left out.
        declared: the digest that the files must have.

    Raises:
        InvalidInput: no such file, in none of the formats, without a vector of any word, or with another digest.
        MissingExtra: the package of the bundled vectors is not installed.
    """
    require_digest(source, declared)
    known = {word: number for word, number in words.items() if number < vocab_size}
    pairs = _bundled_pairs(known) if source == BUNDLED else _readable(source, known)
    found: dict[int, npt.NDArray[np.float32]] = {}
    for word, vector in pairs:
        if word in known:
            found.setdefault(known[word], vector)
    if not found:
        raise errors.InvalidInput(f"embeddings: {source} has none of the words; give vectors of English words")
    rows = np.zeros((vocab_size, len(next(iter(found.values())))), np.float32)
    rows[list(found)] = np.stack(list(found.values()))
    _require_finite(source, rows)
    if not bool(rows.any()):
        raise errors.InvalidInput(f"embeddings: {source} has zeros alone; give vectors that tell words apart")
    return WordVectors(rows, declared)


def _require_finite(source: str, numbers: npt.NDArray[np.float32]) -> None:
    if not bool(np.isfinite(numbers).all()):
        raise errors.InvalidInput(f"embeddings: {source} has a number that is not finite; correct it")


def require_digest(source: str, declared: str) -> None:
    """Refuse vectors that are not those that a run declares.

    Raises:
        InvalidInput: names the digest that they have.
    """
    actual = digest(source)
    if actual != declared:
        bound = f"is not the digest of {source}, which is {actual}"
        raise errors.invalid("embeddings_digest", declared, bound, "set that one, if these vectors are public")


def require_readable(source: str, *, dimension: int) -> None:
    """Refuse a file with a vector that training could not use, as far as what is installed here can read it.

    Raises:
        InvalidInput: as `load`, or the vectors have fewer dimensions.
    """
    if not vector_files.is_readable_here(Path(source)):
        return
    has_vectors = False
    for _, vector in _readable(source):
        require_dimension(dimension, len(vector))
        _require_finite(source, vector)
        has_vectors = True
    if not has_vectors:
        raise _no_vectors(source)


def _no_vectors(source: str) -> errors.InvalidInput:
    return errors.InvalidInput(f"embeddings: {source} has no vectors; give a file that has some")


def require_format(source: str) -> None:
    """Refuse a file whose name does not tell its format.

    Raises:
        InvalidInput: names the formats.
    """
    if Path(source).suffix not in vector_files.FORMATS:
        bound = f"does not end in one of {', '.join(vector_files.FORMATS)}"
        raise errors.invalid("embeddings", source, bound, "rename the file")


def _readable(source: str, wanted: Mapping[str, int] | None = None) -> vector_files.Pairs:
    """Yield words and vectors of a file; of those wanted, and perhaps of others."""
    path = _existing(source)
    require_format(source)
    try:
        yield from vector_files.FORMATS[path.suffix](path, wanted)
    except (ValueError, OSError, KeyError) as error:
        reason = str(error).split("\n")[0]
        raise errors.InvalidInput(f"embeddings: {source} cannot be read ({reason}); correct the file") from error


def _existing(source: str) -> Path:
    path = Path(source)
    if not path.is_file():
        raise errors.invalid("embeddings", source, f"is not a file, {NONE} or {BUNDLED}", "name one that is there")
    return path


def _bundled() -> tuple[Path, ...]:
    """Return the files of the package, of which no code is run."""
    with errors.naming_extra():
        distribution = metadata.distribution(_PACKAGE)
    return tuple(Path(str(distribution.locate_file(name))) for name in _BUNDLED_FILES)


def _bundled_pairs(wanted: Mapping[str, int]) -> vector_files.Pairs:
    """Yield words and the means of the vectors of their parts."""
    import tokenizers  # noqa: PLC0415 - only a run on such vectors needs it
    from safetensors.numpy import load_file  # noqa: PLC0415 - likewise

    weights, rule = _bundled()
    (rows,) = load_file(weights).values()
    parts = tokenizers.Tokenizer.from_file(str(rule)).encode_batch_fast(list(wanted), add_special_tokens=False)
    for word, encoding in zip(wanted, parts, strict=True):
        yield word, rows[encoding.ids].astype(np.float32).mean(0)
