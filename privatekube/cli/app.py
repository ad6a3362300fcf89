"""The command `privatekube`: list, explain and settle what the control plane holds.

`--help` and `--version` need no extra: each command imports what it needs when it runs.
"""

from __future__ import annotations

import enum
import os
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from privatekube import __version__, config, errors, plain_text
from privatekube.cli import (
    backup,
    blocks,
    completion,
    component_files,
    ledger_export,
    listing,
    new_project,
    output,
    page,
    pipeline_lint,
    policies,
    quota,
    run_commands,
    run_outs,
    typer_app,
)
from privatekube.cli.list_columns import T
from privatekube.client import connect
from privatekube.resources import ledger as chain
from privatekube.resources import ledger_totals, summary
from privatekube.resources.block import PrivateDataBlock
from privatekube.resources.claim import PrivacyBudgetClaim
from privatekube.resources.list_rows import BlockRow, ClaimRow

if TYPE_CHECKING:  # they import the accounting, which `privatekube --help` does without
    from privatekube.client.client import BudgetClient
    from privatekube.kubeflow.stuck_pods import StuckPod
    from privatekube.runs.demand import RunDemand
    from privatekube.runs.run_arguments import RunArguments

R = TypeVar("R", PrivateDataBlock, PrivacyBudgetClaim)
app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Privacy budget as a resource.",
)
app.add_typer(blocks.app, name="blocks")
app.add_typer(quota.app, name="quota")


class Kind(enum.StrEnum):
    """A kind of object to get or describe."""

    BLOCKS = "blocks"
    BLOCK = "block"
    CLAIMS = "claims"
    CLAIM = "claim"
    PB = "pb"
    PBC = "pbc"

    @property
    def singular(self) -> str:
        """The kind of one object; `pb` and `pbc` are kubectl's short names."""
        return {Kind.PB: "block", Kind.PBC: "claim"}.get(self, self.removesuffix("s"))


Name = Annotated[str, typer.Argument(metavar="NAME", help="`name`, or `namespace/name`.")]
Namespace = Annotated[str | None, typer.Option("--namespace", "-n", help="Only in this namespace.")]
Output = Annotated[output.Format, typer.Option("--output", "-o", help="Output format.")]


def _print_version(is_given: bool) -> None:
    if is_given:
        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def _options(
    store: Annotated[str | None, typer.Option(help="URI of the store. Default: $PRIVATEKUBE_STORE.")] = None,
    _version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    if store is not None:
        connect.require_store(store, source="--store")
        os.environ[connect.STORE] = store


@app.command()
def get(  # noqa: PLR0917 - typer reads the options off the signature
    kind: Kind,
    name: Annotated[str | None, typer.Argument(help="`name`, or `namespace/name`.")] = None,
    namespace: Namespace = None,
    output_format: Annotated[listing.Format, typer.Option("--output", "-o", help="Output format.")] = (
        listing.Format.TABLE
    ),
    all_namespaces: Annotated[
        bool, typer.Option("--all-namespaces", "-A", help="In all namespaces, as without --namespace.")
    ] = False,
    sort_by: Annotated[str | None, typer.Option(metavar="COLUMN", help="A column of -o wide.")] = None,
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Go on and show what changes, until Ctrl-C.")] = False,
) -> None:
    """List blocks or claims, or show one of them. On a terminal a table has the columns that fit; -o wide has all."""
    if all_namespaces and namespace is not None:
        raise errors.invalid("--namespace", namespace, "contradicts --all-namespaces", "leave out one of them")
    if watch and (name is not None or output_format is not listing.Format.TABLE or sort_by is not None):
        raise errors.InvalidInput("--watch: shows a list as a table; leave out NAME, --output and --sort-by")
    with connect.connect() as client:
        if kind.singular == Kind.BLOCK:
            _show_list(listing.blocks(client), kind, name, namespace, output_format, sort_by, watch)
        else:
            _show_list(listing.claims(client), kind, name, namespace, output_format, sort_by, watch)


def _show_list(  # noqa: PLR0917 - those of get
    listed: listing.Listed[R, T],
    kind: Kind,
    name: str | None,
    namespace: str | None,
    output_format: listing.Format,
    sort_by: str | None,
    watch: bool,
) -> None:
    """Show one object of a kind in full, or a list."""
    if name is not None:
        found = listed.get(_find((row.id for row in listed.rows(None)), kind, name, namespace))
        if output_format in set(output.Format):
            output.show(found, output.Format(output_format))
        else:
            listing.show([listed.row_of(found)], listed.columns, output_format)
        return
    if watch:
        listing.watch(lambda: listed.rows(namespace), listed.columns)
    kinds = f"{kind.singular}s"
    none = errors.NotFound(f"namespace {namespace}: has no {kinds}; see privatekube get {kinds} -A")
    listing.show_list(listed, output_format, namespace=namespace, sort_by=sort_by, none=none if namespace else None)


@app.command()
def describe(kind: Kind, name: Name, namespace: Namespace = None, output_format: Output = output.Format.TABLE) -> None:
    """Show one block or claim in full."""
    get(kind, name, namespace, listing.Format(output_format))


@app.command()
def plan(
    file: Annotated[
        Path | None,
        typer.Argument(
            help="A plan of any mechanisms, for the arguments of a run; or the manifest of a claim, in place of them."
        ),
    ] = None,
    arguments: Annotated[Path, typer.Option(help="YAML file with the arguments of a run.")] = Path("arguments.yaml"),
    set_: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Override one argument of the run.")
    ] = None,
    output_format: Output = output.Format.TABLE,
) -> int:
    """Show whether a run would be granted its budget now, at what price and noise, and how many such runs fit.

    Nothing is charged. A run's step allocate makes the same plan. Exit status: 0 granted or waiting, 2 bad input, 3 it
    would be refused.
    """
    from privatekube.forecast import forecast  # noqa: PLC0415 - see the module's docstring
    from privatekube.runs import run_arguments  # noqa: PLC0415

    sys.path.append(str(Path.cwd()))  # where the check that the arguments name may be, as for the steps of a run
    document = {} if file is None else config.read_mapping(file)
    with connect.connect() as client:
        if file is not None and "kind" in document:
            from privatekube.client import claim_file  # noqa: PLC0415

            claim, request = claim_file.read_claim(file)
            namespace, deadline_ms = claim.meta.namespace, claim.spec.deadline_ms
            prediction = forecast.forecast_request(client, namespace, request, claim.requester, deadline_ms=deadline_ms)
            output.show_forecast(prediction, output_format)
        else:
            named = [] if file is None else [f"plan={file}"]
            run = run_arguments.load(arguments, [*(set_ or []), *named])
            demand = _demand(client, run, file)
            prediction = forecast.forecast_request(
                client, run.namespace, demand.request, run.requester, deadline_ms=run.deadline_ms
            )
            blocks = [client.get_block(block_id) for block_id in prediction.blocks]
            output.show_plan(demand, run.settings, prediction, blocks, output_format)
    return 0 if prediction.refusal is None else errors.BudgetUnavailable.exit_status


def _demand(client: BudgetClient, run: RunArguments, file: Path | None) -> RunDemand:
    """Return what a run requests: by the plan in a file, or by its arguments."""
    from privatekube.client import plan_file, run_demand  # noqa: PLC0415 - the accounting takes a second to import
    from privatekube.training import machine  # noqa: PLC0415

    if file is not None:
        return run_demand.of_plan(client, run, plan_file.read(file, run.named))
    memory_bytes = machine.available_memory() if client.is_embedded else None
    return run_demand.of_run(client, run, memory_bytes=memory_bytes)


@app.command()
def explain(claim: Name, namespace: Namespace = None, output_format: Output = output.Format.TABLE) -> None:
    """Show why a claim waits or was refused: what is missing, when it would be unlocked, and what would fit.

    In a cluster also which pods of its run do not start, and why.
    """
    from privatekube.forecast import forecast  # noqa: PLC0415 - see the module's docstring

    with connect.connect() as client:
        resource = client.get_claim(_claim_id(client, claim, namespace))
        explained = forecast.explain_claim(client, resource)
        pods = [] if client.is_embedded else _stuck_pods(resource)
        output.show_explanation(resource, explained, pods, output_format)


def _stuck_pods(claim: PrivacyBudgetClaim) -> list[StuckPod]:
    """Return the pods of a claim's run that do not start; say so if this user may not look."""
    from privatekube.kubeflow import stuck_pods  # noqa: PLC0415 - see the module's docstring
    from privatekube.store.kubernetes.inspection import Inspection  # noqa: PLC0415

    inspection = Inspection.of(connect.cluster_context())
    try:
        return list(stuck_pods.of_claim(inspection, claim))
    except errors.PrivateKubeError as error:
        typer.echo(f"note: which pods of its run do not start is not known: {error}", err=True)
        return []
    finally:
        inspection.close()


@app.command()
def settle(claim: Name, namespace: Namespace = None) -> None:
    """Settle a claim that its run left behind: release its budget if its data was never opened, else consume it."""
    with connect.connect() as client:
        claim_id = _claim_id(client, claim, namespace)
        typer.echo(f"{claim_id}: {client.settle(claim_id)}")


Reason = Annotated[str | None, typer.Option(help="Why, in one line; it is kept with the decision.")]


@app.command()
def approve(claim: Name, namespace: Namespace = None, reason: Reason = None) -> None:
    """Approve a claim that waits for it, as somebody else than who requests it: it may then be granted."""
    with connect.connect() as client:
        claim_id = _claim_id(client, claim, namespace)
        _tell_decision(client.approve(claim_id, reason=reason), "approved")


@app.command()
def reject(claim: Name, namespace: Namespace = None, reason: Reason = None) -> None:
    """Reject a claim that waits for an approval, as somebody else than who requests it: it fails."""
    with connect.connect() as client:
        claim_id = _claim_id(client, claim, namespace)
        _tell_decision(client.reject(claim_id, reason=reason), "rejected")


def _tell_decision(claim: PrivacyBudgetClaim, decision: str) -> None:
    """Say what was decided about which demand of whom, and what became of it."""
    who = claim.requester
    whose = f"{who.user or plain_text.NOT_STATED}, team {who.team or plain_text.NOT_STATED}"
    state = summary.state(claim)
    is_seen = state is not summary.ClaimState.AWAITS_APPROVAL
    result = f"it is {state} now" if is_seen else "the controller takes it over within seconds"
    typer.echo(f"claim {claim.id}: {decision}, {summary.demand(claim)} on each block, requested by {whose}; {result}")


@app.command()
def ledger(
    block: Annotated[str | None, typer.Option(help="Only of this block: `namespace/name`, or `name`.")] = None,
    claim: Annotated[str | None, typer.Option(help="Only of this claim: `namespace/name`, or `name`.")] = None,
    verify: Annotated[
        bool, typer.Option("--verify", help="Check that no entry was changed, and that entries and blocks add up.")
    ] = False,
    by: Annotated[
        ledger_totals.Group | None, typer.Option(help="Add up what each team, user, purpose or month has committed.")
    ] = None,
    output_format: Annotated[
        ledger_export.Format, typer.Option("--output", "-o", help="Output format.")
    ] = ledger_export.Format.TABLE,
) -> None:
    """Show what was committed: by whom, for what, by which claim, on which block, how much, and when; and decisions."""
    if verify and (block or claim or by):
        raise errors.InvalidInput("--verify: checks the whole ledger; leave out --block, --claim and --by")
    with connect.connect() as client:
        if verify:
            audit = client.verify_ledger()
            number = summary.number_of(audit.entries, "entry", "entries")
            verb = "is unchanged and adds up" if audit.entries == 1 else "are unchanged and add up"
            typer.echo(f"{number} on the data of {summary.number_of_blocks(audit.data)} {verb}")
            if not audit.is_compared:
                typer.echo("blocks were not compared by their data: only a data owner may read what tells it apart")
            typer.echo(f"latest digest {audit.digest}: keep it elsewhere, to recognize this ledger later")
            return
        entries = client.ledger()
        _require_known(
            Kind.BLOCK, block, [entry.block for entry in chain.amounts(entries)], client.store.list_block_rows
        )
        _require_known(Kind.CLAIM, claim, [entry.claim for entry in entries], client.store.list_claim_rows)
        of_claim = [entry for entry in entries if _is_named(entry.claim, claim)]
        selected = [entry for entry in of_claim if _is_named(chain.block_of(entry) or "", block)]
        if by is None:
            ledger_export.show_entries(selected, output_format)
        else:
            ledger_export.show_totals(ledger_totals.totals(chain.amounts(selected), by), by, output_format)


@app.command()
def verify_card(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The published privacy-card.json.")],
    released: Annotated[
        Path | None, typer.Option(help="A published file, if it is elsewhere. Default: all files beside FILE.")
    ] = None,
    page: Annotated[Path | None, typer.Option(help="The published page. Default: privacy-card.md beside FILE.")] = None,
    public_key: Annotated[
        Path | None, typer.Option(help="File with the public key of the store. Default: that of the store.")
    ] = None,
) -> None:
    """Check a privacy card: its signature, its page, the files' digests and, where a store is reachable, the ledger."""
    from privatekube.cli import verify_card as verification  # noqa: PLC0415 - see the module's docstring

    page = page or file.with_name("privacy-card.md")
    checks = list(verification.verify(file, page=page, released=released, public_key=public_key))
    for check in checks:
        typer.echo(f"{check.name}: {check.result}")
    if not all(check.is_passed for check in checks):
        raise typer.Exit(1)


app.command()(pipeline_lint.lint)
app.command()(new_project.init)
app.command()(page.serve)
app.command()(page.serve_cluster)
app.command()(run_outs.forecast)
app.command()(run_commands.runs)
app.command()(run_commands.publish)
app.command()(run_commands.discard)
app.command()(policies.policy)
app.command()(policies.simulate)
app.command()(backup.backup)
app.command()(backup.restore)
app.command()(completion.completion)
app.add_typer(component_files.app, name="component")


def _claim_id(client: BudgetClient, name: str, namespace: str | None) -> str:
    """Return the id of the claim of a name."""
    return _find((row.id for row in client.store.list_claim_rows()), Kind.CLAIM, name, namespace)


def _find(ids: Iterable[str], kind: Kind, name: str, namespace: str | None) -> str:
    """Return the id of the object of a name; a name without its namespace must be unique across namespaces."""
    full_name = f"{namespace}/{name}" if namespace and "/" not in name else name
    matches = [resource_id for resource_id in ids if _is_named(resource_id, full_name)]
    if not matches:
        raise errors.NotFound(f"{kind.singular} {full_name}: does not exist; see privatekube get {kind.singular}s")
    if len(matches) > 1:
        namespaces = ", ".join(resource_id.partition("/")[0] for resource_id in matches)
        raise errors.InvalidInput(
            f"{kind.singular} {full_name}: exists in several namespaces ({namespaces}); choose one with -n"
        )
    return matches[0]


def _require_known(
    kind: Kind, name: str | None, entered: Iterable[str], existing: Callable[[], Sequence[BlockRow | ClaimRow]]
) -> None:
    """Check that an object of a name exists, or that the ledger has entries of it: it may be deleted since."""
    if name is None or any(_is_named(resource_id, name) for resource_id in entered):
        return
    if not any(_is_named(row.id, name) for row in existing()):
        raise errors.NotFound(
            f"{kind} {name}: neither exists nor is in the ledger; see privatekube get {kind}s, privatekube ledger"
        )


def _is_named(resource_id: str, name: str | None) -> bool:
    """Whether an object has this name, with or without its namespace; None stands for any name."""
    return name is None or resource_id == name or resource_id.endswith(f"/{name}")


def main() -> None:
    """Run the command line."""
    completion.answer_shell(typer.main.get_command(app))
    typer_app.run(app)
