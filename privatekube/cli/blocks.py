"""The commands `privatekube blocks`: create blocks of a table of your own, list and delete blocks."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from privatekube import errors
from privatekube.cli import block_options, console, listing
from privatekube.cli.block_options import NAMESPACE
from privatekube.client import connect
from privatekube.privacy.budget import EpsilonDelta
from privatekube.resources import summary

app = typer.Typer(
    add_completion=False, no_args_is_help=True, help="Create blocks of a table of your own; list and delete blocks."
)


@app.command()
def create(  # noqa: PLR0917 - typer reads the options off the signature
    source: Annotated[
        list[str],
        typer.Option(help="File (CSV, TSV, JSON lines, Parquet, Arrow), folder, gs:// or s3:// prefix. Repeatable."),
    ],
    schema: Annotated[Path, typer.Option(help="YAML file that declares columns, days, unit and bounds.")],
    epsilon: block_options.Epsilon = 10.0,
    delta: block_options.Delta = 1e-7,
    accounting: block_options.Accounting = "renyi",
    namespace: block_options.Namespace = NAMESPACE,
    data_dir: block_options.DataDir = None,
    keep_copies: block_options.KeepCopies = False,
    report: block_options.Report = None,
    local_files: block_options.LocalFiles = False,
    memory: block_options.Memory = "1GiB",
    workers: block_options.Workers = None,
    engine: block_options.Engine = "local",
    master: block_options.Master = None,
    exist_ok: block_options.ExistOk = False,
) -> None:
    """Cut a table into blocks as its schema declares, write their files, and register them with their budget.

    Days, slices, user buckets, the privacy unit and its contribution bound are keys of the schema, like the columns:
    docs/data.md lists them all. The blocks are registered where PRIVATEKUBE_STORE or client_secrets.yaml says.

    What is printed depends on no record. Records that do not fit the schema are left out; --report counts them.
    """
    report_file = block_options.report_file(report)
    from privatekube.data import declare  # noqa: PLC0415 - `privatekube --help` needs no extra
    from privatekube.data.cutting import engines  # noqa: PLC0415
    from privatekube.data.cutting.job import Job  # noqa: PLC0415
    from privatekube.data.read_report import ReadReport  # noqa: PLC0415
    from privatekube.data.tables import files  # noqa: PLC0415
    from privatekube.data.tables import schema as schemas  # noqa: PLC0415
    from privatekube.data.tables import source as sources  # noqa: PLC0415
    from privatekube.storage import uris  # noqa: PLC0415

    block_options.require_name("namespace", namespace)
    place = block_options.data_dir_of(data_dir, local_files=local_files)
    limits = engines.limits_of(engine, memory=memory, workers=workers)
    opened = engines.engine_of(engine, master=master)
    declared = schemas.read(schema)
    declaration = declare.Declaration(
        dataset=declared.dataset,
        namespace=namespace,
        kind=declared.kind_of_slice,
        n_buckets=declared.users,
        unit=declared.unit,
        max_contribution=declared.contribution_bound,
        initial_budget=declare.initial_budget(epsilon, delta, accounting),
        folder=uris.join(uris.absolute(place), namespace, declared.dataset),
        keep_copies=keep_copies,
        record_name=declared.record_name,
    )
    terminal = console.console(stderr=True)
    locations = tuple(files.list_tables(source, declared.format))
    kind, slices = sources.kind_of(locations, declared), tuple(declared.slices)
    with connect.connect() as client, console.progress_on(terminal) as progress:
        job = Job(locations, declared, kind, slices, declaration, client.owner_key(), limits)
        read = ReadReport()
        with opened(job, read, show=block_options.show_on(progress)) as done:
            for warning in done.warnings:
                terminal.print(f"warning: {warning}", soft_wrap=True, markup=False)
            if report_file is not None:
                read.write(report_file)
            whole = EpsilonDelta(epsilon, delta)
            message = block_options.register(client, done.slices, declaration, whole=whole, exist_ok=exist_ok)
    terminal.print(message, highlight=False, soft_wrap=True)
    if report_file is None:
        terminal.print(
            "records without a user, or that do not fit the schema, are left out; --report counts them",
            highlight=False,
            soft_wrap=True,
        )


@app.command("list")
def list_(
    namespace: Annotated[str | None, typer.Option(help="Only in this namespace.")] = None,
    output_format: Annotated[
        listing.Format, typer.Option("--output", "-o", help="Output format.")
    ] = listing.Format.TABLE,
) -> None:
    """List the blocks and what is left of their budget."""
    with connect.connect() as client:
        listing.show_list(listing.blocks(client), output_format, namespace=namespace)


@app.command()
def delete(
    names: Annotated[list[str] | None, typer.Argument(help="Names of blocks.")] = None,
    all_: Annotated[bool, typer.Option("--all", help="All blocks of the namespace.")] = False,
    namespace: block_options.Namespace = NAMESPACE,
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
    console.console(stderr=True).print(f"deleted {number}; what was committed on {whose} data stays on record")
