"""List the files of a table, cut them into parts, and read the columns of a part: CSV, JSON lines, Parquet, Arrow."""

from __future__ import annotations

import contextlib
import csv
import functools
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import pyarrow as pa

from privatekube import errors
from privatekube.data.tables import arrow_files, csv_files, json_lines
from privatekube.data.tables.batch import Batch, Wanted
from privatekube.storage import local_files, uris


def list_tables(sources: Sequence[str], form: str | None = None) -> list[str]:
    """Return the files of a table, each once: those that are named, and those of folders and prefixes by their ending.

    Args:
        sources: files, folders and prefixes.
        form: how the files are written; None for what their endings say.

    Raises:
        NotFound: no such file or folder.
        InvalidInput: a folder without such files.
    """
    files: list[str] = []
    endings = _endings(form)
    for source in sources:
        listed = uris.list_files(source)
        found = listed if listed == [uris.absolute(source)] else [file for file in listed if file.endswith(endings)]
        if not found:
            raise errors.invalid("source", source, f"has no file that ends in one of {', '.join(endings)}", "name one")
        files += found
    return list(dict.fromkeys(files))


def names_of(locations: Sequence[str], form: str | None = None) -> dict[str, str]:
    """Return the name of each file without folder and ending, by location.

    Raises:
        InvalidInput: two files have one name, or a name is not printable text.
    """
    named = {location: _name(location, form) for location in locations}
    for name in named.values():
        if list(named.values()).count(name) > 1:
            raise errors.invalid("source", name, "is the name of two files", "keep one of them")
        if not name or not name.isprintable():
            raise errors.invalid("source", name, "is not printable text", "rename the file")
    return named


def format_of(wanted: Wanted) -> Format:
    """Return how a file is written: as it is stated, or as its ending says.

    Raises:
        InvalidInput: an unknown ending.
    """
    form = wanted.format or next(
        (form for form, known in FORMATS.items() if wanted.location.endswith(known.endings)), None
    )
    if form is None:
        bound = f"does not end in one of {', '.join(_endings(None))}"
        raise errors.invalid("source", wanted.location, bound, "name such a file, or state the format")
    return FORMATS[form]


def pieces(path: Path, wanted: Wanted, *, most_bytes: int) -> Iterator[Piece]:
    """Cut a file of this machine into parts of about so many bytes, each of which is read by itself.

    Raises:
        InvalidInput: an unknown ending, or a column that is absent or there twice.
        CorruptData: the file is damaged, or not what its ending says.
    """
    form = format_of(wanted)
    with _corrupt_when_unreadable(wanted.location):
        yield from form.pieces(path, wanted, most_bytes)


def batches(piece: Piece, wanted: Wanted) -> Iterator[Batch]:
    """Read columns of a part of a file.

    Raises:
        CorruptData: the file is damaged, or not what its ending says.
    """
    with _corrupt_when_unreadable(wanted.location):
        yield from format_of(wanted).batches(piece, wanted)


class Piece(Protocol):
    """A part of a file that is read by itself."""

    @property
    def share(self) -> float:
        """How much of the file is read after it, up to 1."""


@dataclass(frozen=True)
class Format:
    """How files are written.

    Args:
        pieces: cuts a file into parts.
        batches: reads a part.
        endings: of files of this format.
        further: endings of files that may be of this format, if it is stated.
        has_header: whether `pieces` checks that a file has the columns; if not, its batches tell which it has.
        is_mapped: whether the file must be there to read a part of it; a part of a text file has its bytes.
    """

    pieces: Callable[[Path, Wanted, int], Iterator[Piece]]
    batches: Callable[[Any, Wanted], Iterator[Batch]]
    endings: tuple[str, ...]
    further: tuple[str, ...] = ()
    has_header: bool = True
    is_mapped: bool = False


def _separated(delimiter: str, *endings: str) -> Format:
    cut = functools.partial(csv_files.pieces, delimiter=delimiter)
    return Format(cut, functools.partial(csv_files.batches, delimiter=delimiter), endings)


_JSON = (".json", ".json.gz", ".gz")
FORMATS = {
    "csv": _separated(",", ".csv", ".csv.gz"),
    "tsv": _separated("\t", ".tsv", ".tsv.gz"),
    "jsonl": Format(json_lines.pieces, json_lines.batches, (".jsonl", ".jsonl.gz"), _JSON, has_header=False),
    "parquet": Format(arrow_files.parquet_pieces, arrow_files.parquet, (".parquet",), is_mapped=True),
    "arrow": Format(arrow_files.arrow_pieces, arrow_files.arrow, (".arrow", ".feather"), is_mapped=True),
}
"""`.arrow` is a file or a stream of Arrow's IPC format, `.feather` its version 2."""


def _endings(form: str | None) -> tuple[str, ...]:
    if form is not None:
        return FORMATS[form].endings + FORMATS[form].further
    return tuple(ending for known in FORMATS.values() for ending in known.endings)


def _name(location: str, form: str | None) -> str:
    name = location.rsplit("/", 1)[-1]
    ending = max((ending for ending in _endings(form) if name.endswith(ending)), key=len, default="")
    return name.removesuffix(ending)


@contextlib.contextmanager
def _corrupt_when_unreadable(name: str) -> Iterator[None]:
    """Translate the errors of the readers, without their text: it quotes the data."""
    try:
        yield
    except (pa.ArrowException, EOFError, zlib.error, csv.Error, ValueError, OSError) as error:
        if isinstance(error, OSError) and error.errno is not None:  # of the system; Arrow's own have no number
            raise local_files.translation(error, name) from error
        raise errors.CorruptData(f"source: {name} is damaged, or not what its ending says; check it") from None
