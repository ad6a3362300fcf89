"""Show how much of the work of Spark is done, as it counts its tasks, and end it where no machine ever takes one."""

from __future__ import annotations

import contextlib
import itertools
import threading
from collections.abc import Iterator
from dataclasses import dataclass

from pyspark.sql import SparkSession

from privatekube import errors
from privatekube.data.cutting.cut import Show

WAITING = "waiting for machines"
WAIT_SECONDS = 900.0
"""How long Spark may wait for a machine: a cluster that grows on demand takes minutes to start one."""
_PERIOD_SECONDS = 1.0
_TOLD_AFTER = 5
"""How many periods pass without a machine at work before it is shown: there are short ones between two stages."""


@dataclass(frozen=True)
class Tasks:
    """The tasks of all active jobs.

    Args:
        total: how many there are.
        active: how many of them machines are at work on.
        done: how many are done.
    """

    total: int
    active: int
    done: int

    @property
    def are_waiting(self) -> bool:
        """Whether there are tasks, and no machine has one."""
        return self.done < self.total and self.active == 0


@contextlib.contextmanager
def shown(spark: SparkSession, stage: str, show: Show, *, wait_seconds: float = WAIT_SECONDS) -> Iterator[None]:
    """Show the share of the tasks that are done, every second while the block runs, and all of them at its end.

    Args:
        spark: what is at work.
        stage: what it does.
        show: is told of it, and of waiting for machines.
        wait_seconds: how long tasks may wait without one machine at work.

    Raises:
        WorkerLost: they waited longer, and were cancelled.
    """
    has_ended, has_given_up = threading.Event(), threading.Event()

    def watch() -> None:
        n_waits = 0
        while not has_ended.wait(_PERIOD_SECONDS):
            tasks = _tasks(spark)
            if n_waits >= _TOLD_AFTER:
                show(WAITING, min(1.0, n_waits * _PERIOD_SECONDS / wait_seconds) if tasks.are_waiting else 1.0)
            else:
                show(stage, tasks.done / max(1, tasks.total))
            n_waits = n_waits + 1 if tasks.are_waiting else 0
            if n_waits * _PERIOD_SECONDS >= wait_seconds:
                has_given_up.set()
                spark.sparkContext.cancelAllJobs()
                return

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield
    except Exception as error:
        if has_given_up.is_set():
            raise errors.WorkerLost(_message(spark.sparkContext.master, wait_seconds)) from error
        raise
    finally:
        has_ended.set()
        thread.join()
    show(stage, 1.0)


def _message(master: str, seconds: float) -> str:
    fault = f"has had no free machine for {seconds:.0f} seconds"
    return f"master: {master!r} {fault}; free or start one with enough cores and memory, and run the command again"


def _tasks(spark: SparkSession) -> Tasks:
    """Return the tasks of the stages of all active jobs."""
    tracker = spark.sparkContext.statusTracker()
    jobs = filter(None, map(tracker.getJobInfo, tracker.getActiveJobsIds()))
    numbers = itertools.chain.from_iterable(job.stageIds for job in jobs)
    stages = [stage for stage in map(tracker.getStageInfo, numbers) if stage is not None]
    return Tasks(
        total=sum(stage.numTasks for stage in stages),
        active=sum(stage.numActiveTasks for stage in stages),
        done=sum(stage.numCompletedTasks for stage in stages),
    )
