"""A store in a file with very many blocks and claims.

    python benchmarks/scale.py --shares 0.1                  a tenth of 186,000 blocks and of 100,000 claims
    python benchmarks/scale.py --shares 0.1 0.333 1          how it grows

Blocks are days of 100 buckets of users, in Renyi accounting. Each claim of the many is on one block and pays at once.
Prints wall-clock and processor seconds, which other work on the machine changes little, and the peak memory.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import multiprocessing
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console
from rich.table import Table

from privatekube.client import connect
from privatekube.client.client import BudgetClient
from privatekube.data import declare
from privatekube.forecast import forecast
from privatekube.privacy import accounting, events
from privatekube.resources.block import BlockSpec, Dimension, PrivateDataBlock
from privatekube.resources.claim import ClaimSpec, PrivacyBudgetClaim
from privatekube.resources.meta import CONTENT_DIGEST, ObjectMeta
from privatekube.resources.requests import AllocateRequest, BlockCondition, BudgetDemand, ConsumeRequest, Request

BLOCKS, CLAIMS, BUCKETS = 186_000, 100_000, 100
NAMESPACE, DATASET = "team", "reviews"
WHOLE = declare.initial_budget(10, 1e-7, "renyi")
DEMAND = accounting.renyi_cost(events.poisson_gaussian(1.0, 100.0, 1), WHOLE.orders)
BURST, BURST_BLOCKS, REPEATS = 1000, 10, 5


@dataclass
class Measured:
    """Seconds by what took them, in the order in which they were measured."""

    rows: dict[str, tuple[float, float]] = field(default_factory=dict)

    @contextlib.contextmanager
    def measure(self, name: str) -> Iterator[None]:
        """Measure a block of statements, child processes included."""
        began, used = time.perf_counter(), processor_seconds()
        yield
        self.rows[name] = time.perf_counter() - began, processor_seconds() - used

    def median(self, name: str, work: Callable[[int], object]) -> None:
        """Measure work several times, and keep the median of each."""
        repeats = []
        for number in range(REPEATS):
            with self.measure(name):
                work(number)
            repeats.append(self.rows[name])
        wall, processor = (statistics.median(values) for values in zip(*repeats, strict=True))
        self.rows[name] = wall, processor


def processor_seconds() -> float:
    """Return the processor time of this process and of its children that have ended."""
    usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def block(number: int) -> PrivateDataBlock:
    """Return the block of a bucket of a day."""
    day, bucket = divmod(number, BUCKETS)
    numbers = {"startTime": day, "endTime": day, "userBucket": bucket, "userBuckets": BUCKETS, "maxContribution": 20}
    dimensions = [Dimension(name, numeric_value=str(value)) for name, value in numbers.items()]
    dimensions.append(Dimension("unit", string_value="user-time"))
    name = f"{DATASET}-{day}-{bucket}"
    meta = ObjectMeta(name, NAMESPACE, annotations={CONTENT_DIGEST: f"sha256:{number:064x}"})
    return PrivateDataBlock(meta, BlockSpec(WHOLE, DATASET, f"file:///data/{name}.h5", tuple(dimensions)))


def on_days(first_day: int, n_blocks: int) -> AllocateRequest:
    """Return a request for all buckets of the days from `first_day` on that have this number of blocks."""
    end = first_day + n_blocks // BUCKETS
    conditions = (
        BlockCondition("startTime", ">=", numeric_value=str(first_day)),
        BlockCondition("endTime", "<", numeric_value=str(end)),
    )
    return AllocateRequest(DATASET, BudgetDemand(constant=DEMAND), conditions=conditions, min_blocks=n_blocks)


def on_named(numbers: range) -> AllocateRequest:
    """Return a request for blocks by their names."""
    demands = {block(number).id: DEMAND for number in numbers}
    return AllocateRequest(DATASET, BudgetDemand(by_block=demands), min_blocks=len(demands))


def claim(name: str, request: AllocateRequest, *, pays: bool = False) -> PrivacyBudgetClaim:
    """Return a claim; with `pays` it consumes at once what it gets."""
    requests = [Request("allocate", request)]
    if pays:
        requests.append(Request("consume", ConsumeRequest(dict(request.expected_budget.by_block or {}))))
    return PrivacyBudgetClaim(ObjectMeta(name, NAMESPACE), ClaimSpec(tuple(requests)))


def decide(client: BudgetClient, claims: list[PrivacyBudgetClaim]) -> None:
    """Create claims, and decide about all of them in one pass."""
    with client.store.transaction():
        for new in claims:
            client.store.create(new)
        client.passes.current(lambda: None)


def get(uri: str, kind: str) -> None:
    """Run the command `privatekube get`, as a process of its own."""
    command = [sys.executable, "-m", "privatekube.cli", "get", kind]
    environment = {**os.environ, connect.STORE: uri}
    subprocess.run(command, env=environment, stdout=subprocess.DEVNULL, check=True)  # noqa: S603 - this interpreter


def run_one(share: float) -> tuple[str, dict[str, tuple[float, float]], int, int]:
    """Measure one size; return its name, its figures, the size of the file and the peak memory, in MiB."""
    n_blocks, n_claims = round(BLOCKS * share / BUCKETS) * BUCKETS, round(CLAIMS * share)
    measured = Measured()
    with tempfile.TemporaryDirectory() as folder:
        uri = f"sqlite:///{folder}/state.db"
        with connect.connect(uri) as client:
            with measured.measure("register all blocks"):
                client.create_blocks([block(number) for number in range(n_blocks)])
            with measured.measure("grant and pay all claims, in one pass"):
                numbers = (number % n_blocks for number in range(n_claims))
                decide(client, [claim(f"c{n}", on_named(range(n, n + 1)), pays=True) for n in numbers])
        for kind in ("blocks", "claims"):
            with measured.measure(f"privatekube get {kind}"):
                get(uri, kind)
        with connect.connect(uri) as client:
            with measured.measure("plan a claim on 1,000 blocks, store just opened"):
                forecast.forecast_request(client, NAMESPACE, on_days(0, 1000))
            claim_many(client, measured)
        file_size = Path(folder, "state.db").stat().st_size
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return f"{n_blocks:,} blocks, {n_claims:,} claims", measured.rows, file_size >> 20, peak >> 10


def claim_many(client: BudgetClient, measured: Measured) -> None:
    """Measure claims on many blocks, and many claims, in a store that is open."""
    for n_blocks in (1000, 10_000):
        allocate = functools.partial(allocate_on, client, n_blocks)
        measured.median(f"allocate over {n_blocks:,} blocks, p50 of {REPEATS}", allocate)
        with measured.measure(f"settle a claim on {n_blocks:,} blocks"):
            client.settle(f"{NAMESPACE}/run-{n_blocks}-0")
    starts = range(0, BURST * BURST_BLOCKS, BURST_BLOCKS)
    burst = [claim(f"burst-{start}", on_named(range(start, start + BURST_BLOCKS))) for start in starts]
    with measured.measure(f"a burst of {BURST:,} claims on {BURST_BLOCKS} blocks each"):
        decide(client, burst)


def allocate_on(client: BudgetClient, n_blocks: int, number: int) -> None:
    """Claim blocks under a name of its own."""
    client.allocate(NAMESPACE, f"run-{n_blocks}-{number}", on_days(number, n_blocks), timeout_seconds=600)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shares", type=float, nargs="+", default=[0.1, 1 / 3, 1.0], metavar="SHARE")
    options = parser.parse_args()
    context = multiprocessing.get_context("spawn")
    for share in options.shares:
        with context.Pool(1) as pool:
            title, rows, file_size, peak = pool.apply(run_one, (share,))
        table = Table("what", "seconds", "of the processor", title=title, box=None)
        for name, seconds in rows.items():
            table.add_row(name, *(f"{value:.2f}" for value in seconds))
        table.caption = f"file {file_size} MiB; peak memory of the process {peak} MiB"
        Console(width=None if Console().is_terminal else 120).print(table)


if __name__ == "__main__":
    main()
