"""Create, list and delete private data blocks for a demo: synthetic reviews, or real ones from files."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

import typer

from privatekube import errors
from privatekube.cli import console, output, tables, typer_app
from privatekube.client import connect
from privatekube.privacy.budget import EpsilonDelta
from privatekube.privacy.unit import PrivacyUnit
from privatekube.resources import summary
from privatekube.storage import private_files

app = typer.Typer(
    add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False, help="Private data blocks for a demo."
)
terminal = console.console(stderr=True)
FOLDER = f"{private_files.HOME}/blocks"
NAME = re.compile(r"[a-z0-9]([-a-z0-9]{0,40}[a-z0-9])?")
Namespace = Annotated[str, typer.Option(help="Kubernetes namespace of the blocks.")]


@app.command()
def create(  # noqa: PLR0917 - typer reads the options off the signature
    start_day: Annotated[
        str | None,
        typer.Option(help="First day: YYYY-MM-DD, or counted from 2013-01-01. Files need it; default of synthetic: 0."),
    ] = None,
    end_day: Annotated[str | None, typer.Option(help="Last day, likewise. Reviews outside are left out.")] = None,
    days: Annotated[int | None, typer.Option(help="Number of days, in place of --end-day.")] = None,
    users: Annotated[int, typer.Option(min=1, help="Number of buckets that users are hashed into.")] = 1,
    source: Annotated[
        str,
        typer.Option(
            help="synthetic, or a file, folder, gs:// or s3:// prefix of UCSD reviews or PrivateKube .h5 blocks."
        ),
    ] = "synthetic",
    slice_: Annotated[
        str | None,
        typer.Option("--slice", help="Days in a block: day, week, month or all. Default: day; all for --unit user."),
    ] = None,
    epsilon: Annotated[float, typer.Option(help="Epsilon of each block's lifetime budget.")] = 10.0,
    delta: Annotated[float, typer.Option(help="Delta of each block's lifetime budget.")] = 1e-7,
    accounting: Annotated[
        str, typer.Option(help="How the budget is kept: renyi (many more runs fit) or epsdel.")
    ] = "renyi",
    unit: Annotated[str, typer.Option(help="Privacy unit: event (one review), user-day or user (all days).")] = "event",
    max_contribution: Annotated[
        int | None, typer.Option(help="Reviews of a unit that are kept. Default: 2 for a user-day, 5 for a user.")
    ] = None,
    namespace: Namespace = "privacy-example",
    dataset: Annotated[str, typer.Option(help="Name of the dataset, by which claims select blocks.")] = "amazon",
    seed: Annotated[int, typer.Option(help="Seed of the synthetic reviews.")] = 0,
    data_dir: Annotated[str, typer.Option(help="Where to write the files: a folder, gs:// or s3:// prefix.")] = FOLDER,
    keep_copies: Annotated[
        bool,
        typer.Option(
            "--keep-copies",
            help="Keep exact copies of a review. The promise for one review then covers only one of its copies.",
        ),
    ] = False,
    report: Annotated[
        str | None,
        typer.Option(help="Local file for exact numbers of what was read and left out. Private: for its owner alone."),
    ] = None,
    exist_ok: Annotated[bool, typer.Option("--exist-ok", help="Succeed if all the blocks exist already.")] = False,
) -> None:
    """Cut reviews into blocks, write their files, and register them with their budget.

    The days are public, so they are declared, never read off the data. What is printed depends on no review.
    """
    for option, value in (("dataset", dataset), ("namespace", namespace)):
        if not NAME.fullmatch(value):
            raise errors.invalid(
                option, value, "must be at most 42 lower-case letters, digits and '-'", "choose another name"
            )
    if report is not None and "://" in report:
        raise errors.invalid("report", report, "is not a local file", "name a file on this machine")
    from blocks import demo, sources  # noqa: PLC0415 - not needed for --help
    from privatekube.data import comparison, day_range, declare, partition  # noqa: PLC0415
    from privatekube.storage import uris  # noqa: PLC0415

    first = "0" if source == sources.SYNTHETIC and start_day is None else start_day
    choice = demo.Choice(
        source=source,
        days=day_range.declared(start_day=first, end_day=end_day, days=days),
        seed=seed,
    )
    declaration = declare.Declaration(
        dataset=dataset,
        namespace=namespace,
        kind=partition.kind_of_slice(slice_, PrivacyUnit.parse(unit)),
        n_buckets=users,
        unit=PrivacyUnit.parse(unit),
        max_contribution=declare.contribution_bound(PrivacyUnit.parse(unit), max_contribution),
        initial_budget=declare.initial_budget(epsilon, delta, accounting),
        folder=uris.join(uris.absolute(data_dir), namespace, dataset),
        keep_copies=keep_copies,
    )
    with connect.connect() as client:
        declared = demo.write_blocks(choice, declaration, owner_key=client.owner_key(), console=terminal)
        blocks = [block for slice_of_days in declared for block in slice_of_days.blocks]
        indistinct = client.indistinct_blocks(blocks, [slice_of_days.identity for slice_of_days in declared])
        declared = [comparison.told_apart(item, indistinct.get(item.identity.id, [])) for item in declared]
        if report is not None:
            choice.report.write(Path(report))
        try:
            created = client.create_blocks(blocks, [slice_of_days.identity for slice_of_days in declared])
        except errors.AlreadyExists:
            registered = {block.id for block in client.list_blocks()}
            if not exist_ok or any(block.id not in registered for block in blocks):
                raise
            created = []
    n_existing = len(blocks) - len(created)
    existing = f"; {n_existing} existed already and are unchanged" if n_existing else ""
    kept = "" if isinstance(declaration.initial_budget, EpsilonDelta) else " in Renyi accounting"
    budget = f"{EpsilonDelta(epsilon, delta)}{kept}"
    message = f"created {summary.number_of_blocks(len(created))} of {budget} in {namespace}{existing}"
    terminal.print(message, highlight=False, soft_wrap=True)


@app.command("list")
def list_(
    namespace: Annotated[str | None, typer.Option(help="Only in this namespace.")] = None,
    output_format: Annotated[
        output.Format, typer.Option("--output", "-o", help="Output format.")
    ] = output.Format.TABLE,
) -> None:
    """List the blocks and what is left of their budget."""
    with connect.connect() as client:
        output.show_all(client.list_blocks(namespace), output_format, tables.block_list)


@app.command()
def delete(
    names: Annotated[list[str] | None, typer.Argument(help="Names of blocks.")] = None,
    all_: Annotated[bool, typer.Option("--all", help="All blocks of the namespace.")] = False,
    namespace: Namespace = "privacy-example",
) -> None:
    """Delete blocks. Their files are kept, and so is the record of what was committed on their data."""
    if bool(names) == all_:
        raise errors.InvalidInput("delete: needs either names of blocks or --all; give one of the two")
    with connect.connect() as client:
        deleted = names or [block.meta.name for block in client.list_blocks(namespace)]
        for name in deleted:
            client.get_block(f"{namespace}/{name}")
        for name in deleted:
            client.delete_block(namespace, name)
    whose = "its" if len(deleted) == 1 else "their"
    number = summary.number_of_blocks(len(deleted))
    terminal.print(f"deleted {number}; what was committed on {whose} data stays on record")


if __name__ == "__main__":
    typer_app.run(app, extra="blocks")
