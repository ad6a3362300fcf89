"""`privatekube`: what a person asks of the control plane."""

from __future__ import annotations

import enum
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from privatekube import __version__, config, errors
from privatekube.cli import output as listing
from privatekube.cli import typer_app
from privatekube.client import connect, run_demand
from privatekube.client.client import BudgetClient
from privatekube.forecast import forecast
from privatekube.resources.block import PrivateDataBlock
from privatekube.resources.claim import PrivacyBudgetClaim
from privatekube.scheduling import ordering, unlocking
from privatekube.scheduling.policy import ORDER, TIMEOUT, UNLOCK
from privatekube.simulation import replay
from privatekube.simulation import scenario as scenarios

app = typer.Typer(
    add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False, help="Privacy budget as a resource."
)


class Kind(enum.StrEnum):
    """What to get or describe."""

    BLOCKS = "blocks"
    BLOCK = "block"
    CLAIMS = "claims"
    CLAIM = "claim"


UNLOCK_HELP = "all, n=<N> or t=<period>,<duration>, such as t=10s,30s."
ORDER_HELP = f"{', '.join(ordering.ORDERINGS)}; see docs/scheduling.md."

Named = Annotated[str, typer.Argument(metavar="NAME", help="`name`, or `namespace/name`.")]
Namespace = Annotated[str | None, typer.Option("--namespace", "-n", help="Only in this namespace.")]
Output = Annotated[listing.Format, typer.Option("--output", "-o", help="How to print it.")]


def _print_version(asked: bool) -> None:
    if asked:
        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def _options(
    store: Annotated[str | None, typer.Option(help="Store, instead of PRIVATEKUBE_STORE.")] = None,
    _version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    if store is not None:
        os.environ[connect.STORE] = store


@app.command()
def get(
    kind: Kind,
    name: Annotated[str | None, typer.Argument(help="`name`, or `namespace/name`.")] = None,
    namespace: Namespace = None,
    output: Output = listing.Format.TABLE,
) -> None:
    """List blocks or claims, or get one of them."""
    with connect.connect() as connected:
        if name is not None:
            listing.show(_find(connected, kind, name, namespace), output)
            return
        if kind in (Kind.BLOCKS, Kind.BLOCK):
            listing.show_all(connected.list_blocks(namespace), output, listing.blocks_table)
        else:
            listing.show_all(connected.list_claims(namespace), output, listing.claims_table)


@app.command()
def describe(kind: Kind, name: Named, namespace: Namespace = None, output: Output = listing.Format.TABLE) -> None:
    """Show one block or claim in full."""
    with connect.connect() as connected:
        listing.show(_find(connected, kind, name, namespace), output)


@app.command()
def plan(
    claim: Annotated[
        Path | None, typer.Argument(help="Manifest of a claim (YAML or JSON), instead of the arguments of a run.")
    ] = None,
    arguments: Annotated[Path, typer.Option(help="YAML file of run arguments.")] = Path("arguments.yaml"),
    set_: Annotated[list[str] | None, typer.Option("--set", help="key=value, overrides one argument.")] = None,
    output: Output = listing.Format.TABLE,
) -> None:
    """Say whether a run would get its budget now; if not: what is missing, when, what fits. Charges nothing."""
    with connect.connect() as connected:
        if claim is not None:
            namespace, request = run_demand.read_claim(claim)
        else:
            run = config.load_arguments(arguments, set_ or [])
            namespace, request = run.namespace, run_demand.request_of_run(connected, run)
        listing.show_prospect(forecast.foresee(connected, namespace, request), request, output)


@app.command()
def explain(claim: Named, namespace: Namespace = None, output: Output = listing.Format.TABLE) -> None:
    """Say what a claim waits for, or why it was refused: what is missing, when it would come, what would fit."""
    with connect.connect() as connected:
        found = connected.get_claim(_find(connected, Kind.CLAIM, claim, namespace).id)
        prospect = forecast.explain(connected, found)
        listing.show_explanation(found, prospect, output)


@app.command()
def settle(claim: Named, namespace: Namespace = None) -> None:
    """Settle a claim that its run left behind: return the budget if the data was never opened, otherwise consume it."""
    with connect.connect() as connected:
        found = _find(connected, Kind.CLAIM, claim, namespace)
        typer.echo(f"{found.id}: {connected.settle(found.id)}")


@app.command()
def ledger(
    block: Annotated[str | None, typer.Option(help="Only of this block: `namespace/name`, or `name`.")] = None,
    claim: Annotated[str | None, typer.Option(help="Only of this claim: `namespace/name`, or `name`.")] = None,
    verify: Annotated[
        bool, typer.Option("--verify", help="Check that no entry was changed, and that all add up to the blocks.")
    ] = False,
    output: Output = listing.Format.TABLE,
) -> None:
    """Show what was committed for good: who, for what, how much, when."""
    with connect.connect() as connected:
        if verify:
            audit = connected.verify_ledger()
            typer.echo(f"{audit.entries} entries on the data of {audit.data} blocks are whole and add up")
            typer.echo(f"latest digest {audit.digest}: note it elsewhere, to know this ledger again")
            return
        entries = connected.ledger()
        where = [each for each in entries if block in (None, each.block, each.block.partition("/")[2])]
        listing.show_ledger([e for e in where if claim in (None, e.claim, e.claim.partition("/")[2])], output)


@app.command()
def policy(
    unlock: Annotated[str | None, typer.Option(help=UNLOCK_HELP)] = None,
    order: Annotated[str | None, typer.Option(help=ORDER_HELP)] = None,
    default_timeout: Annotated[
        int | None, typer.Option(min=1, help="Seconds that a claim waits which does not say.")
    ] = None,
) -> None:
    """Show how this store shares budget, or change it for what is still locked: choose before creating blocks."""
    changes = {UNLOCK: unlock, ORDER: order}
    if default_timeout is not None:
        changes[TIMEOUT] = str(default_timeout * 1000)
    with connect.connect() as connected:
        connected.set_policy(**{name: value for name, value in changes.items() if value is not None})
        for name, value in connected.policy_settings().items():
            typer.echo(f"{name}: {value}")


@app.command()
def simulate(
    scenario: Annotated[Path, typer.Argument(help="Scenario file: JSON, gzipped or not; see docs/scheduling.md.")],
    unlock: Annotated[str, typer.Option(help=UNLOCK_HELP)] = "all",
    order: Annotated[str, typer.Option(help=ORDER_HELP)] = "dpf",
    output: Output = listing.Format.TABLE,
) -> None:
    """Replay a scenario under a policy: who would be granted what, and when. Nothing is charged."""
    unlocks, orders = unlocking.parse(unlock), ordering.parse(order)
    read = scenarios.read(scenario)
    played = replay.replay(read, unlocking=unlocks, ordering=orders)
    listing.show_replay(read, played, {"unlock": unlock, "order": order}, output)


def _find(
    connected: BudgetClient, kind: Kind, name: str, namespace: str | None
) -> PrivateDataBlock | PrivacyBudgetClaim:
    """The object of that name; a bare name that is unique across namespaces will do."""
    found: Sequence[PrivateDataBlock | PrivacyBudgetClaim]
    found = connected.list_blocks() if kind in (Kind.BLOCKS, Kind.BLOCK) else connected.list_claims()
    wanted = f"{namespace}/{name}" if namespace and "/" not in name else name
    matches = [each for each in found if wanted in (each.id, each.meta.name)]
    what = kind.rstrip("s")
    if not matches:
        raise errors.NotFound(f"{what} {wanted}: there is none; see privatekube get {what}s")
    if len(matches) > 1:
        where = ", ".join(each.meta.namespace for each in matches)
        raise errors.InvalidInput(f"{what} {wanted}: is in several namespaces ({where}); name one with -n")
    return matches[0]


def main() -> None:
    """Run the command line."""
    typer_app.run(app)
