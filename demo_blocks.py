"""Create, list and delete private data blocks for a demo: synthetic reviews, or real ones from files."""

from __future__ import annotations

from typing import Annotated

from privatekube import entrypoint

with entrypoint.imports_of("blocks"):
    import typer

    from privatekube.cli import block_options, console, typer_app
    from privatekube.cli import blocks as blocks_commands
    from privatekube.client import connect
    from privatekube.privacy.budget import EpsilonDelta
    from privatekube.privacy.unit import PrivacyUnit

app = typer.Typer(
    add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False, help="Private data blocks for a demo."
)
terminal = console.console(stderr=True)


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
    epsilon: block_options.Epsilon = 10.0,
    delta: block_options.Delta = 1e-7,
    accounting: block_options.Accounting = "renyi",
    unit: Annotated[str, typer.Option(help="Privacy unit: event (one review), user-day or user (all days).")] = "event",
    max_contribution: Annotated[
        int | None, typer.Option(help="Reviews of a unit that are kept. Default: 2 for a user-day, 5 for a user.")
    ] = None,
    namespace: block_options.Namespace = block_options.NAMESPACE,
    dataset: Annotated[str, typer.Option(help="Name of the dataset, by which claims select blocks.")] = "amazon",
    seed: Annotated[int, typer.Option(help="Seed of the synthetic reviews.")] = 0,
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
    """Cut reviews into blocks, write their files, and register them with their budget.

    The days are public, so they are declared, never read off the data. What is printed depends on no review.
    """
    for option, value in (("dataset", dataset), ("namespace", namespace)):
        block_options.require_name(option, value)
    place = block_options.data_dir_of(data_dir, local_files=local_files)
    report_file = block_options.report_file(report)
    from blocks import demo, record, sources  # noqa: PLC0415 - not needed for --help
    from privatekube.data import day_range, declare, partition, wording  # noqa: PLC0415
    from privatekube.data.cutting import engines  # noqa: PLC0415
    from privatekube.storage import uris  # noqa: PLC0415

    first = "0" if source == sources.SYNTHETIC and start_day is None else start_day
    choice = demo.Choice(
        source=source,
        days=day_range.declared(start_day=first, end_day=end_day, days=days),
        seed=seed,
        limits=engines.limits_of(engine, memory=memory, workers=workers),
        engine=engines.engine_of(engine, master=master),
    )
    declaration = declare.Declaration(
        dataset=dataset,
        namespace=namespace,
        kind=partition.kind_of_slice(slice_, PrivacyUnit.parse(unit)),
        n_buckets=users,
        unit=PrivacyUnit.parse(unit),
        max_contribution=partition.contribution_bound(PrivacyUnit.parse(unit), max_contribution, wording.OPTIONS),
        initial_budget=declare.initial_budget(epsilon, delta, accounting),
        folder=uris.join(uris.absolute(place), namespace, dataset),
        keep_copies=keep_copies,
        record_name=record.read_schema(choice.days).record_name,
        wording=wording.OPTIONS,
    )
    with (
        connect.connect() as client,
        demo.written_blocks(choice, declaration, owner_key=client.owner_key(), console=terminal) as declared,
    ):
        if report_file is not None:
            choice.report.write(report_file)
        whole = EpsilonDelta(epsilon, delta)
        message = block_options.register(client, declared, declaration, whole=whole, exist_ok=exist_ok)
    terminal.print(message, highlight=False, soft_wrap=True)


app.command("list")(blocks_commands.list_)
app.command()(blocks_commands.delete)

if __name__ == "__main__":
    typer_app.run(app, extra="blocks")
