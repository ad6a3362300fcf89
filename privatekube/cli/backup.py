"""The commands `privatekube backup` and `privatekube restore`: save what a store holds, and merge it into a store."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from privatekube.client import connect
from privatekube.resources import meta, summary

File = Annotated[Path, typer.Argument(metavar="FILE", help="The file of the backup.")]


def backup(file: File) -> None:
    """Save blocks, claims, ledger, quotas, approvals and policy of the store in a new file; keys are not in it."""
    from privatekube.backup import backup_file, contents  # noqa: PLC0415 - see the docstring of cli.app

    with connect.connect_to_read() as client:
        client.verify_ledger()
        with client.store.transaction():  # of a file, all from one state
            saved = contents.read(client.store, now_ms=client.clock.now_ms())
    digest = backup_file.write(file, saved)
    for kind in saved.not_installed:
        typer.echo(f"note: {kind}: the cluster has no definition of it, so there is none to save", err=True)
    typer.echo(f"{file}: {saved}\n{digest}\nkeys are not in it: docs/control-plane.md says where they are")


def restore(file: File) -> None:
    """Merge a backup into the store: what either has as spent stays spent, and nothing is taken from the store."""
    from privatekube.backup import backup_file, restoring  # noqa: PLC0415 - see the docstring of cli.app

    saved = backup_file.read(file)
    with connect.connect() as client:
        changes = restoring.restore(client.store, saved, now_ms=client.clock.now_ms())
        if client.is_embedded and changes.settings:
            client.set_policy(**changes.settings)
    charged = {*(block.id for block in changes.charged), *(record.block_id for record in changes.retired)}
    parts = (
        f"{summary.number_of_blocks(len(changes.blocks))} restored",
        f"{len(charged)} charged more",
        f"{summary.number_of(len(changes.claims), 'claim')} restored and closed",
        f"{summary.number_of(len(changes.settled), 'claim')} brought up to date",
        f"{summary.number_of(len(changes.entries), 'ledger entry', 'ledger entries')} added",
    )
    typer.echo(f"{connect.store_name()}: {', '.join(parts)}")
    typer.echo(
        f"what was spent after {meta.format_time(saved.created_ms)} is not in the backup, and counts only where the "
        "store has it"
    )
