"""Blocks of a source for a demo: copies of PrivateKube's published files, or slices cut and written here."""

from __future__ import annotations

from dataclasses import dataclass, field

from rich.console import Console
from rich.progress import Progress

from blocks import sources
from privatekube import errors
from privatekube.cli import console as consoles
from privatekube.data import declare, partition, published_format
from privatekube.data.partition import Slice
from privatekube.data.read_report import ReadReport
from privatekube.data.sources import OfReviews, ReviewSource
from privatekube.storage import uris

PUBLISHED_SUFFIX = ".h5"


@dataclass(frozen=True, kw_only=True)
class Choice:
    """Which reviews become blocks.

    Args:
        source: `synthetic`, or a file, folder or prefix of reviews or of published blocks.
        days: the declared range.
        seed: of synthetic reviews.
        report: gets the exact numbers of what was read, for the data owner alone.
    """

    source: str
    days: Slice
    seed: int = 0
    report: ReadReport = field(default_factory=ReadReport)


def write_blocks(
    choice: Choice, declaration: declare.Declaration, *, owner_key: bytes, console: Console
) -> list[declare.DeclaredSlice]:
    """Return the blocks of a source, slice by slice, after writing the files that are missing; nothing is registered.

    Args:
        choice: which reviews.
        declaration: what the owner states about all blocks.
        owner_key: of the data owner, to identify the data.
        console: gets the progress and the warnings; nothing that depends on a review.

    Raises:
        InvalidInput: the source cannot be read, or the range has too many blocks.
        AlreadyExists: a file of a block's name has other data.
    """
    slices = partition.slices(
        declaration.kind, choice.days, n_buckets=declaration.n_buckets, wording=declaration.wording
    )
    with consoles.progress_on(console) as progress:
        published = [] if choice.source == sources.SYNTHETIC else _published_files(choice.source, choice.days)
        if published:
            return [
                declare.published_block(
                    file,
                    declaration,
                    owner_key=owner_key,
                    counts=choice.report.of(file),
                )
                for file in progress.track(published, description="copying blocks")
            ]
        source = OfReviews(_open(choice, progress, keep_copies=declaration.keep_copies))
        return [
            declare.write_slice(source, days, declaration, owner_key=owner_key)
            for days in progress.track(slices, description="writing blocks")
        ]


def _open(choice: Choice, progress: Progress, *, keep_copies: bool) -> ReviewSource:
    if choice.source == sources.SYNTHETIC:
        return sources.Synthetic(choice.seed)

    task = progress.add_task("reading files", total=1.0)
    opened = sources.Files(
        choice.source,
        choice.days,
        keep_copies=keep_copies,
        report=choice.report,
        show_progress=lambda share: progress.update(task, completed=share),
    )
    for warning in opened.warnings:
        progress.console.print(f"warning: {warning}", soft_wrap=True, markup=False)
    return opened


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
