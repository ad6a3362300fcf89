"""What cuts files into blocks: the processes of this machine, or a cluster of Spark. The blocks are the same."""

from __future__ import annotations

import functools
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Protocol

from privatekube import errors
from privatekube.data.cutting import cut, scratch
from privatekube.data.cutting.cut import Cut, Show
from privatekube.data.cutting.job import Job
from privatekube.data.cutting.limits import Limits, number_of_cores, parse_memory
from privatekube.data.read_report import ReadReport

LOCAL, SPARK = "local", "spark"
ENGINES = (LOCAL, SPARK)


class Engine(Protocol):
    """Cuts files, and yields the blocks to be registered; see `cut.opened`, which is one."""

    def __call__(
        self, job: Job[Any], report: ReadReport, *, show: Show = ..., home: Path = scratch.HOME
    ) -> AbstractContextManager[Cut]:
        """Cut the files of a job."""


def engine_of(name: str, *, master: str | None) -> Engine:
    """Return an engine.

    Args:
        name: one of `ENGINES`.
        master: of Spark; None for the default.

    Raises:
        InvalidInput: there is no such engine, or it has no master.
        MissingExtra: it is not installed.
    """
    if name not in ENGINES:
        raise errors.invalid("engine", name, f"is not one of {', '.join(ENGINES)}", "choose one")
    if name == LOCAL:
        if master is not None:
            raise errors.invalid("master", master, "is of Spark", f"add --engine {SPARK}, or leave it out")
        return cut.opened
    with errors.naming_extra():
        from privatekube.data.cutting.spark import cut as spark_cut  # noqa: PLC0415 - an extra of its own
    return functools.partial(spark_cut.opened, master=master)


def limits_of(name: str, *, memory: str, workers: int | None) -> Limits:
    """Return what an engine may use.

    Args:
        name: of the engine.
        memory: of all its processes together; of Spark, of one task.
        workers: processes of this machine; None for one a core.

    Raises:
        InvalidInput: not a size, no worker, too little memory for them, or workers of Spark.
    """
    if name == SPARK:
        if workers is not None:
            remedy = "leave it out; --master 'local[4]' and Spark's own configuration say how many there are"
            raise errors.invalid("workers", workers, "is of the engine local", remedy)
        return Limits(parse_memory(memory), workers=1)
    return Limits(parse_memory(memory), number_of_cores() if workers is None else workers)
