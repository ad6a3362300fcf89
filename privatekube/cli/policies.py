"""The commands `privatekube policy` and `simulate`: how the scheduler decides, and how another policy would."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from privatekube.cli import output
from privatekube.client import connect

UNLOCK_HELP = "How budget unlocks: all, n=<N> or t=<period>,<duration>, such as t=10s,30s."
ORDER_HELP = "Which request is granted first: dpf, dpack, fcfs or rr; see docs/scheduling.md."


def policy(  # noqa: PLR0917 - typer reads the options off the signature
    unlock: Annotated[str | None, typer.Option(help=UNLOCK_HELP)] = None,
    order: Annotated[str | None, typer.Option(help=ORDER_HELP)] = None,
    default_timeout: Annotated[
        int | None, typer.Option(min=1, help="Seconds that a request waits which sets no timeout.")
    ] = None,
    longest_timeout: Annotated[
        str | None, typer.Option(help="How long a request waits at most, such as 1d, whatever timeout it sets.")
    ] = None,
    settle_within: Annotated[
        str | None, typer.Option(help="How long a claim holds budget at most, such as 7d; then it is settled.")
    ] = None,
    waiting_per_namespace: Annotated[
        int | None, typer.Option(min=1, help="How many requests of a namespace wait at most; a further one is refused.")
    ] = None,
    waiting_per_block: Annotated[
        int | None, typer.Option(min=1, help="How many requests wait for one block at most; a further one is refused.")
    ] = None,
    alarm_at: Annotated[
        str | None,
        typer.Option(help="How much of a block is committed when it counts as nearly exhausted, such as 80%,95%."),
    ] = None,
) -> None:
    """Show the scheduling policy of the store, or change it for budget that is still locked."""
    from privatekube.scheduling import durations  # noqa: PLC0415 - see the docstring of cli.app
    from privatekube.scheduling import policy as names  # noqa: PLC0415

    settings = {
        names.UNLOCK: unlock,
        names.ORDER: order,
        names.TIMEOUT: None if default_timeout is None else default_timeout * 1000,
        names.LONGEST_TIMEOUT: None
        if longest_timeout is None
        else durations.parse("--longest-timeout", longest_timeout),
        names.SETTLE_WITHIN: None if settle_within is None else durations.parse("--settle-within", settle_within),
        names.WAITING_PER_NAMESPACE: waiting_per_namespace,
        names.WAITING_PER_BLOCK: waiting_per_block,
        names.ALARMS: alarm_at,
    }
    with connect.connect() as client:
        client.set_policy(**{name: str(value) for name, value in settings.items() if value is not None})
        for name, value in client.policy_settings().items():
            typer.echo(f"{name}: {value}")


def simulate(
    file: Annotated[
        Path, typer.Argument(metavar="SCENARIO", help="Scenario file: JSON, may be gzipped; see docs/scheduling.md.")
    ],
    unlock: Annotated[str, typer.Option(help=UNLOCK_HELP)] = "all",
    order: Annotated[str, typer.Option(help=ORDER_HELP)] = "dpf",
    output_format: Annotated[
        output.Format, typer.Option("--output", "-o", help="Output format.")
    ] = output.Format.TABLE,
) -> None:
    """Replay a scenario under a policy: which claims would be granted, and when. Nothing is charged."""
    from privatekube.scheduling.policy import ORDER, UNLOCK, Policy  # noqa: PLC0415 - see the docstring of cli.app
    from privatekube.simulation import replay, scenario  # noqa: PLC0415

    content = scenario.read(file)
    result = replay.replay(content, Policy.parse({UNLOCK: unlock, ORDER: order}))
    output.show_replay(content, result, {"unlock": unlock, "order": order}, output_format)
