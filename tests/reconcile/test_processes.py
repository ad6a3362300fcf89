"""Processes claim, consume and release on one file and are killed at random: nothing is lost or overspent.

PRIVATEKUBE_SOAK_SECONDS sets for how long; PRIVATEKUBE_SOAK_PROCESSES how many.
"""

from __future__ import annotations

import multiprocessing
import os
import random
import time
from multiprocessing.process import BaseProcess
from pathlib import Path

import pytest

from privatekube import errors
from privatekube.client import connect
from privatekube.privacy import arithmetic
from privatekube.privacy.budget import EpsilonDelta
from privatekube.reconcile import ledger_audit
from privatekube.resources import ledger, transitions
from privatekube.resources.requests import RegisterRequest
from tests import builders
from tests.passes import run_pass

SECONDS = float(os.environ.get("PRIVATEKUBE_SOAK_SECONDS", "8"))
PROCESSES = int(os.environ.get("PRIVATEKUBE_SOAK_PROCESSES", "3"))
WHOLE = EpsilonDelta(1000.0, 1e-3)
PIECE = 0.01
PAID = 10
"""How many claims have paid at least before it ends."""


def work(uri: str, seed: int) -> None:
    chance = random.Random(seed)
    with connect.connect(uri) as plane:
        for number in range(10_000):
            name = f"c-{seed}-{number}"
            plane.allocate("ns", name, builders.allocate(PIECE, blocks=chance.randint(1, 3)), timeout_seconds=30)
            if chance.random() < 0.7:
                plane.mark_opened(f"ns/{name}")
            plane.settle(f"ns/{name}")


def start(uri: str, seed: int) -> BaseProcess:
    process = multiprocessing.get_context("spawn").Process(target=work, args=(uri, seed), daemon=True)
    process.start()
    return process


@pytest.mark.slow
def test_nothing_is_lost_when_processes_are_killed_at_random(tmp_path: Path) -> None:
    uri = f"sqlite:///{tmp_path}/state.db"
    with connect.connect(uri) as plane:
        plane.create_blocks([builders.block(name, WHOLE) for name in ("a", "b", "c")])
    chance, seeds = random.Random(0), iter(range(10_000))
    running = [start(uri, next(seeds)) for _ in range(PROCESSES)]
    deadline = time.monotonic() + SECONDS
    while time.monotonic() < deadline or n_paid(uri) < PAID:  # on a slow machine, many are killed before they claim
        time.sleep(chance.uniform(0.3, 1.5))
        victim = running.pop(chance.randrange(len(running)))
        victim.kill()
        victim.join()
        running.append(start(uri, next(seeds)))
    for process in running:
        process.kill()
        process.join()
    check(uri)


def n_paid(uri: str) -> int:
    with connect.connect(uri) as plane:
        return sum(bool(claim.status.committed) for claim in plane.list_claims())


def register(uri: str, output: str) -> None:
    with connect.connect(uri) as plane:
        while True:
            try:
                plane.register_release("ns/c", builders.release(output=output))
            except errors.BudgetExceeded:
                continue


@pytest.mark.slow
def test_processes_that_are_killed_at_random_register_one_release_of_a_step(tmp_path: Path) -> None:
    uri = f"sqlite:///{tmp_path}/state.db"
    chance = random.Random(0)
    with connect.connect(uri) as plane:
        plane.create_blocks([builders.block()])
        plane.allocate("ns", "c", builders.allocate(), timeout_seconds=5)
        plane.mark_opened("ns/c")
        start_process = multiprocessing.get_context("spawn").Process
        accepted: set[RegisterRequest] = set()
        for round_number in range(3):
            outputs = "123" if round_number % 2 else "321"
            running = [start_process(target=register, args=(uri, output), daemon=True) for output in outputs]
            for process in running:
                process.start()
            while not accepted or chance.random() < 0.7:
                time.sleep(0.1)
                accepted |= set(plane.get_claim("ns/c").releases.values())
            for process in running:
                process.kill()
                process.join()
            accepted |= set(plane.get_claim("ns/c").releases.values())
        run_pass(plane)
        assert accepted == set(plane.get_claim("ns/c").releases.values())
        assert len(accepted) == 1


def check(uri: str) -> None:
    """Check that claims and blocks agree, and that what is left can be settled."""
    with connect.connect(uri) as plane:
        claims = plane.list_claims()
        for claim in claims:
            plane.settle(claim.id)
        claims = plane.list_claims()
        for block in plane.list_blocks():
            status = transitions.status_of(transitions.require_balance(block))
            assert not status.locks
            assert not status.reserved
            assert not status.acquired
            recorded = {claim.id: claim.status.committed.get(block.id) for claim in claims}
            entered = {entry.claim: entry.amount for entry in ledger.amounts(plane.store.ledger(block_id=block.id))}
            assert entered == {claim_id: amount for claim_id, amount in recorded.items() if amount is not None}
            spent = arithmetic.total(status.committed.values(), start=WHOLE * 0)
            assert arithmetic.is_close(spent + status.available + status.pending, WHOLE)
        assert ledger_audit.verify(plane.store).data == 3
        with pytest.raises(errors.BudgetUnavailable):
            plane.allocate("ns", "last", builders.allocate(WHOLE.epsilon), timeout_seconds=1)
