"""Very many blocks on a real API server, with the controller as its own process.

python benchmarks/scale_cluster.py --blocks 1000 10000

Blocks are days of 100 buckets of users, in Renyi accounting, and each number of them has a server of its own. Registers
and lists them, plans, and has claims on 100, 1,000 and 10,000 of them granted and paid. Prints wall-clock seconds, and
of the controller, as other work on the machine changes them little: its processor seconds and its writes of status.
"""

from __future__ import annotations

import argparse
import functools
import json
import os
import re
import time
from collections.abc import Callable

from control_plane import PLURALS, World, world
from rich.console import Console
from rich.table import Table
from scale import NAMESPACE, block, get, on_days

from privatekube import errors
from privatekube.client import cluster
from privatekube.client.client import BudgetClient
from privatekube.forecast import forecast
from privatekube.store.kubernetes.custom_objects import Cluster
from tests.kubernetes.apiserver import ADMIN

WIDTHS = (100, 1000, 10_000)
_PATIENCE_SECONDS = 3600.0
_SERVER_METRICS = {"process_resident_memory_bytes": "the API server's memory", "apiserver_storage_size_bytes": "etcd"}


class Measured:
    """A table of what was measured in a world, which is also shown row by row."""

    def __init__(self, world: World, table: Table, console: Console) -> None:
        self._world, self._table, self._console = world, table, console

    def measure(self, name: str, work: Callable[[], object]) -> None:
        """Measure the seconds that `work` takes, and what the controller did meanwhile."""
        began, used, writes = time.perf_counter(), self._world.processor_seconds(), self._world.writes()
        work()
        wall, used = time.perf_counter() - began, self._world.processor_seconds() - used
        self.add(name, f"{wall:.1f}", f"{used:.1f}", f"{self._world.writes() - writes:.0f}")

    def add(self, *cells: str) -> None:
        """Add a row."""
        self._console.print(*cells, style="dim")
        self._table.add_row(*cells)


def run_one(n_blocks: int, running: World, measured: Measured) -> None:
    """Measure one number of blocks."""
    passes = cluster.Cluster(running.store, answer_timeout_seconds=_PATIENCE_SECONDS)
    client = BudgetClient(running.store, passes)
    blocks = [block(number) for number in range(n_blocks)]
    measured.measure("register them, until the last is admitted", lambda: client.create_blocks(blocks))
    measured.add("the controller's memory", f"{running.controller_memory() >> 20} MiB")
    measured.measure("list and decode them", client.list_blocks)
    os.environ["KUBECONFIG"] = str(running.server.kubeconfig(ADMIN))
    measured.measure("privatekube get blocks", lambda: get("kubernetes", "blocks"))
    measured.measure("kubectl get pb", lambda: running.server.kubectl("get", "pb", "-n", NAMESPACE))
    n_planned = min(1000, n_blocks)
    planned = on_days(0, n_planned)
    planning = functools.partial(forecast.forecast_request, client, NAMESPACE, planned)
    measured.measure(f"plan a claim on {n_planned:,}", planning)
    for width in (width for width in WIDTHS if width <= n_blocks):
        name, request = f"run-{width}", on_days(0, width)
        claimed = functools.partial(client.allocate, NAMESPACE, name, request, timeout_seconds=_PATIENCE_SECONDS)
        measured.measure(f"allocate over {width:,}", claimed)
        running.wait_for_locks()
        client.mark_opened(f"{NAMESPACE}/{name}")
        measured.measure(f"pay for {width:,}", functools.partial(client.settle, f"{NAMESPACE}/{name}"))
        running.wait_for_locks()
    measured.add("the controller's memory at the end", f"{running.controller_memory() >> 20} MiB")
    measure_sizes(running, measured)


def measure_sizes(running: World, measured: Measured) -> None:
    """Measure the objects, the API server and its etcd."""
    objects = Cluster(running.server.api())
    for plural in PLURALS:
        sizes = [len(json.dumps(document)) for document in objects.list_objects(plural)]
        measured.add(f"largest of {len(sizes):,} {plural}", f"{max(sizes, default=0) / 1000:.1f} kB")
    metrics = running.server.kubectl("get", "--raw", "/metrics")
    for metric, name in _SERVER_METRICS.items():
        size = re.search(rf"^{metric}(?:{{.*}})? (\S+)$", metrics, re.MULTILINE)
        if size is not None:
            measured.add(name, f"{float(size[1]) / 2**20:.0f} MiB")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--blocks", type=int, nargs="+", default=[1000, 10_000], metavar="NUMBER")
    options = parser.parse_args()
    console = Console(width=None if Console().is_terminal else 120)
    for n_blocks in options.blocks:
        table = Table(
            "what", "seconds", "of the controller's processor", "writes", title=f"{n_blocks:,} blocks", box=None
        )
        try:
            with world(NAMESPACE) as running:
                run_one(n_blocks, running, Measured(running, table, console))
        except errors.PrivateKubeError as error:
            parser.error(str(error))
        console.print(table)


if __name__ == "__main__":
    main()
