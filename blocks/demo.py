"""Blocks of a source for a demo: PrivateKube's published files copied, or slices cut and written here."""

from __future__ import annotations

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from blocks import sources
from privatekube.data import declare, partition
from privatekube.data.sources import span
from privatekube.resources.block import PrivateDataBlock
from privatekube.storage import uris

PUBLISHED_SUFFIX = ".h5"


def write_blocks(
    source: str,
    declaration: declare.Declaration,
    *,
    start_day: int | None,
    days: int | None,
    seed: int,
    console: Console,
) -> list[PrivateDataBlock]:
    """Return the blocks of a source after writing the files that are missing; nothing is registered.

    Args:
        source: `synthetic`, or a file, folder or prefix of reviews or of published blocks.
        declaration: what the owner states about all blocks.
        start_day: the first day to cut; None for the first of the data.
        days: how many days to cut; None for all of the data.
        seed: of synthetic reviews.
        console: gets the progress and the warnings.

    Raises:
        InvalidInput: the source cannot be read, or has no such days.
        AlreadyExists: a file of a block's name has other data.
    """
    published = [] if source == sources.SYNTHETIC else _published_files(source)
    if published:
        return [declare.published_block(file, declaration) for file in published]
    reviews = sources.open_source(source, seed=seed)
    slices = list(partition.slices(declaration.kind, *span(reviews, start_day, days)))
    blocks: list[PrivateDataBlock] = []
    columns = (TextColumn("writing blocks"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        for days_of_block in progress.track(slices):
            blocks += declare.write_slice(reviews, days_of_block, declaration)
    for file, count in reviews.faults.lines.items():
        console.print(f"warning: {count} lines of {file} are not reviews and were skipped", soft_wrap=True)
    return blocks


def _published_files(source: str) -> list[str]:
    return [file for file in uris.list_files(source) if file.endswith(PUBLISHED_SUFFIX)]
