"""Parts of a job are done in order, by this process or by several, and a lost process is named as such."""

from __future__ import annotations

import os
import signal

import pytest

from privatekube import errors
from privatekube.data.cutting.workers import Workers


def where(job: int, part: int) -> tuple[int, bool]:
    return job + part, os.getpid() == job


def lost(job: str, part: int) -> int:
    if part == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return part


@pytest.mark.parametrize(("number", "most", "n_parts"), [(1, None, 9), (2, 1, 9), (2, None, 1)])
def test_what_one_process_can_do_as_fast_is_done_in_this_process(number: int, most: int | None, n_parts: int) -> None:
    with Workers(os.getpid(), number) as workers:
        done = list(workers.map(where, range(n_parts), most=most))
    assert done == [(os.getpid() + part, True) for part in range(n_parts)]


@pytest.mark.slow
def test_many_parts_are_done_in_others_in_order_and_one_that_is_lost_is_named() -> None:
    with Workers(os.getpid(), 2) as workers:
        assert list(workers.map(where, range(9))) == [(os.getpid() + part, False) for part in range(9)]
    with Workers("job", 2) as workers, pytest.raises(errors.WorkerLost, match="the system ended a worker"):
        list(workers.map(lost, range(9)))
