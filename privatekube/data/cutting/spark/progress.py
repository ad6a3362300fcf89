"""Show how much of the work of Spark is done, as it counts its tasks."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator

from pyspark.sql import SparkSession

from privatekube.data.cutting.read_parts import ShowShare

_PERIOD_SECONDS = 1.0


@contextlib.contextmanager
def shown(spark: SparkSession, show: ShowShare) -> Iterator[None]:
    """Show the share of the tasks that are done, again and again while the block runs, and all of them at its end."""
    has_ended = threading.Event()

    def watch() -> None:
        while not has_ended.wait(_PERIOD_SECONDS):
            show(_share(spark))

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield
    finally:
        has_ended.set()
        thread.join()
    show(1.0)


def _share(spark: SparkSession) -> float:
    """Return the share of the tasks of the stages of all active jobs that are done."""
    tracker = spark.sparkContext.statusTracker()
    jobs = filter(None, map(tracker.getJobInfo, tracker.getActiveJobsIds()))
    stages = [stage for job in jobs for stage in map(tracker.getStageInfo, job.stageIds) if stage is not None]
    n_done: int = sum(stage.numCompletedTasks for stage in stages)
    n_tasks: int = sum(stage.numTasks for stage in stages)
    return n_done / max(1, n_tasks)
