"""Cut the files of a table into blocks: read, write, declare; see the package."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from privatekube.data.cutting import read_parts, scratch, write_blocks
from privatekube.data.cutting.job import Job
from privatekube.data.cutting.workers import Workers
from privatekube.data.declare import DeclaredSlice
from privatekube.data.read_report import ReadReport

READING, WRITING = "reading files", "writing blocks"

Show = Callable[[str, float], None]
"""Is told which stage is at work, and how much of it is done, from 0 to 1."""


@dataclass(frozen=True)
class Cut:
    """Blocks whose files are written, and that nobody knows of yet.

    Args:
        slices: their declarations.
        warnings: what was found of files as a whole.
    """

    slices: list[DeclaredSlice]
    warnings: list[str]


@contextlib.contextmanager
def opened(
    job: Job[Any],
    report: ReadReport,
    *,
    show: Show = lambda *_: None,
    home: Path = scratch.HOME,
) -> Iterator[Cut]:
    """Cut files, and yield the blocks to be registered; a run that is killed before they are is continued by the next.

    Args:
        job: what is cut.
        report: gets the exact numbers of what was read and left out.
        show: is told of progress.
        home: where the scratch folders of all jobs are.

    Raises:
        InvalidInput, CorruptData, AlreadyExists: see `read_parts.read_all` and `write_blocks.write_all`.
        WorkerLost: the system ended a process.
    """
    with scratch.opened(job.name, home) as folder, Workers(job, job.n_workers) as workers:
        paths, warnings = read_parts.read_all(job, workers, folder, report, show=lambda share: show(READING, share))
        slices = write_blocks.write_all(job, paths, workers, folder, report, show=lambda share: show(WRITING, share))
        yield Cut(slices, warnings)
