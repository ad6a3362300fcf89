"""Read files part by part, and spill the records of each part, sorted by block."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Generator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pydantic

from privatekube.data.cutting import spill
from privatekube.data.cutting.job import Job, tools_of
from privatekube.data.cutting.limits import MIB
from privatekube.data.cutting.scratch import Scratch
from privatekube.data.cutting.workers import Workers
from privatekube.data.read_report import ReadReport
from privatekube.data.tables import files
from privatekube.data.tables.reading import TELLING_ROWS, Found
from privatekube.data.tables.rows import Encoded, Rows
from privatekube.storage import uris

_SMALL_BYTES = 32 * MIB
"""Less is read in this process: to start others would take longer."""

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
        share: how much of its file is read with it.
        found: what was found.
        n_files: how many files have its records.
    """

    part: str
    share: float
    found: Found
    n_files: int

    @property
    def names(self) -> list[str]:
        """The names of the files that have its records, in their order."""
        return [f"{self.part}.{number}.arrow" for number in range(self.n_files)]


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
    reader, whole = tools_of(job).reader, Found()
    paths: list[Path] = []
    warnings: list[str] = []
    for file, location in enumerate(job.locations):
        found = Found(counts=report.of(location))
        with (
            uris.local_copy(location) as path,
            contextlib.closing(_spilled(job, workers, scratch, file, path)) as parts,
        ):
            for part in parts:
                found.add(part.found)
                paths += [scratch.folder / name for name in part.names]
                show((file + part.share) / len(job.locations))
            reader.require_fields(path, location, found)
        if found.n_rows >= TELLING_ROWS:
            reader.require_fitting(found, location)
        if found.has_trailing_garbage:
            warnings.append(f"{location}: ignored what follows the compressed data")
        whole.add(Found(fitting=found.fitting))
        show((file + 1) / len(job.locations))
    reader.require_fitting(whole, ", ".join(job.locations))
    return paths, warnings


def _spilled(job: Job[Any], workers: Workers[Job[Any]], scratch: Scratch, file: int, path: Path) -> Generator[Spilled]:
    """Yield what becomes of each part of a file, in order; what the manifest has is not read again."""
    wanted = tools_of(job).reader.wanted(job.locations[file])
    pieces = files.pieces(path, wanted, most_bytes=job.limits.piece_bytes)
    remaining = (
        Part(f"part-{file}-{number}", file, piece, scratch.folder)
        for number, piece in enumerate(pieces)
        if f"part-{file}-{number}" not in scratch.done
    )
    least = 1 + min(_SMALL_BYTES, job.limits.memory_bytes // 4) // job.limits.piece_bytes
    done = [_JSON.validate_python(value) for name, value in scratch.done.items() if name.startswith(f"part-{file}-")]
    yield from done
    for spilled in workers.map(read_part, remaining, least=least):
        scratch.note(spilled.part, _JSON.dump_python(spilled, mode="json"))
        yield spilled


def read_part(job: Job[Any], part: Part) -> Spilled:
    """Read a part of a file, and spill its records."""
    found, together, n_files = Found(), list[Encoded](), 0

    def spill_together() -> int:
        rows = Encoded.concatenate(together)
        together.clear()
        path = part.folder / f"{part.name}.{n_files}.arrow"
        spill.write(path, rows, job.block_of(rows.user, rows.time))
        return n_files + 1

    for rows in tools_of(job).reader.rows(part.piece, job.locations[part.file], found):
        together.append(encoded(job, rows, part.file))
        if sum(one.nbytes for one in together) >= job.limits.spill_bytes:
            n_files = spill_together()
    if together:
        n_files = spill_together()
    return Spilled(part.name, part.piece.share, found, n_files)


def encoded(job: Job[Any], rows: Rows, file: int) -> Encoded:
    """Return records with their texts as tokens."""
    n_rows = len(rows)
    hashes = np.zeros((n_rows, 2), np.uint64) if job.declaration.keep_copies else rows.hashes()
    texts = {name: tokeniser.tokens(rows.texts[name]) for name, tokeniser in tools_of(job).tokenisers.items()}
    return Encoded(rows.user, rows.time, np.full(n_rows, file, np.int32), rows.values, rows.record, texts, hashes)
