"""Machines whose clocks are years apart: claims wait, are held and are settled as long as they should be."""

from __future__ import annotations

import os
import time
from dataclasses import replace
from pathlib import Path

import pytest

from privatekube.resources.claim import SettleAfter
from privatekube.store.clock import SYSTEM
from privatekube.store.kubernetes.store import KubernetesStore
from tests import builders, waiting
from tests.kubernetes.conftest import Starter
from tests.kubernetes.controllers import is_answered
from tests.reconcile.harness import Plane

pytestmark = pytest.mark.kubernetes
HOUR, YEAR = 3600, 365 * 86_400
SPREAD_SECONDS = 1
"""How much later than another process one may take the time of the server to be."""
WRONG_CLOCK = """
import time
right, right_ns = time.time, time.time_ns
time.time = lambda: right() + ({seconds})
time.time_ns = lambda: right_ns() + ({seconds}) * 10**9
"""


def set_clock(folder: Path, monkeypatch: pytest.MonkeyPatch, seconds: int) -> None:
    """Have the processes that start from now on read a clock that is wrong by so many seconds."""
    (folder / "sitecustomize.py").write_text(WRONG_CLOCK.format(seconds=seconds))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(folder), os.environ.get("PYTHONPATH", "")]))


@pytest.mark.parametrize("seconds", [5 * HOUR, -5 * HOUR, 10 * YEAR, -50 * YEAR])
def test_a_controller_whose_clock_is_wrong_keeps_the_times(
    store: KubernetesStore, start: Starter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seconds: int
) -> None:
    set_clock(tmp_path, monkeypatch, seconds)
    controller = start()
    store.create(builders.block("b"))
    for name, after_seconds in (("held", HOUR), ("left", 5)):
        claim = builders.claim(name, builders.allocate(0.25))
        after = SettleAfter.from_now(after_seconds, now_ms=SYSTEM.now_ms())
        store.create(replace(claim, spec=replace(claim.spec, settle_after=after)))
    waiting.until(lambda: is_answered(store, "held") and is_answered(store, "left"), controller.log)
    began = time.monotonic()
    store.create(builders.claim("waits", builders.allocate(0.75, timeout_ms=4000)))
    waiting.until(lambda: bool(Plane(store).states("waits")), controller.log)
    waiting.until(lambda: is_answered(store, "waits"), controller.log)
    assert time.monotonic() - began >= 4 - SPREAD_SECONDS
    assert Plane(store).states("waits") == ["failure"]
    waiting.until(lambda: not Plane(store).claim("left").status.acquired, controller.log)
    assert Plane(store).claim("held").status.acquired


def test_a_client_whose_clock_is_behind_is_not_settled_early(store: KubernetesStore, start: Starter) -> None:
    controller = start()
    store.create(builders.block("b"))
    claim = builders.claim("c", builders.allocate(0.5))
    after = SettleAfter.from_now(4, now_ms=SYSTEM.now_ms() - 5 * HOUR * 1000)
    began = time.monotonic()
    store.create(replace(claim, spec=replace(claim.spec, settle_after=after)))
    waiting.until(lambda: is_answered(store, "c"), controller.log)
    assert Plane(store).states("c") == ["success"]
    waiting.until(lambda: not Plane(store).claim("c").status.acquired, controller.log)
    assert time.monotonic() - began >= 4 - SPREAD_SECONDS
