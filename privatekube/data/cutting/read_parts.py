"""Read files part by part, and spill the records of each part, sorted by block."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pydantic

from privatekube.data.cutting import spill
from privatekube.data.cutting.job import Job, tools_of
from privatekube.data.cutting.scratch import Scratch
from privatekube.data.cutting.workers import Workers
from privatekube.data.read_report import ReadReport
from privatekube.data.tables import files
from privatekube.data.tables.reading import TELLING_ROWS, Found
from privatekube.data.tables.rows import Encoded, Rows
from privatekube.storage import uris

_PREFIX = "part-"
"""How the names of parts begin in the manifest."""

ShowShare = Callable[[float], None]
"""Is told how much of the work is done, from 0 to 1."""


@dataclass(frozen=True)
class Part:
    """A part of a file.

    Args:
        name: in the manifest.
        file: the number of its file.
        piece: what to read.
        folder: where its records go.
    """

    name: str
    file: int
    piece: files.Piece
    folder: Path


@dataclass(frozen=True)
class Spilled:
    """What became of a part.

    Args:
        part: its name.
        file: the number of its file.
        share: how much of its file is read with it.
        found: what was found.
        n_files: how many files have its records.
    """

    part: str
    file: int
    share: float
    found: Found
    n_files: int

    @property
    def names(self) -> list[str]:
        """The names of the files that have its records, in their order."""
        return [_file_name(self.part, number) for number in range(self.n_files)]


_JSON = pydantic.TypeAdapter(Spilled)


def read_all(
    job: Job[Any], workers: Workers[Job[Any]], scratch: Scratch, report: ReadReport, *, show: ShowShare
) -> tuple[list[Path], list[str]]:
    """Read all files, or what an earlier run left of them; return where their records are, and what to warn of.

    Raises:
        InvalidInput: a file lacks a column of the schema, or has one of a type that does not fit.
        CorruptData: a file is damaged, or not one value of a column fits the schema: of the table, or of a file of at
            least 100 records.
    """
    paths: list[Path] = []
    with _Files(job, report) as opened, contextlib.closing(_spilled(job, workers, scratch, opened)) as parts:
        for part in parts:
            opened.finish_until(part.file)
            opened.found[part.file].add(part.found)
            paths += [scratch.folder / name for name in part.names]
            show((part.file + part.share) / len(job.locations))
        opened.finish_until(len(job.locations))
        tools_of(job).reader.require_fitting(opened.whole, ", ".join(job.locations))
        return paths, opened.warnings


class _Files(contextlib.ExitStack):
    """The files of a job, of which several can be open: the last parts of one are read beside the first of the next.

    Args:
        job: names them.
        report: gets the numbers of what is found of each.
    """

    def __init__(self, job: Job[Any], report: ReadReport) -> None:
        super().__init__()
        self.found = [Found(counts=report.of(location)) for location in job.locations]
        self.whole, self.warnings = Found(), list[str]()
        self._job, self._n_finished = job, 0
        self._copies: dict[int, tuple[Path, contextlib.ExitStack]] = {}

    def path(self, file: int) -> Path:
        """Return a file of this machine, which stays until it is finished."""
        if file not in self._copies:
            stack = self.enter_context(contextlib.ExitStack())
            self._copies[file] = (stack.enter_context(uris.local_copy(self._job.locations[file])), stack)
        return self._copies[file][0]

    def finish_until(self, file: int) -> None:
        """Check and close the files before one, all of whose parts are read."""
        for number in range(self._n_finished, file):
            location, found = self._job.locations[number], self.found[number]
            tools_of(self._job).reader.require_fields(self.path(number), location, found)
            self.warnings += require_readable(self._job, location, found)
            self.whole.add(Found(fitting=found.fitting))
            self._copies[number][1].close()
        self._n_finished = max(self._n_finished, file)


def require_readable(job: Job[Any], location: str, found: Found) -> list[str]:
    """Refuse a file of which not one value of a column fits the schema; return what to warn of.

    Raises:
        CorruptData: it has at least 100 records, and not one value of a column fits.
    """
    if found.n_rows >= TELLING_ROWS:
        tools_of(job).reader.require_fitting(found, location)
    return [f"{location}: ignored what follows the compressed data"] if found.has_trailing_garbage else []


def _spilled(job: Job[Any], workers: Workers[Job[Any]], scratch: Scratch, opened: _Files) -> Generator[Spilled]:
    """Yield what becomes of each part of the files, in order; what the manifest has is not read again."""
    yield from [_JSON.validate_python(value) for name, value in scratch.done.items() if name.startswith(_PREFIX)]
    for spilled in workers.map(read_part, _remaining(job, scratch, opened)):
        scratch.note(spilled.part, _JSON.dump_python(spilled, mode="json"))
        yield spilled


def _remaining(job: Job[Any], scratch: Scratch, opened: _Files) -> Iterator[Part]:
    for file, location in enumerate(job.locations):
        wanted = tools_of(job).reader.wanted(location)
        for number, piece in enumerate(files.pieces(opened.path(file), wanted, most_bytes=job.limits.piece_bytes)):
            name = f"{_PREFIX}{file}-{number}"
            if name not in scratch.done:
                yield Part(name, file, piece, scratch.folder)


def read_part(job: Job[Any], part: Part) -> Spilled:
    """Read a part of a file, and spill its records."""
    found, together, n_files = Found(), list[Encoded](), 0
    for rows in tools_of(job).reader.rows(part.piece, job.locations[part.file], found):
        together.append(encoded(job, rows, part.file))
        if sum(one.nbytes for one in together) >= job.limits.spill_bytes:
            _spill(job, part, n_files, together)
            n_files += 1
    if together:
        _spill(job, part, n_files, together)
        n_files += 1
    return Spilled(part.name, part.file, part.piece.share, found, n_files)


def _spill(job: Job[Any], part: Part, number: int, together: list[Encoded]) -> None:
    """Spill records to a file of a part, and empty the list, so that they are in memory once."""
    rows = Encoded.concatenate(together)
    together.clear()
    spill.write(part.folder / _file_name(part.name, number), rows, job.block_of(rows.user, rows.time))


def _file_name(part: str, number: int) -> str:
    return f"{part}.{number}.arrow"


def encoded(job: Job[Any], rows: Rows, file: int) -> Encoded:
    """Return records with their texts as tokens."""
    n_rows = len(rows)
    hashes = np.zeros((n_rows, 2), np.uint64) if job.declaration.keep_copies else rows.hashes()
    texts = {name: tokeniser.tokens(rows.texts[name]) for name, tokeniser in tools_of(job).tokenisers.items()}
    return Encoded(rows.user, rows.time, np.full(n_rows, file, np.int32), rows.values, rows.record, texts, hashes)
