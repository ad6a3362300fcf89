"""Admission by Kueue: `python -m privatekube.controller.kueue`."""

from __future__ import annotations

import logging
import signal
from typing import Annotated

import typer

from privatekube import entrypoint, errors
from privatekube.cli import typer_app
from privatekube.controller import http_endpoints, json_log, options
from privatekube.controller.kueue.admission_controller import AdmissionController, Settings
from privatekube.controller.kueue.kueue_objects import KueueObjects
from privatekube.scheduling import durations
from privatekube.store.kubernetes import login
from privatekube.store.kubernetes.core_objects import CoreObjects
from privatekube.store.kubernetes.custom_objects import Cluster
from privatekube.store.kubernetes.server_clock import ServerClock
from privatekube.store.kubernetes.store import KubernetesStore

_LONGEST_HOLD_MS = 86_400_000
app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def main(  # noqa: PLR0917 - typer reads the options off the signature
    hold: Annotated[
        str,
        typer.Option(
            envvar="PRIVATEKUBE_KUEUE_HOLD",
            help="How long a workload keeps the quota that it reserved while its claim waits, such as 10m; at most 1d.",
        ),
    ] = "10m",
    period: Annotated[str, typer.Option(help="The longest time between two rounds, such as 10s.")] = "10s",
    in_cluster: options.InCluster = None,
    kubeconfig: options.Kubeconfig = None,
    context: options.Context = None,
    listen: Annotated[str, typer.Option(help="host:port to serve /healthz and /readyz on.")] = "127.0.0.1:8080",
) -> None:
    """Hold the workloads of Kueue that name a privacy budget claim until it is granted; settle it when they end."""
    settings = Settings(hold_seconds=_hold_seconds(hold), period_seconds=durations.parse("--period", period) / 1000)
    host, port = http_endpoints.address(listen)
    api = login.log_in(in_cluster=in_cluster, kubeconfig=kubeconfig, context=context)
    clock, claims = ServerClock(api), Cluster(api)
    store = KubernetesStore(claims, CoreObjects(api), clock=clock)
    controller = AdmissionController(KueueObjects(api), claims, store, settings, clock=clock)
    json_log.start()
    for number in (signal.SIGINT, *entrypoint.ending_signals()):
        signal.signal(number, lambda *_: controller.stop())
    endpoints = {
        "/healthz": lambda: http_endpoints.probe(controller.is_alive),
        "/readyz": lambda: http_endpoints.probe(controller.is_ready),
    }
    server = http_endpoints.serve(host, port, endpoints)
    logging.getLogger(__name__).info("listening", extra={"address": f"{host}:{server.server_port}"})
    controller.run()
    server.shutdown()


def _hold_seconds(hold: str) -> int:
    """Return the value of --hold in whole seconds, as Kueue counts the time until it tries again."""
    hold_ms = durations.parse("--hold", hold)
    if not 1000 <= hold_ms <= _LONGEST_HOLD_MS:
        raise errors.invalid("--hold", hold, "must be 1s to 1d", "write it like 10m")
    return hold_ms // 1000


if __name__ == "__main__":
    typer_app.run(app)
