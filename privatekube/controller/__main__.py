"""The controller of a cluster: `python -m privatekube.controller`."""

from __future__ import annotations

import logging
import os
import signal
import socket
from typing import Annotated

import typer

from privatekube import entrypoint
from privatekube.cli import typer_app
from privatekube.controller import http_endpoints, json_log, options, receivers
from privatekube.controller.controller import Controller, Settings
from privatekube.resources import thresholds
from privatekube.resources.thresholds import Thresholds
from privatekube.scheduling import durations, ordering, policy
from privatekube.store.kubernetes import login
from privatekube.store.kubernetes.core_objects import CoreObjects
from privatekube.store.kubernetes.custom_objects import Cluster
from privatekube.store.kubernetes.server_clock import ServerClock
from privatekube.store.kubernetes.store import SYSTEM_NAMESPACE

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def main(  # noqa: PLR0917 - typer reads the options off the signature
    unlock: Annotated[
        str,
        typer.Option(envvar="PRIVATEKUBE_UNLOCK", help="all, n=<N> or t=<period>,<duration>, such as t=10s,30s."),
    ] = "n=10",
    order: Annotated[
        str,
        typer.Option(envvar="PRIVATEKUBE_ORDER", help=f"{', '.join(ordering.ORDERINGS)}; see docs/scheduling.md."),
    ] = "dpf",
    default_timeout: Annotated[
        int, typer.Option(min=1, help="How long a claim waits that sets no timeout, in seconds.")
    ] = 300,
    longest_timeout: Annotated[
        str,
        typer.Option(
            envvar="PRIVATEKUBE_LONGEST_TIMEOUT", help="How long a claim waits at most, whatever timeout it sets."
        ),
    ] = "1d",
    settle_within: Annotated[
        str,
        typer.Option(
            envvar="PRIVATEKUBE_SETTLE_WITHIN", help="How long a claim holds budget at most, after which it is settled."
        ),
    ] = "7d",
    waiting_per_namespace: Annotated[
        int, typer.Option(min=1, help="How many requests of a namespace wait at most; a further one is refused.")
    ] = policy.DEFAULT_WAITING,
    waiting_per_block: Annotated[
        int, typer.Option(min=1, help="How many requests wait for one block at most; a further one is refused.")
    ] = policy.DEFAULT_WAITING,
    alarm_at: Annotated[
        str,
        typer.Option(
            envvar="PRIVATEKUBE_ALARM_AT",
            help="How much of a block is committed when its owner is told, such as 80%,95%.",
        ),
    ] = str(thresholds.DEFAULT),
    notify: Annotated[
        str | None,
        typer.Option(
            envvar="PRIVATEKUBE_NOTIFY",
            help="http or https URL, or a command, that gets JSON of each alarm; see docs/alarms.md.",
        ),
    ] = None,
    period: Annotated[str, typer.Option(help="The longest time between two passes, such as 10s.")] = "10s",
    in_cluster: options.InCluster = None,
    kubeconfig: options.Kubeconfig = None,
    context: options.Context = None,
    listen: Annotated[
        str, typer.Option(help="host:port to serve /healthz, /readyz and /metrics on.")
    ] = "127.0.0.1:8080",
) -> None:
    """Share the cluster's privacy budget: grant claims, commit what they consume, record it. Several replicas may run.

    POD_NAME names the replica, POD_NAMESPACE the namespace of the lease by which one of them leads.
    """
    settings = Settings(
        policy={
            policy.UNLOCK: unlock,
            policy.ORDER: order,
            policy.TIMEOUT: str(default_timeout * 1000),
            policy.LONGEST_TIMEOUT: str(durations.parse("--longest-timeout", longest_timeout)),
            policy.SETTLE_WITHIN: str(durations.parse("--settle-within", settle_within)),
            policy.WAITING_PER_NAMESPACE: str(waiting_per_namespace),
            policy.WAITING_PER_BLOCK: str(waiting_per_block),
            policy.ALARMS: str(Thresholds.parse(alarm_at)),
        },
        period_seconds=durations.parse("--period", period) / 1000,
        identity=os.environ.get("POD_NAME") or socket.gethostname(),
        namespace=os.environ.get("POD_NAMESPACE") or SYSTEM_NAMESPACE,
    )
    host, port = http_endpoints.address(listen)
    send = None if notify is None else receivers.receiver(notify)
    api = login.log_in(in_cluster=in_cluster, kubeconfig=kubeconfig, context=context)
    controller = Controller(Cluster(api), CoreObjects(api), settings, clock=ServerClock(api), notify=send)
    json_log.start()
    for number in (signal.SIGINT, *entrypoint.ending_signals()):
        signal.signal(number, lambda *_: controller.stop())
    server = http_endpoints.serve(
        host,
        port,
        {
            "/healthz": lambda: http_endpoints.probe(controller.is_alive),
            "/readyz": lambda: http_endpoints.probe(controller.is_ready),
            "/metrics": lambda: (200, controller.metrics.text()),
        },
    )
    logging.getLogger(__name__).info("listening", extra={"address": f"{host}:{server.server_port}"})
    controller.run()
    server.shutdown()


if __name__ == "__main__":
    typer_app.run(app)
