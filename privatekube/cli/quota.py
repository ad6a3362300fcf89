"""The commands `privatekube quota`: how much of each block a team or a namespace may commit."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.table import Column, Table

from privatekube.cli import block_options, console, output
from privatekube.client import connect
from privatekube.resources.meta import ObjectMeta
from privatekube.resources.quota import DEFAULT_DELTA, Beyond, Period, PrivacyBudgetQuota, QuotaSpec
from privatekube.resources.wire import quotas

app = typer.Typer(no_args_is_help=True, help="Limit how much of each block a team or a namespace may commit.")

Name = Annotated[str, typer.Argument(metavar="NAME", help="Name of the quota.")]
Namespace = Annotated[str, typer.Option("--namespace", "-n", help="Namespace of the claims that it limits.")]


@app.command("set")
def set_quota(  # noqa: PLR0917 - typer reads the options off the signature
    name: Name,
    dataset: Annotated[str, typer.Option(help="Dataset of the blocks.")],
    namespace: Namespace = "privacy-example",
    team: Annotated[str | None, typer.Option(help="Whose claims. Default: all of the namespace, together.")] = None,
    share: Annotated[float | None, typer.Option(help="Largest part of each block's budget, from 0 to 1.")] = None,
    epsilon: Annotated[float | None, typer.Option(help="Largest epsilon on each block, in place of --share.")] = None,
    delta: Annotated[float, typer.Option(help="Delta at which --epsilon is meant on Renyi blocks.")] = DEFAULT_DELTA,
    period: Annotated[Period, typer.Option(help="For the lifetime of a block, or for each month.")] = Period.LIFETIME,
    weight: Annotated[
        float | None, typer.Option(help="Weight of the team under dpf and dpack, 0.001 to 1000. Default: 1.")
    ] = None,
    beyond: Annotated[
        Beyond, typer.Option(help="A claim beyond it waits until less counts, or for an approval by somebody else.")
    ] = Beyond.WAIT,
) -> None:
    """Set a quota, or replace it: it holds from the next decision on, and counts what was committed before."""
    block_options.require_name("namespace", namespace)
    spec = QuotaSpec(
        dataset, team=team, share=share, epsilon=epsilon, delta=delta, period=period, beyond=beyond, weight=weight
    )
    quota = PrivacyBudgetQuota(ObjectMeta(name, namespace), spec)
    with connect.connect() as client:
        client.set_quota(quota)
        datasets = {block.spec.dataset for block in client.list_blocks(namespace)}
    typer.echo(str(quota))
    if dataset not in datasets:
        typer.echo(f"warning: no block in {namespace} is of dataset {dataset} now; check its name", err=True)


@app.command("list")
def list_quotas(
    output_format: Annotated[
        output.Format, typer.Option("--output", "-o", help="Output format.")
    ] = output.Format.TABLE,
) -> None:
    """List the quotas."""
    with connect.connect() as client:
        listed = client.list_quotas()
    if output_format is not output.Format.TABLE:
        items = [quotas.to_wire(quota) for quota in listed]
        output.write({"apiVersion": "v1", "kind": "List", "items": items}, output_format)
        return
    table = Table(
        Column("quota", overflow="fold"),
        "dataset",
        "team",
        "most of each block",
        "period",
        "beyond",
        "weight",
        box=None,
    )
    for quota in listed:
        spec = quota.spec
        most = f"{spec.share:.6g}" if spec.share is not None else f"epsilon {spec.epsilon}"
        facts = (quota.id, spec.dataset or "all", spec.team or "all", quota.fault or most, str(spec.period))
        table.add_row(*facts, str(spec.beyond), f"{spec.weight or 1:g}")
    console.console().print(table)


@app.command()
def delete(name: Name, namespace: Namespace = "privacy-example") -> None:
    """Remove a quota."""
    with connect.connect() as client:
        client.delete_quota(f"{namespace}/{name}")
    typer.echo(f"quota {namespace}/{name}: removed")
