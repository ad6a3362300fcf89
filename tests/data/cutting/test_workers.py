"""Parts of a job are done in order, by this process or by several, and a lost process is named as such."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from privatekube import errors
from privatekube.data.cutting.workers import Workers
from tests import waiting


def where(job: int, part: int) -> tuple[int, bool]:
    return job + part, os.getpid() == job


def lost(job: str, part: int) -> int:
    if part == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    return part


def after_the_command_did_one(job: tuple[int, Path], part: int) -> tuple[int, bool]:
    command, seen = job
    if os.getpid() == command:
        seen.touch()
    waiting.until(seen.exists)
    return part, os.getpid() == command


def refused(job: str, part: int) -> int:
    raise errors.InvalidInput(f"part {part}")


class InterruptedAtTheStart:
    """A job that a worker, while it starts, gets together with Ctrl-C."""

    def __reduce__(self) -> tuple[Callable[[], InterruptedAtTheStart], tuple[()]]:
        return interrupted, ()


def interrupted() -> InterruptedAtTheStart:
    os.kill(os.getpid(), signal.SIGINT)
    return InterruptedAtTheStart()


def interrupted_again(job: InterruptedAtTheStart, part: int) -> int:
    if part == 0:
        os.kill(os.getpid(), signal.SIGINT)
    return part


@pytest.mark.parametrize(("number", "most", "n_parts"), [(1, None, 9), (2, 1, 9), (2, None, 1)])
def test_what_one_process_can_do_as_fast_is_done_in_this_process(number: int, most: int | None, n_parts: int) -> None:
    with Workers(os.getpid(), number) as workers:
        done = list(workers.map(where, range(n_parts), most=most))
    assert done == [(os.getpid() + part, True) for part in range(n_parts)]


@pytest.mark.slow
def test_this_process_does_parts_too_while_the_others_are_busy_and_all_come_in_order(tmp_path: Path) -> None:
    with Workers((os.getpid(), tmp_path / "seen"), 2) as workers:
        done = list(workers.map(after_the_command_did_one, range(9)))
    assert [part for part, _ in done] == list(range(9))
    assert not done[0][1]


@pytest.mark.slow
def test_the_error_of_the_first_part_is_raised_whichever_process_is_faster() -> None:
    with Workers("job", 2) as workers, pytest.raises(errors.InvalidInput, match="part 0"):
        list(workers.map(refused, range(9)))


@pytest.mark.slow
def test_a_process_that_is_lost_is_named() -> None:
    with Workers("job", 2) as workers, pytest.raises(errors.WorkerLost, match="the system ended a worker"):
        list(workers.map(lost, range(9)))


@pytest.mark.slow
def test_a_worker_goes_on_when_it_gets_the_interruption_that_is_for_the_command(
    capfd: pytest.CaptureFixture[str],
) -> None:
    with Workers(InterruptedAtTheStart(), 2) as workers:
        assert list(workers.map(interrupted_again, range(9))) == list(range(9))
    assert not capfd.readouterr().err
