"""Blocks of a source for a demo: copies of PrivateKube's published files, or slices cut and written here."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from rich.console import Console

from blocks import record, sources
from privatekube import errors
from privatekube.cli import block_options
from privatekube.cli import console as consoles
from privatekube.data import declare, partition, published_format
from privatekube.data.columns import Reviews
from privatekube.data.cutting import cut, engines
from privatekube.data.cutting.engines import Engine
from privatekube.data.cutting.job import Job
from privatekube.data.cutting.limits import Limits
from privatekube.data.partition import Slice
from privatekube.data.read_report import ReadReport
from privatekube.data.sources import OfReviews
from privatekube.data.tables import files
from privatekube.storage import uris

PUBLISHED_SUFFIX = ".h5"


@dataclass(frozen=True, kw_only=True)
class Choice:
    """Which reviews become blocks.

    Args:
        source: `synthetic`, or a file, folder or prefix of reviews or of published blocks.
        days: the declared range.
        seed: of synthetic reviews.
        limits: how much memory and how many processes cutting files may use.
        engine: what cuts files.
        report: gets the exact numbers of what was read, for the data owner alone.
    """

    source: str
    days: Slice
    seed: int = 0
    limits: Limits = field(default_factory=Limits)
    engine: Engine = cut.opened
    report: ReadReport = field(default_factory=ReadReport)


@contextlib.contextmanager
def written_blocks(
    choice: Choice, declaration: declare.Declaration, *, owner_key: bytes, console: Console
) -> Iterator[list[declare.DeclaredSlice]]:
    """Write the files of the blocks of a source that are missing, and yield the blocks to be registered.

    Args:
        choice: which reviews.
        declaration: what the owner states about all blocks.
        owner_key: of the data owner, to identify the data.
        console: gets the progress and the warnings; nothing that depends on a review.

    Raises:
        InvalidInput: the source cannot be read, or not by the engine, or the range has too many blocks.
        AlreadyExists: a file of a block's name has other data.
    """
    slices = partition.slices(
        declaration.kind, choice.days, n_buckets=declaration.n_buckets, wording=declaration.wording
    )
    with consoles.progress_on(console) as progress:
        if choice.source == sources.SYNTHETIC:
            _require_local(choice)
            synthetic = OfReviews(sources.Synthetic(choice.seed))
            yield [
                declare.write_slice(synthetic, days, declaration, owner_key=owner_key)
                for days in progress.track(slices, description=cut.WRITING)
            ]
        elif published := _published_files(choice.source, choice.days):
            _require_local(choice)
            yield [
                declare.published_block(file, declaration, owner_key=owner_key, counts=choice.report.of(file))
                for file in progress.track(published, description="copying blocks")
            ]
        else:
            job = job_of(choice, slices, declaration, owner_key=owner_key)
            with choice.engine(job, choice.report, show=block_options.show_on(progress)) as done:
                for warning in done.warnings:
                    progress.console.print(f"warning: {warning}", soft_wrap=True, markup=False)
                yield done.slices


def job_of(
    choice: Choice, slices: Sequence[Slice], declaration: declare.Declaration, *, owner_key: bytes
) -> Job[Reviews]:
    """Return what is to be cut of the review files of a folder or prefix, or of one file.

    Raises:
        NotFound: no such file or folder.
        InvalidInput: no review file, or two of one name.
    """
    schema = record.read_schema(choice.days)
    locations = tuple(files.list_tables([choice.source], schema.format))
    kind = sources.kind_of(locations, schema)
    return Job(locations, schema, kind, tuple(slices), declaration, owner_key, choice.limits)


def _require_local(choice: Choice) -> None:
    if choice.engine is not cut.opened:
        bound = "cuts files of reviews alone; synthetic reviews are made here, and published blocks are copied here"
        raise errors.invalid("engine", engines.SPARK, bound, "leave it out, or name other files as --source")


def _published_files(source: str, days: Slice) -> list[str]:
    """Return the published files of the declared days; their names, which are public, say which those are."""
    files = [file for file in uris.list_files(source) if file.endswith(PUBLISHED_SUFFIX)]
    chosen: list[str] = []
    for file in files:
        day = published_format.declared_day(file)
        if day is None:
            raise errors.invalid("file", file, "is not named {day}-{bucket}.h5", "declare its day by such a name")
        if days.start_day <= day <= days.end_day:
            chosen.append(file)
    if files and not chosen:
        raise errors.invalid("source", source, "has no file of the declared days", "declare the days of its files")
    return chosen
