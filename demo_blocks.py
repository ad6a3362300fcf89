"""Create, list and delete private data blocks for a demo: synthetic reviews, or real ones from files."""

from __future__ import annotations

import re
from typing import Annotated

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from blocks import sources
from privatekube import errors
from privatekube.cli import console, typer_app
from privatekube.cli import output as listing
from privatekube.client import connect
from privatekube.data import declare, partition
from privatekube.data.sources import span
from privatekube.resources.block import PrivateDataBlock
from privatekube.storage import uris

app = typer.Typer(
    add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False, help="Private data blocks for a demo."
)
say = console.console(stderr=True)
FOLDER = ".privatekube/blocks"
NAME = re.compile(r"[a-z0-9]([-a-z0-9]{0,40}[a-z0-9])?")
Namespace = Annotated[str, typer.Option(help="Kubernetes namespace of the blocks.")]


@app.command()
def create(  # noqa: PLR0917 - typer reads the options off the signature
    days: Annotated[int | None, typer.Option(help="Days to cut. Default for files: all of the data.")] = None,
    start_day: Annotated[
        int | None, typer.Option(help="First day, from 2013-01-01. Default: 0, or the data's.")
    ] = None,
    users: Annotated[int, typer.Option(min=1, help="Buckets that users are spread over by keyed hash.")] = 1,
    source: Annotated[
        str, typer.Option(help="synthetic, or UCSD review files or PrivateKube's .h5 blocks: a file, folder, gs://.")
    ] = sources.SYNTHETIC,
    slice_: Annotated[str, typer.Option("--slice", help="Days in a block: day, week or month.")] = "day",
    epsilon: Annotated[float, typer.Option(help="Budget of each block, for its whole life.")] = 10.0,
    delta: Annotated[float, typer.Option(help="Likewise.")] = 1e-7,
    accounting: Annotated[str, typer.Option(help="epsdel or renyi.")] = "epsdel",
    unit: Annotated[str, typer.Option(help="What is protected: event (one review) or user-day.")] = "event",
    max_contribution: Annotated[int | None, typer.Option(help="Reviews of a user-day that count. Default: 2.")] = None,
    namespace: Namespace = "privacy-example",
    dataset: Annotated[str, typer.Option(help="Name of the dataset, which claims select.")] = "amazon",
    seed: Annotated[int, typer.Option(help="Of the synthetic reviews.")] = 0,
    data_dir: Annotated[str, typer.Option(help="Where the files go: a folder or gs:// prefix.")] = FOLDER,
    exist_ok: Annotated[bool, typer.Option("--exist-ok", help="Blocks that are all there already are fine.")] = False,
) -> None:
    """Cut reviews into blocks, write their files, and register them with their budget."""
    for what, name in (("dataset", dataset), ("namespace", namespace)):
        if not NAME.fullmatch(name):
            raise errors.invalid(what, name, "must be lower-case letters, digits and '-'", "rename it")
    owner = declare.Declaration(
        dataset=dataset,
        namespace=namespace,
        kind=slice_,
        n_buckets=users,
        unit=unit,
        max_contribution=declare.require_bound(unit, max_contribution),
        initial_budget=declare.initial_budget(epsilon, delta, accounting),
        folder=uris.join(uris.absolute(data_dir), namespace, dataset),
    )
    with connect.connect() as plane:
        declared = _published(source, owner) or _written(source, owner, start_day, days, seed)
        try:
            created = plane.create_blocks(declared)
        except errors.AlreadyExists:
            if not exist_ok or any(each.id not in {b.id for b in plane.list_blocks()} for each in declared):
                raise
            created = []
    there = len(declared) - len(created)
    also = f"; {there} were there already, unchanged" if there else ""
    say.print(
        f"created {len(created)} blocks of {owner.initial_budget} in {namespace}{also}", highlight=False, soft_wrap=True
    )


@app.command("list")
def list_(
    namespace: Annotated[str | None, typer.Option(help="Only in this namespace.")] = None,
    output: Annotated[listing.Format, typer.Option("--output", "-o", help="How to print.")] = listing.Format.TABLE,
) -> None:
    """List the blocks and what is left of their budget."""
    with connect.connect() as plane:
        listing.show_all(plane.list_blocks(namespace), output, listing.blocks_table)


@app.command()
def delete(
    names: Annotated[list[str] | None, typer.Argument(help="Names of blocks.")] = None,
    all_: Annotated[bool, typer.Option("--all", help="All blocks of the namespace.")] = False,
    namespace: Namespace = "privacy-example",
) -> None:
    """Delete blocks. Their files stay, and so does the record of what was committed on their data."""
    if bool(names) == all_:
        raise errors.InvalidInput("delete: needs names of blocks, or --all; give one of both")
    with connect.connect() as plane:
        wanted = names or [block.meta.name for block in plane.list_blocks(namespace)]
        for name in wanted:
            plane.get_block(f"{namespace}/{name}")
        for name in wanted:
            plane.delete_block(namespace, name)
    say.print(f"deleted {len(wanted)} blocks; what was committed on their data stays on record")


def _published(source: str, owner: declare.Declaration) -> list[PrivateDataBlock]:
    """PrivateKube's published blocks, declared where they are; none where the source holds no .h5 file."""
    if source == sources.SYNTHETIC:
        return []
    files = [file for file in uris.list_files(source) if file.endswith(".h5")]
    return [declare.published_block(file, owner) for file in files]


def _written(
    source: str, owner: declare.Declaration, start_day: int | None, days: int | None, seed: int
) -> list[PrivateDataBlock]:
    opened = sources.open_source(source, seed=seed)
    cut = list(partition.slices(owner.kind, *span(opened, start_day, days)))
    declared: list[PrivateDataBlock] = []
    columns = (TextColumn("writing blocks"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, console=say, disable=not say.is_terminal) as progress:
        for each in progress.track(cut):
            declared += declare.write_slice(opened, each, owner)
    for file, count in opened.faults.lines.items():
        say.print(f"warning: {count} lines of {file} are no reviews and were left out", soft_wrap=True)
    return declared


if __name__ == "__main__":
    typer_app.run(app)
