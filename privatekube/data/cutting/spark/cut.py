"""Cut the files of a table with Spark: what the command does, which sees counts and declarations, and no record."""

from __future__ import annotations

import contextlib
import pickle
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
from pyspark import StorageLevel
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as sql
from pyspark.sql.pandas.types import from_arrow_schema

from privatekube import errors
from privatekube.data import declare
from privatekube.data.cutting import read_parts, scratch, write_blocks
from privatekube.data.cutting.cut import READING, WRITING, Cut, Show
from privatekube.data.cutting.job import Job, tools_of
from privatekube.data.cutting.spark import columns, progress, session, stages
from privatekube.data.declare import DeclaredSlice, WrittenBlock
from privatekube.data.read_report import ReadReport
from privatekube.data.tables.reading import Found
from privatekube.storage import uris


@contextlib.contextmanager
def opened(
    job: Job[Any],
    report: ReadReport,
    *,
    show: Show = lambda *_: None,
    home: Path = scratch.HOME,
    master: str | None = None,
) -> Iterator[Cut]:
    """Cut files, and yield the blocks to be registered, as `cutting.cut.opened` does.

    All machines must be able to read the files, and what the schema names, at the same place, and to write the blocks.

    Args:
        job: what is cut; its memory is that of one task.
        report: gets the exact numbers of what was read and left out.
        show: is told of progress.
        home: where the private folders of all jobs are.
        master: of Spark; see `session.opened`.

    Raises:
        InvalidInput, CorruptData, AlreadyExists: as `cutting.cut.opened`, and see `session.opened`.
        WorkerLost: Spark gave up.
    """
    with scratch.opened(job.name, home) as folder:
        with session.opened(master, folder.folder / "spark") as spark:
            read = _read(spark, job).persist(StorageLevel.DISK_ONLY)
            with progress.shown(spark, READING, show):
                warnings = _check(job, _outcomes(read), report)
            with progress.shown(spark, WRITING, show):
                slices = _declared(job, _outcomes(_written(spark, job, read)), report)
        yield Cut(slices, warnings)


def _read(spark: SparkSession, job: Job[Any]) -> DataFrame:
    """Return all records, and what became of each part of a file."""
    n_files = len(job.locations)
    numbers = spark.range(0, n_files, numPartitions=n_files)
    pieces = numbers.mapInArrow(_mapping(stages.cut_files, job), from_arrow_schema(stages.PIECES))
    spread = pieces.repartition("file", "number")
    return spread.mapInArrow(_mapping(stages.read_pieces, job), from_arrow_schema(columns.READ))


def _written(spark: SparkSession, job: Job[Any], read: DataFrame) -> DataFrame:
    """Return what becomes of each slice when its blocks are written, also those without records."""
    records = read.where(sql.col(columns.OUTCOME).isNull()).drop(columns.OUTCOME)
    every = spark.range(job.n_blocks).select(sql.col("id").cast("int").alias(columns.BLOCK))
    by_block = records.unionByName(every, allowMissingColumns=True).groupBy(columns.BLOCK)
    blocks = by_block.applyInArrow(_grouped(stages.write_block, job), from_arrow_schema(stages.BLOCKS))
    by_slice = blocks.groupBy(stages.SLICE)
    return by_slice.applyInArrow(_grouped(stages.gather_slice, job), from_arrow_schema(stages.SLICES))


def _outcomes(rows: DataFrame) -> list[Any]:
    outcomes = rows.where(sql.col(columns.OUTCOME).isNotNull()).select(columns.OUTCOME).collect()
    return [stages.unpickled(bytes(row[0])) for row in outcomes]


def _check(job: Job[Any], outcomes: Sequence[stages.Read], report: ReadReport) -> list[str]:
    """Count what was read of all files, or refuse them as reading them here does; return what to warn of."""
    reader, whole, warnings = tools_of(job).reader, Found(), list[str]()
    parts = sorted(outcomes, key=lambda read: (read.file, read.number))
    for file, location in enumerate(job.locations):
        found = Found(counts=report.of(location))
        for part in parts:
            if part.file == file:
                found.add(_or_raise(part.found))
        with contextlib.nullcontext(Path(location)) if found.fields else uris.local_copy(location) as path:
            reader.require_fields(path, location, found)
        warnings += read_parts.require_readable(job, location, found)
        whole.add(Found(fitting=found.fitting))
    reader.require_fitting(whole, ", ".join(job.locations))
    return warnings


def _declared(job: Job[Any], outcomes: Sequence[Any], report: ReadReport) -> list[DeclaredSlice]:
    """Count what was written, and return the declarations of all slices."""
    slices: list[stages.WrittenSlice] = [_or_raise(outcome) for outcome in outcomes]
    return [_declare(job, one, report) for one in sorted(slices, key=lambda one: one.number)]


def _declare(job: Job[Any], written: stages.WrittenSlice, report: ReadReport) -> DeclaredSlice:
    blocks: list[WrittenBlock] = []
    for bucket, block in enumerate(written.blocks):
        write_blocks.count(job, block, report)
        blocks.append(WrittenBlock(bucket, block.digest, {} if blocks else written.hashes))  # of all of the slice
    days = job.slices[written.number]
    return declare.declared_slice(job.kind, blocks, days, job.declaration, owner_key=job.owner_key)


def _or_raise(outcome: Any) -> Any:
    if isinstance(outcome, errors.PrivateKubeError):
        raise outcome
    return outcome


def _mapping(
    action: Callable[[Job[Any], stages.Batches], stages.Batches], job: Job[Any]
) -> Callable[[Iterator[pa.RecordBatch]], Iterator[pa.RecordBatch]]:
    """Return an action of a job as a function that Spark can send to its machines."""
    image = pickle.dumps(job)

    def on_machine(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        return action(stages.job_of(image), batches)

    return on_machine


def _grouped(
    action: Callable[[Job[Any], int, stages.Batches], stages.Batches], job: Job[Any]
) -> Callable[[tuple[pa.Scalar, ...], Iterator[pa.RecordBatch]], Iterator[pa.RecordBatch]]:
    """Return an action on a group of rows as a function that Spark can send to its machines."""
    image = pickle.dumps(job)

    def on_machine(key: tuple[pa.Scalar, ...], batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        return action(stages.job_of(image), key[0].as_py(), batches)

    return on_machine
