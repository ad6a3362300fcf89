"""Files with vectors of words, in the forms that they are published in."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt

Pairs = Iterator[tuple[str, npt.NDArray[np.float32]]]
"""Words, each with its vector."""

MOST_DIMENSIONS = 1024
"""Published vectors of words have 50 to 1,024."""

_LONGEST_LINE = 1 << 16
"""Characters: 1,024 numbers of 20 digits, and a long word."""

_LONGEST_WORD = 1 << 10


def _text(path: Path, wanted: Mapping[str, int] | None) -> Pairs:
    """Yield words and vectors of a text file of GloVe, or of fastText, which begins with their number and size.

    A word may have spaces, as some of GloVe's have: the numbers are the last fields of a line.
    """
    with path.open(encoding="utf-8", errors="replace", newline="\n") as file:
        promised, size, count = None, 0, 0
        for number, line in enumerate(iter(partial(file.readline, _LONGEST_LINE), ""), 1):
            fields = _fields(line, number)
            if number == 1 and len(fields) == 2 and all(field.isdecimal() for field in fields):
                promised, size = int(fields[0]), _dimension(int(fields[1]))
                continue
            size, count = size or _dimension(len(fields) - 1), count + 1
            if len(fields) <= size:
                raise ValueError(f"line {number} has {len(fields) - 1} numbers, not {size}")
            word = " ".join(fields[:-size])
            if wanted is None or word in wanted:
                yield word, _numbers(fields[-size:])
    if promised not in {None, count}:
        raise ValueError(f"it has {count:,} vectors, and its first line says {promised:,}")


def _fields(line: str, number: int) -> list[str]:
    if len(line) == _LONGEST_LINE:
        raise ValueError(f"line {number} is longer than {_LONGEST_LINE:,} characters")
    if not line.endswith("\n"):
        raise ValueError(f"line {number} has no end, as if the rest were missing")
    return line.rstrip().split(" ")


def _word2vec(path: Path, _: Mapping[str, int] | None) -> Pairs:
    """Yield words and vectors of a binary file of word2vec: a line with their number and size, then each in turn."""
    with path.open("rb") as file:
        count, size = map(int, file.readline(_LONGEST_WORD).split())
        _dimension(size)
        for _number in range(count):
            word = _until_space(file.read)
            numbers = file.read(4 * size)
            if len(numbers) != 4 * size:
                raise ValueError("it ends within a vector")
            yield word.decode("utf-8", "replace").strip(), np.frombuffer(numbers, "<f4")
        if file.read(2).strip():  # a line break ends it, or nothing
            raise ValueError(f"it goes on after the {count:,} vectors that its first line says")


def _until_space(read: Callable[[int], bytes]) -> bytes:
    parts = []
    while (character := read(1)) not in {b" ", b""}:
        parts.append(character)
        if len(parts) > _LONGEST_WORD:
            raise ValueError(f"it has a word of more than {_LONGEST_WORD:,} bytes")
    return b"".join(parts)


def _numbers(values: npt.ArrayLike) -> npt.NDArray[np.float32]:
    """Return numbers as float32; those beyond its range are infinite, which the caller refuses."""
    with np.errstate(over="ignore"):
        return np.asarray(values).astype(np.float32)


def _dimension(size: int) -> int:
    if not 1 <= size <= MOST_DIMENSIONS:
        raise ValueError(f"it has vectors of {size:,} dimensions, not of 1 to {MOST_DIMENSIONS:,}")
    return size


def _safetensors(path: Path, _: Mapping[str, int] | None) -> Pairs:
    """Yield words and vectors of one tensor whose rows are those of the public word list, in its order."""
    import safetensors  # noqa: PLC0415 - only a run on such vectors needs it
    from safetensors.numpy import load_file  # noqa: PLC0415 - likewise

    from privatekube.data.tables import english  # noqa: PLC0415 - likewise

    try:
        tensors = load_file(path)
    except (safetensors.SafetensorError, TypeError) as error:  # TypeError: numbers that numpy does not have
        raise ValueError(str(error)) from error
    if len(tensors) != 1:
        raise ValueError(f"it has {len(tensors)} tensors, not one")
    (rows,) = tensors.values()
    if rows.ndim != 2 or rows.shape[0] != len(english.words()):
        raise ValueError(f"it has {list(rows.shape)} numbers, not a row for each of {len(english.words())} words")
    _dimension(rows.shape[1])
    return zip(english.words(), _numbers(rows), strict=True)


FORMATS: Mapping[str, Callable[[Path, Mapping[str, int] | None], Pairs]] = {
    ".txt": _text,
    ".vec": _text,
    ".bin": _word2vec,
    ".safetensors": _safetensors,
}
"""By the end of the file's name: text of GloVe and fastText, word2vec's binary form, and safetensors."""


def is_readable_here(path: Path) -> bool:
    """Whether the packages that read a file of this name are installed; the steps that do not train have few."""
    return path.suffix != ".safetensors" or all(map(importlib.util.find_spec, ("safetensors", "wordfreq")))
