"""The acceptance cases, on the SQLite store with a simulated clock.

PRIVATEKUBE_CASES names a further file of the same format.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from privatekube.privacy import renyi_conversion
from privatekube.privacy.budget import EpsilonDelta, PrivacyBudget
from privatekube.reconcile import reconcile
from privatekube.resources.block import FlowReleasing, PrivateDataBlock
from privatekube.resources.claim import PrivacyBudgetClaim
from privatekube.resources.wire import blocks, claims, common
from privatekube.scheduling import ordering, policy, unlocking
from privatekube.scheduling.policy import Policy
from privatekube.store.base import ResourceStore
from privatekube.store.clock import Clock
from privatekube.store.sqlite.store import SqliteStore
from tests.clock import FakeClock

DATA = Path(__file__).resolve().parent.parent / "samples" / "cases.yaml"
START_MS = 1000
TOLERANCE = 1e-9


def cases() -> Iterator[Any]:
    files = [DATA, *(Path(name) for name in [os.environ.get("PRIVATEKUBE_CASES", "")] if name)]
    for file in files:
        for case in yaml.safe_load(file.read_text())["cases"]:
            yield pytest.param(case, id=f"{file.stem}-{case['id']}")


Opening = Callable[[Clock], ResourceStore]
"""Opens the same store again with a clock."""


def on_sqlite(path: Path) -> Opening:
    return lambda clock: SqliteStore(path, clock=clock)


class Cluster:
    """A store, a clock and the control plane."""

    def __init__(self, opening: Opening, config: dict[str, Any]) -> None:
        self.clock, self.opening = FakeClock(START_MS), opening
        self.store = self.opened()
        self.period_ms = config.get("release_period_ms", 10_000)
        if config.get("scheme") == "T":
            duration_ms = config.get("release_duration_ms", 30_000)
            self.unlocking: unlocking.UnlockingPolicy = unlocking.PerTime(self.period_ms, duration_ms)
        else:
            self.unlocking = unlocking.PerArrival(config.get("N", 100))
        self.default_timeout_ms = config.get("default_timeout_ms", policy.DEFAULT_TIMEOUT_MS)

    def opened(self) -> ResourceStore:
        return self.opening(self.clock)

    def restart(self) -> None:
        self.store.close()
        self.store = self.opened()

    def settle(self, *, tick: bool = False) -> None:
        reconcile.reconcile(
            self.store,
            Policy(self.unlocking, ordering.parse("dpf"), self.default_timeout_ms),
            now_ms=self.clock.now_ms(),
            tick=tick,
        )

    def advance(self, to_ms: int) -> None:
        tick = START_MS + ((self.clock.now_ms() - START_MS) // self.period_ms + 1) * self.period_ms
        while tick <= to_ms:
            self.clock.time_ms = tick
            self.settle(tick=True)
            tick += self.period_ms
        self.clock.time_ms = to_ms
        self.settle()

    def claim(self, name: str) -> PrivacyBudgetClaim:
        found = self.store.get_claim(f"ns/{name}")
        assert found is not None
        return found


def perform(cluster: Cluster, step: str, given: Any) -> None:
    store = cluster.store
    match step:
        case "create_block":
            store.create(starting_now(cluster, blocks.from_wire(document(given))))
        case "create_claim":
            store.create(claims.from_store(document(given)))
        case "append_request":
            wire = claims.to_wire(cluster.claim(given["claim"]))
            wire["spec"].setdefault("requests", []).append(given["request"])
            store.update(claims.from_store(wire))
        case "delete_claim":
            store.delete(cluster.claim(named(given)))
        case "delete_block":
            found = store.get_block(f"ns/{named(given)}")
            assert found is not None
            store.delete(found)
        case "restart":
            cluster.restart()
        case "preload_block":
            block = blocks.from_wire(given)
            store.update_status(replace(block, meta=store.create(block).meta))
        case "preload_claim":
            claim = claims.from_store(given)
            store.update_status(replace(claim, meta=store.create(claim).meta))
        case "advance_ms":
            cluster.advance(given)
        case _:
            assert step == "redeliver_claim", f"unknown step {step}"


def starting_now(cluster: Cluster, block: PrivateDataBlock) -> PrivateDataBlock:
    """Return the block with its creation by the simulated clock as the start of its release: a server has its own."""
    flow = block.spec.flow_releasing or FlowReleasing()
    start_ms = flow.start_time_ms or cluster.clock.now_ms()
    return replace(block, spec=replace(block.spec, flow_releasing=replace(flow, start_time_ms=start_ms)))


def document(given: dict[str, Any]) -> dict[str, Any]:
    """Return a block or claim in the flat form of a case as a resource."""
    spec = {key: value for key, value in given.items() if key not in ("name", "namespace")}
    return {"metadata": {"name": given["name"], "namespace": given.get("namespace", "ns")}, "spec": spec}


def named(given: Any) -> str:
    return str(given if isinstance(given, str) else given["name"])


def check(cluster: Cluster, expected: dict[str, Any]) -> None:
    for name, wanted in expected.get("claims", {}).items():
        check_claim(cluster.claim(name), wanted)
    for name, wanted in expected.get("blocks", {}).items():
        found = cluster.store.get_block(f"ns/{name}")
        assert found is not None
        assert found.status is not None
        status = found.status
        for field, amount in (("available", status.available), ("pending", status.pending)):
            if field in wanted:
                same(amount, wanted[field])
        for field, held in (
            ("acquired", status.acquired),
            ("committed", status.committed),
            ("reserved", status.reserved),
        ):
            if field in wanted:
                by_name = {key.removeprefix("ns/"): budget for key, budget in held.items()}
                same_map(
                    by_name, {key.removeprefix("ns/"): document for key, document in (wanted[field] or {}).items()}
                )


def check_claim(claim: PrivacyBudgetClaim, wanted: dict[str, Any]) -> None:
    if "states" in wanted:
        assert [str(response.state) for response in claim.status.responses] == wanted["states"]
    if "error" in wanted:
        refusals = [response.refusal for response in claim.status.responses if response.state == "failure"]
        assert wanted["error"] in str(refusals[-1])
    if "acquired" in wanted:
        same_map(claim.status.acquired, wanted["acquired"] or {})
    if "committed" in wanted:
        same_map(claim.status.committed, wanted["committed"] or {})
    if "n_acquired_blocks" in wanted:
        assert len(claim.status.acquired) == wanted["n_acquired_blocks"]


def same_map(found: Any, wanted: dict[str, Any]) -> None:
    assert set(found) == set(wanted)
    for key, document in wanted.items():
        same(found[key], document)


def same(found: PrivacyBudget, document: dict[str, Any]) -> None:
    wanted = common.budget_from_wire(document)
    assert wanted is not None
    assert found.orders == pytest.approx(wanted.orders)
    assert found.values == pytest.approx(wanted.values, abs=TOLERANCE)


OPERATIONS: dict[str, Callable[[Any, Any], PrivacyBudget]] = {
    "add": lambda a, b: a + b,
    "sub": lambda a, b: a - b,
    "mul": lambda a, b: a * b,
    "to_renyi": renyi_conversion.to_renyi,
}


@pytest.mark.parametrize("case", list(cases()))
def test_case(case: dict[str, Any], tmp_path: Path) -> None:
    run_case(case, on_sqlite(tmp_path / "state.db"))


def run_case(case: dict[str, Any], opening: Opening) -> None:
    """Run the steps of one case on a store, and compare the result with what the case expects."""
    if "unit" in case:
        unit = case["unit"]
        left, right = common.budget_from_wire(unit["a"]), unit["b"]
        operand = common.budget_from_wire(right) if isinstance(right, dict) else right
        assert isinstance(left, EpsilonDelta) or unit["op"] != "to_renyi"
        same(OPERATIONS[unit["op"]](left, operand), unit["expect"])
        return
    cluster = Cluster(opening, case.get("config", {}))
    cluster.settle(tick=True)
    for step in case["steps"]:
        (name, given), *_ = step.items()
        if name == "expect":
            cluster.settle()
            cluster.restart()
            check(cluster, given)
        else:
            perform(cluster, name, given)
            if not name.startswith("preload"):  # the scheduler starts after what a crash left
                cluster.settle()
    cluster.store.close()
