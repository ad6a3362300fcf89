"""Public vectors of words are read in each format, are those that were declared, and nothing else is taken for them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import save, save_file

from privatekube import errors
from privatekube.data import word_vectors
from privatekube.data.tables import english
from tests.examples import examples

ROWS = {"the": [1.0, 2.0, 0.5], "of": [-1.0, 0.0, 3.0], "zyzzyva": [9.0, 9.0, 9.0]}


def glove(path: Path) -> None:
    path.write_text("".join(f"{word} {' '.join(map(str, row))}\n" for word, row in ROWS.items()))


def fasttext(path: Path) -> None:
    glove(path)
    path.write_text(f"{len(ROWS)} 3\n{path.read_text()}")


def word2vec(path: Path) -> None:
    rows = b"".join(word.encode() + b" " + np.array(row, "<f4").tobytes() + b"\n" for word, row in ROWS.items())
    path.write_bytes(f"{len(ROWS)} 3\n".encode() + rows)


def by_rank(path: Path) -> None:
    rows = np.zeros((english.SIZE, 3), np.float16)
    for word in ("the", "of"):
        rows[english.words().index(word)] = ROWS[word]
    save_file({"vectors": rows}, path)


def safetensors_bytes(rows: np.ndarray) -> bytes:
    content: bytes = save({"vectors": rows})
    return content


def loaded(path: Path | str, vocab_size: int = 50) -> word_vectors.WordVectors:
    source = str(path)
    declared = word_vectors.digest(source)
    return word_vectors.load(source, words=english.ids(), vocab_size=vocab_size, declared=declared)


@pytest.mark.parametrize(
    ("write", "name"),
    [(glove, "a.txt"), (fasttext, "a.vec"), (word2vec, "a.bin"), (by_rank, "a.safetensors")],
)
def test_each_format_gives_the_same_vectors(write: Callable[[Path], None], name: str, tmp_path: Path) -> None:
    write(tmp_path / name)
    rows = loaded(tmp_path / name).rows
    wanted = np.zeros((50, 3), np.float32)
    for word in ("the", "of"):
        wanted[english.ids()[word]] = ROWS[word]
    np.testing.assert_array_equal(rows, wanted)
    assert word_vectors.dimension(str(tmp_path / name)) == 3


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.txt", b"zyzzyva 1 2\n", "has none of the words"),
        ("a.txt", b"the 1 2\nof 1\n", r"line 2 has 1 numbers, not 2\); correct the file"),
        ("a.txt", b"the 1 x\n", "cannot be read"),
        ("a.txt", b"the 1 nan\n", "has a number that is not finite"),
        ("a.txt", b"the 1 1e39\n", "has a number that is not finite"),
        ("a.txt", b"the 0 0\nof 0 0\n", "has zeros alone; give vectors that tell words apart"),
        ("a.txt", b"the" + b" 1" * 1025 + b"\n", "vectors of 1,025 dimensions, not of 1 to 1,024"),
        ("a.txt", b"1" * (1 << 17), "line 1 is longer than 65,536 characters"),
        ("a.txt", b"", "has none of the words"),
        ("a.txt", b"\0\xff\n", "vectors of 0 dimensions"),
        ("a.vec", b"3 2\nthe 1 2\nof 3 4\n", r"has 2 vectors, and its first line says 3\); correct the file"),
        ("a.vec", b"1 2\nthe 1 2\nof 3 4\n", r"has 2 vectors, and its first line says 1\)"),
        ("a.vec", b"1 3\nthe 1 2\n", "line 2 has 2 numbers, not 3"),
        ("a.vec", b"1 2000\nthe 1 2\n", "vectors of 2,000 dimensions"),
        ("a.txt", b"the 0.25 0.50\nof 0.75 0.1", "line 2 has no end, as if the rest were missing"),
        ("a.bin", b"1 3\nthe 12", "ends within a vector"),
        ("a.bin", b"2 1\nthe 1234\n", "ends within a vector"),
        ("a.bin", b"1 1\nthe 1234\nof 1234\n", "goes on after the 1 vectors that its first line says"),
        ("a.bin", b"", "cannot be read"),
        ("a.bin", b"999999999999 999999999999\nthe 12", "vectors of 999,999,999,999 dimensions"),
        ("a.bin", b"1 -3\nthe 12", "vectors of -3 dimensions"),
        ("a.bin", b"999999999999 1\nthe 1234", "ends within a vector"),
        ("a.bin", b"1 1\n" + b"t" * 2000, "has a word of more than 1,024 bytes"),
        ("a.safetensors", (1 << 60).to_bytes(8, "little") + b"{}", "cannot be read"),
        ("a.safetensors", safetensors_bytes(np.zeros((3, 2), np.float32))[:-1], "cannot be read"),
        ("a.safetensors", safetensors_bytes(np.zeros((3, 2), np.float32)) + b"0", "cannot be read"),
        ("a.safetensors", safetensors_bytes(np.zeros((3, 2), np.float32)), "not a row for each of 10000 words"),
        ("a.safetensors", b"nothing", "cannot be read"),
        ("a.safetensors", safetensors_bytes(np.full((10_000, 1), 1e300)), "has a number that is not finite"),
        ("a.gz", b"", "does not end in one of .txt, .vec, .bin, .safetensors; rename"),
    ],
)
def test_a_file_that_cannot_be_read_is_refused_in_one_line(
    name: str, content: bytes, message: str, tmp_path: Path
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(errors.InvalidInput, match=f"^embeddings: .*{message}") as refusal:
        loaded(tmp_path / name)
    assert "\n" not in str(refusal.value)


def test_a_binary_file_may_have_a_line_break_after_each_vector_or_none_as_gensim_writes_it(tmp_path: Path) -> None:
    word2vec(tmp_path / "a.bin")
    (tmp_path / "b.bin").write_bytes((tmp_path / "a.bin").read_bytes().replace(b"\n", b"").replace(b"3 3", b"3 3\n"))
    np.testing.assert_array_equal(loaded(tmp_path / "b.bin").rows, loaded(tmp_path / "a.bin").rows)


def test_a_text_whose_first_line_is_of_a_word_has_no_header(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("the 0.5\nof 1\n")
    np.testing.assert_array_equal(loaded(tmp_path / "a.txt").rows[english.ids()["the"]], [0.5])


def test_the_first_vector_of_a_word_counts_and_a_word_may_have_spaces_as_some_of_glove_have(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("the 1 2\nthe 5 5\nat a@b.c 7 7\nof 3 4\n")
    rows = loaded(tmp_path / "a.txt").rows
    known = [english.ids()[word] for word in ("the", "of")]
    np.testing.assert_array_equal(rows[known], [[1, 2], [3, 4]])
    assert not rows[english.ids()["at"]].any()


def test_a_file_that_is_not_there_or_not_the_declared_one_is_refused(tmp_path: Path) -> None:
    with pytest.raises(errors.InvalidInput, match="is not a file, none or bundled; name one that is there"):
        word_vectors.dimension(str(tmp_path / "missing.txt"))
    glove(tmp_path / "a.txt")
    with pytest.raises(
        errors.InvalidInput, match=r"^embeddings_digest: 'sha256:0' is not the digest of .*a.txt, which is"
    ):
        word_vectors.load(str(tmp_path / "a.txt"), words=english.ids(), vocab_size=50, declared="sha256:0")


def test_the_bundled_vectors_are_those_of_the_release_and_know_that_words_are_alike() -> None:
    source = word_vectors.BUNDLED
    words = {word: english.ids()[word] for word in ("dog", "puppy", "guitar", "music", "a")}
    size = max(words.values()) + 1
    read = word_vectors.load(source, words=words, vocab_size=size, declared=word_vectors.BUNDLED_DIGEST)
    assert read.rows.shape == (size, word_vectors.BUNDLED_DIMENSION)
    unit = {word: read.rows[number] / np.linalg.norm(read.rows[number]) for word, number in words.items()}
    assert unit["dog"] @ unit["puppy"] > unit["dog"] @ unit["guitar"]
    assert unit["music"] @ unit["guitar"] > unit["music"] @ unit["puppy"]


@settings(max_examples=examples(10))
@given(seed=st.integers(0, 1000), dimension=st.integers(1, 6))
def test_reduced_vectors_keep_as_much_of_the_differences_as_any_directions_could(seed: int, dimension: int) -> None:
    rows = (np.random.default_rng(seed).normal(size=(40, 6)) * np.arange(1, 7)).astype(np.float32)
    rows[:4] = 0
    reduced = word_vectors.WordVectors(rows, "").reduced(dimension).rows
    kept = np.sort(np.linalg.svd(rows, compute_uv=False))[::-1][:dimension]
    ratio = np.linalg.svd(reduced, compute_uv=False)[:dimension] / kept
    np.testing.assert_allclose(ratio, ratio[0], rtol=1e-3)
    assert np.linalg.norm(reduced[4:], axis=1).mean() == pytest.approx(1, rel=1e-5)
    assert not reduced[:4].any()


def test_data_of_another_list_of_words_is_refused_by_the_digest_of_the_list() -> None:
    word_vectors.require_words("bundled", english.digest())
    with pytest.raises(
        errors.InvalidInput, match=r"^embeddings: 'bundled' need the shipped list of words, and the data"
    ):
        word_vectors.require_words("bundled", "sha256:0")


def test_more_dimensions_than_there_are_are_refused() -> None:
    with pytest.raises(errors.InvalidInput, match=r"^embedding_dim: 9 is above the 3 dimensions of the vectors; lower"):
        word_vectors.WordVectors(np.eye(3, dtype=np.float32), "").reduced(9)
