"""The clock of a store in a file counts on when the system's clock is set."""

from __future__ import annotations

from pathlib import Path

import pytest

from privatekube.store.clock import SYSTEM
from privatekube.store.sqlite.boot_clock import BootClock
from privatekube.store.sqlite.store import SqliteStore
from tests.clock import FakeClock

SECOND_NS = 1_000_000_000
IN_2026, IN_2036, IN_1970 = 1_790_000_000_000, 2_100_000_000_000, 1000


class Machine:
    """A machine whose clock can be set, and a store on it."""

    def __init__(self, path: Path) -> None:
        self.path, self.system, self.boot, self.up_ns = path, FakeClock(IN_2026), "first", 5 * SECOND_NS

    def clock(self) -> BootClock:
        """Return the clock of a new process that opens the store."""
        return BootClock(SqliteStore(self.path).ensure_secret, self.boot, lambda: self.up_ns, self.system)


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path / "state.db")


@pytest.mark.parametrize("set_to_ms", [IN_2036, IN_1970, IN_2026 - 3 * 3_600_000])
def test_it_counts_on_when_the_system_clock_is_set(machine: Machine, set_to_ms: int) -> None:
    clock = machine.clock()
    began_ms = clock.now_ms()
    assert began_ms == IN_2026
    machine.system.time_ms = set_to_ms
    machine.up_ns += 7 * SECOND_NS
    assert clock.now_ms() == began_ms + 7000
    assert machine.clock().now_ms() == began_ms + 7000


def test_it_takes_the_time_of_the_system_after_a_start_of_the_machine(machine: Machine) -> None:
    assert machine.clock().now_ms() == IN_2026
    machine.boot, machine.up_ns, machine.system.time_ms = "second", 0, IN_2026 + 60_000
    assert machine.clock().now_ms() == IN_2026 + 60_000


def test_a_store_has_the_time_of_this_machine(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "state.db")
    assert abs(store.clock.now_ms() - SYSTEM.now_ms()) < 60_000
