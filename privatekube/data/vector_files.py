"""Files with vectors of words, in the forms that they are published in."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt

Pairs = Iterator[tuple[str, npt.NDArray[np.float32]]]
"""Words, each with its vector."""


def _text(path: Path, wanted: Mapping[str, int] | None) -> Pairs:
    """Yield words and vectors of a text file of GloVe, or of fastText, which begins with their number and size."""
    with path.open(encoding="utf-8", errors="replace") as file:
        size = 0
        for number, line in enumerate(file):
            word, *numbers = line.rstrip().split(" ")
            if number == 0 and len(numbers) == 1:
                continue
            size = size or len(numbers)
            if wanted is not None and word not in wanted:
                continue
            if len(numbers) != size:
                raise ValueError(f"line {number + 1} has {len(numbers)} numbers, not {size}")
            yield word, np.array(numbers, np.float32)


def _word2vec(path: Path, _: Mapping[str, int] | None) -> Pairs:
    """Yield words and vectors of a binary file of word2vec: a line with their number and size, then each in turn."""
    with path.open("rb") as file:
        count, size = map(int, file.readline().split())
        for _number in range(count):
            word = _until_space(file.read)
            numbers = file.read(4 * size)
            if len(numbers) != 4 * size:
                raise ValueError("it ends within a vector")
            yield word.decode("utf-8", "replace").strip(), np.frombuffer(numbers, "<f4")


def _until_space(read: Callable[[int], bytes]) -> bytes:
    parts = []
    while (character := read(1)) not in {b" ", b""}:
        parts.append(character)
    return b"".join(parts)


def _safetensors(path: Path, _: Mapping[str, int] | None) -> Pairs:
    """Yield words and vectors of one tensor whose rows are those of the public word list, in its order."""
    import safetensors  # noqa: PLC0415 - only a run on such vectors needs it
    from safetensors.numpy import load_file  # noqa: PLC0415 - likewise

    from privatekube.data.tables import english  # noqa: PLC0415 - likewise

    try:
        (rows,) = load_file(path).values()
    except safetensors.SafetensorError as error:
        raise ValueError(str(error)) from error
    if rows.ndim != 2 or rows.shape[0] != len(english.words()):
        raise ValueError(f"it has {list(rows.shape)} numbers, not a row for each of {len(english.words())} words")
    return zip(english.words(), rows.astype(np.float32), strict=True)


FORMATS: Mapping[str, Callable[[Path, Mapping[str, int] | None], Pairs]] = {
    ".txt": _text,
    ".vec": _text,
    ".bin": _word2vec,
    ".safetensors": _safetensors,
}
"""By the end of the file's name: text of GloVe and fastText, word2vec's binary form, and safetensors."""
