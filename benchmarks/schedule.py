"""Seconds that scheduling takes, and how many claims it grants; other schedulers beside ours where they are on record.

Prints tables; asserts nothing.

    python benchmarks/schedule.py --scenario tests/samples/scenarios/*.json.gz --order fcfs dpf
    python benchmarks/schedule.py --sizes 1000 10000 100000 1000000         growth of time and memory, generated claims
    python benchmarks/schedule.py --accountings 3000                        Renyi against epsilon-delta, the same claims

The peers are the schedulers of PrivateKube (dpsched, the files named online) and DPack (privacypacking, offline). Their
seconds are on record, measured on two shared cores of another machine: take the ratio for an order of magnitude.
"""

from __future__ import annotations

import argparse
import itertools
import json
import multiprocessing
import re
import resource
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import workloads
from rich.console import Console
from rich.table import Table

from privatekube import errors
from privatekube.scheduling import ordering
from privatekube.scheduling.policy import Policy
from privatekube.simulation import scenario
from privatekube.simulation.replay import Replay, replay

TIME_UNLOCKS = {"dpf_t100": "t=1s,100s", "dpf_t": "t=40ms,30s"}
LARGE_PEERS = {("offline", 100_000): {"fcfs": 6.6, "dpf": 48.6, "dpack": 79.0}, ("online", 100_000): {"dpf": 73.0}}
KIBI = 1024  # ru_maxrss counts KiB
Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Peer:
    """Another scheduler's result on a scenario, and the policy it ran."""

    name: str
    unlock: str
    order: str
    granted: int
    seconds: float

    @classmethod
    def of(cls, name: str, recorded: Mapping[str, Any]) -> Peer:
        """Return a peer from the `results` of a scenario file."""
        shares = re.search(r"_n(\d+)", name)
        unlock = TIME_UNLOCKS.get(name) or (f"n={shares[1]}" if shares else "all")
        seconds = sum(value for key, value in recorded.items() if key.startswith("wall_seconds"))
        return cls(name, unlock, name.partition("_")[0], recorded["granted_count"], seconds)


def named(unlock: str, order: str) -> Policy:
    """Return the policy of these names."""
    return Policy.parse({"unlock": unlock, "order": order})


def play(read: scenario.Scenario, policy: Policy, repeats: int = 1) -> Replay:
    """Return the fastest of several replays."""
    played = (replay(read, policy) for _ in range(repeats))
    return min(played, key=lambda result: result.wall_seconds)


def replay_recorded(paths: list[Path], orders: list[str], repeats: int) -> Iterator[Row]:
    """Replay scenarios that have results of peers, with the same policies."""
    for path in paths:
        document = scenario.document(path)
        read = scenario.parse(document, path.name.split(".")[0])
        peers = [Peer.of(name, results) for name, results in document.get("results", {}).items()]
        for order in orders:
            beside = [peer for peer in peers if peer.order == order]
            for unlock in dict.fromkeys(peer.unlock for peer in beside) or [default_unlock(read, order)]:
                ours = play(read, named(unlock, order), repeats)
                same: list[Peer | None] = [peer for peer in beside if peer.unlock == unlock]
                for peer in same or [None]:
                    yield {
                        "scenario": read.name,
                        "claims": len(read.claims),
                        "unlock": unlock,
                        "order": order,
                        "granted": len(ours.granted),
                        "seconds": round(ours.wall_seconds, 3),
                        "peer": peer and peer.name,
                        "its granted": peer and peer.granted,
                        "its seconds": peer and round(peer.seconds, 3),
                        "times faster": peer and round(peer.seconds / ours.wall_seconds, 1),
                    }


def default_unlock(read: scenario.Scenario, order: str) -> str:
    """Return the unlocking policy for scenarios without a peer's."""
    return "n=100" if order == "rr" or not (read.offline or order == "fcfs") else "all"


def growth(sizes: list[int], orders: list[str]) -> Iterator[Row]:
    """Replay generated scenarios of growing size, each in its own process to measure its peak memory."""
    context = multiprocessing.get_context("spawn")
    for kind, order in itertools.product(("offline", "online"), orders):
        for size in sizes:
            with context.Pool(1) as pool:
                row = pool.apply(run_one, (kind, order, size))
            peer = LARGE_PEERS.get((kind, size), {}).get(order)
            faster = None if peer is None else round(peer / row["seconds"], 1)
            yield {**row, "peer's seconds": peer, "times faster": faster}


def run_one(kind: str, order: str, size: int) -> dict[str, Any]:
    """Replay a generated scenario; return its figures and the peak memory of this process, reading included."""
    read = scenario.parse(workloads.KINDS[kind](size))
    unlock = default_unlock(read, order)
    played = play(read, named(unlock, order))
    return {
        "kind": kind,
        "claims": size,
        "blocks": len(read.blocks),
        "unlock": unlock,
        "order": order,
        "granted": len(played.granted),
        "seconds": round(played.wall_seconds, 3),
        "microseconds a claim": round(1e6 * played.wall_seconds / size, 1),
        "peak MiB": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // KIBI,
    }


def accountings(n_claims: int, orders: list[str]) -> Iterator[Row]:
    """Replay the same claims, each stated as its mechanism, in either accounting."""
    pair = [scenario.parse(workloads.KINDS[kind](n_claims)) for kind in ("epsilon-delta", "renyi")]
    for order in orders:
        policies = [named(default_unlock(claims, order), order) for claims in pair]
        basic, renyi = (len(play(*played).granted) for played in zip(pair, policies, strict=True))
        yield {
            "claims": n_claims,
            "order": order,
            "granted with epsilon-delta": basic,
            "granted with renyi": renyi,
            "times more": round(renyi / basic, 2),
        }


def show(title: str, rows: Iterator[Row], *, as_json: bool) -> None:
    """Print a table, or one line of JSON per row as it comes."""
    if as_json:
        for row in rows:
            print(json.dumps(row), flush=True)
        return
    listed = list(rows)
    table = Table(*listed[0], title=title, box=None)
    for row in listed:
        table.add_row(*("" if value is None else str(value) for value in row.values()))
    Console(width=None if Console().is_terminal else 160).print(table)


def at_least_one(text: str) -> int:
    """Return a number of claims."""
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} must be a whole number of at least 1")
    return int(text)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scenario", type=Path, nargs="+", default=[], metavar="FILE")
    parser.add_argument("--sizes", type=at_least_one, nargs="+", default=[], metavar="CLAIMS")
    parser.add_argument("--accountings", type=at_least_one, metavar="CLAIMS")
    parser.add_argument("--order", nargs="+", choices=list(ordering.ORDERINGS), default=["fcfs", "dpf", "dpack"])
    parser.add_argument("--repeats", type=at_least_one, default=3, help="of each scenario; the fastest counts")
    parser.add_argument("--json", action="store_true", help="a JSON object per row instead of tables")
    options = parser.parse_args()
    if not (options.scenario or options.sizes or options.accountings):
        parser.error("nothing to do; name --scenario, --sizes or --accountings")
    try:
        report(options)
    except errors.PrivateKubeError as error:
        parser.error(str(error))


def report(options: argparse.Namespace) -> None:
    """Print the requested tables."""
    if options.scenario:
        show(
            "Recorded scenarios",
            replay_recorded(options.scenario, options.order, options.repeats),
            as_json=options.json,
        )
    if options.sizes:
        show("Growth", growth(options.sizes, options.order), as_json=options.json)
    if options.accountings:
        show("Granted in either accounting", accountings(options.accountings, options.order), as_json=options.json)


if __name__ == "__main__":
    main()
