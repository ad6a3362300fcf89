"""The control plane on a real API server, with the controller as its own process.

make benchmark-control-plane
python benchmarks/control_plane.py --claims 10000 --blocks 1000 --burst 1000

Prints, for PrivateKube's own measure (20 claims over 100 blocks, one after the other), how many writes of status they
take; how long such a claim waits for its grant; how many claims a second a burst gets; and what 10,000 claims that came
and went leave behind: the largest objects, and the controller's memory. The controller's processor time compares two
versions on a machine that is not quiet, too.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import json
import os
import statistics
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from schedule import at_least_one

from privatekube import errors
from privatekube.privacy.budget import EpsilonDelta, PrivacyBudget, RenyiCurve
from privatekube.resources.block import BlockSpec, Dimension, PrivateDataBlock
from privatekube.resources.claim import ClaimSpec, PrivacyBudgetClaim
from privatekube.resources.meta import ObjectMeta
from privatekube.resources.requests import AllocateRequest, BlockCondition, BudgetDemand, ConsumeRequest, Request
from privatekube.store.kubernetes.core_objects import CoreObjects
from privatekube.store.kubernetes.custom_objects import Cluster
from privatekube.store.kubernetes.store import KubernetesStore
from tests import waiting
from tests.kubernetes import local_server
from tests.kubernetes.apiserver import ApiServer
from tests.kubernetes.controllers import ControllerProcess

NAMESPACE = "benchmark"
ORDERS = (1.5, 1.75, 2, 2.5, 3, 4, 5, 6, 8, 16, 32, 64, 1_000_000)
ORIGINAL_WRITES = 6361
"""What PrivateKube's controller wrote for 20 claims over 100 blocks."""
PLURALS = ("privatedatablocks", "privacybudgetclaims", "privacyledgerentries")
_WRITERS = 4


@dataclass(frozen=True)
class World:
    """An API server with a controller, and what is used to talk to both."""

    server: ApiServer
    controller: ControllerProcess
    store: KubernetesStore

    def writes(self) -> float:
        """Return how many writes of status the controller made."""
        return sum(self.controller.metric(f'privatekube_status_writes_total{{kind="{kind}"}}') for kind in KINDS)

    def processor_seconds(self) -> float:
        """Return how long the controller has computed, which other programs on the machine change little."""
        fields = Path(f"/proc/{self.controller.process_id}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def controller_memory(self) -> int:
        """Return the bytes of memory that the controller has."""
        status = Path(f"/proc/{self.controller.process_id}/status").read_text()
        return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS")) << 10

    def create(self, resources: list[Any]) -> None:
        """Create them, several at a time."""
        with ThreadPoolExecutor(_WRITERS) as pool:
            list(pool.map(self.store.create, resources))

    def wait_for_blocks(self) -> None:
        """Wait until all blocks are admitted."""
        waiting.until(self._are_all_admitted, self.controller.log, seconds=600)

    def _are_all_admitted(self) -> bool:
        return all(block.status for block in self.store.list_blocks(NAMESPACE))

    def wait_for_locks(self) -> None:
        """Wait until what answered requests began is completed on all blocks."""
        waiting.until(self._are_unlocked, self.controller.log, seconds=3600)

    def _are_unlocked(self) -> bool:
        return not any(block.status and block.status.locks for block in self.store.list_blocks())

    def make(self, claims: list[PrivacyBudgetClaim]) -> None:
        """Create claims, and wait until all of them are answered; the last ones first, since they come last."""
        self.create(claims)
        for claim in reversed(claims):
            waiting.until(functools.partial(self._is_answered, claim.id), self.controller.log, seconds=3600)

    def _is_answered(self, claim_id: str) -> bool:
        claim = self.store.get_claim(claim_id)
        return claim is not None and not claim.is_waiting


KINDS = ("block", "claim")


def block(number: int, whole: PrivacyBudget, dataset: str) -> PrivateDataBlock:
    """Return a block of one day."""
    spec = BlockSpec(whole, dataset, f"file:///{dataset}/{number}", (Dimension("day", numeric_value=str(number)),))
    return PrivateDataBlock(ObjectMeta(f"{dataset}-{number}", NAMESPACE), spec)


def claim(name: str, dataset: str, demand: PrivacyBudget, days: range, *, pays: bool = False) -> PrivacyBudgetClaim:
    """Return a claim on blocks of some days; with `pays`, it consumes at once what it gets."""
    conditions = (
        BlockCondition("day", ">=", numeric_value=str(days.start)),
        BlockCondition("day", "<", numeric_value=str(days.stop)),
    )
    allocation = AllocateRequest(dataset, BudgetDemand(constant=demand), conditions=conditions, min_blocks=len(days))
    requests = [Request("allocate", allocation)]
    if pays:
        paid = {f"{NAMESPACE}/{dataset}-{day}": demand for day in days}
        requests.append(Request("consume", ConsumeRequest(paid, "allOrNothing=true")))
    return PrivacyBudgetClaim(ObjectMeta(name, NAMESPACE), ClaimSpec(tuple(requests)))


def one_by_one(world: World, n_claims: int, n_blocks: int) -> Iterator[tuple[str, str]]:
    """Measure claims on all blocks, each made when the previous one is granted."""
    demand = EpsilonDelta(1e-4)
    world.create([block(number, EpsilonDelta(10.0, 1e-6), "few") for number in range(n_blocks)])
    world.wait_for_blocks()
    before, waited, computed = world.writes(), [], world.processor_seconds()
    for number in range(n_claims):
        created = world.store.create(claim(f"single-{number}", "few", demand, range(n_blocks)))
        began = time.perf_counter()
        while not (stored := world.store.get_claim(created.id)) or not stored.status.acquired:
            time.sleep(0.002)
        waited.append(time.perf_counter() - began)
        if number == 19:
            world.wait_for_locks()
            writes = world.writes() - before
            against = f"{ORIGINAL_WRITES / writes:.1f} times fewer than PrivateKube's {ORIGINAL_WRITES}"
            yield f"writes of status, 20 claims x {n_blocks} blocks", f"{writes:.0f}; {against}"
    waited.sort()
    p50, p99 = statistics.median(waited), waited[int(0.99 * (len(waited) - 1))]
    yield f"from claim to grant, {n_claims} claims on {n_blocks} blocks each", f"p50 {p50:.3f} s, p99 {p99:.3f} s"
    per_claim = (world.processor_seconds() - computed) / n_claims
    yield "the controller's processor time for each of them", f"{per_claim:.3f} s"


def burst(world: World, n_claims: int, n_blocks: int) -> Iterator[tuple[str, str]]:
    """Measure many claims at once, each on ten of the blocks."""
    demand, width = EpsilonDelta(1e-4), min(10, n_blocks)
    starts = [number % (n_blocks - width + 1) for number in range(n_claims)]
    claims = [claim(f"burst-{n}", "few", demand, range(start, start + width)) for n, start in enumerate(starts)]
    began, computed = time.perf_counter(), world.processor_seconds()
    world.make(claims)
    seconds, computed = time.perf_counter() - began, world.processor_seconds() - computed
    figure = f"{n_claims / seconds:.0f} claims/s, {n_claims / computed:.0f} a second of the controller's processor"
    yield f"burst of {n_claims} claims on {width} blocks each", figure


def come_and_go(world: World, n_claims: int, n_blocks: int) -> Iterator[tuple[str, str]]:
    """Measure claims that consume at once, half of them on the same block, in Renyi accounting, the largest budgets."""
    whole = RenyiCurve.from_pairs([(order, 1000.0) for order in ORDERS])
    demand = RenyiCurve.from_pairs([(order, 1e-5 * (1 + index)) for index, order in enumerate(ORDERS)])
    world.create([block(number, whole, "many") for number in range(n_blocks)])
    world.wait_for_blocks()
    for first in range(0, n_claims, 500):
        days = [0 if number % 2 else number % n_blocks for number in range(first, min(first + 500, n_claims))]
        world.make(
            [claim(f"many-{first + n}", "many", demand, range(day, day + 1), pays=True) for n, day in enumerate(days)]
        )
    cluster = Cluster(world.server.api())
    for plural in PLURALS:
        sizes = [len(json.dumps(document)) for document in cluster.list_objects(plural)]
        yield f"largest of {len(sizes)} {plural} after {n_claims} claims", f"{max(sizes) / 1000:.1f} kB"
    blocks = len(world.store.list_blocks())
    resident = world.controller_memory() >> 20
    yield f"controller's memory with {blocks} blocks and {n_claims} claims", f"{resident} MiB"


@contextlib.contextmanager
def world(namespace: str = NAMESPACE) -> Iterator[World]:
    """Run a new API server with this project's kinds, a namespace and a controller until the context ends."""
    manifests = Path(__file__).resolve().parent.parent / "manifests"
    with (
        tempfile.TemporaryDirectory() as folder,
        local_server.serving(Path(folder), manifests, [namespace]) as server,
    ):
        if isinstance(server, str):
            raise errors.InvalidInput(server)
        controller = ControllerProcess(server, Path(folder), options=("--unlock", "all"))
        try:
            controller.start()
            waiting.until(controller.leads, controller.log)
            api = server.api()
            yield World(server, controller, KubernetesStore(Cluster(api), CoreObjects(api)))
        finally:
            controller.stop()


def measure(options: argparse.Namespace) -> Iterator[tuple[str, str]]:
    """Yield each figure when it is measured."""
    with world() as running:
        yield from one_by_one(running, options.singles, 100)
        yield from burst(running, options.burst, 100)
        yield from come_and_go(running, options.claims, options.blocks)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--singles", type=at_least_one, default=100, metavar="CLAIMS", help="one by one")
    parser.add_argument("--burst", type=at_least_one, default=1000, metavar="CLAIMS")
    parser.add_argument("--claims", type=at_least_one, default=10_000, help="that come and go")
    parser.add_argument("--blocks", type=at_least_one, default=1000, help="over which they do")
    options = parser.parse_args()
    table, console = Table("what", "figure"), Console(width=None if Console().is_terminal else 140)
    try:
        for name, figure in measure(options):
            console.print(f"{name}: {figure}", style="dim")
            table.add_row(name, figure)
    except errors.PrivateKubeError as error:
        parser.error(str(error))
    console.print(table)


if __name__ == "__main__":
    main()
