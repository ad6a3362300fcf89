"""What the machines of a Spark cluster do, without Spark: the blocks of the local engine, and errors as values."""

from __future__ import annotations

import contextlib
import itertools
import pickle
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from privatekube import errors
from privatekube.data.cutting.job import Job
from privatekube.data.cutting.limits import MIB, Limits
from privatekube.data.cutting.spark import columns, stages
from privatekube.data.tables import source
from tests.data.cutting import builders as cutting
from tests.data.cutting import test_cut
from tests.data.tables import builders

SMALL = Limits(memory_bytes=16 * MIB, workers=1)


def job_of(folder: Path, locations: list[str], target: Path, *, limits: Limits = SMALL) -> Job[Any]:
    schema = builders.read_schema(folder, test_cut.CHANGES)
    declaration = cutting.declaration_of(schema, str(target))
    kind = source.kind_of(locations, schema)
    job = Job(tuple(locations), schema, kind, tuple(schema.slices), declaration, cutting.KEY, limits)
    return stages.job_of(pickle.dumps(job))


def read(job: Job[Any]) -> list[pa.RecordBatch]:
    files = pa.RecordBatch.from_pydict({"id": range(len(job.locations))})
    return list(stages.read_pieces(job, stages.cut_files(job, iter([files]))))


def outcomes(batches: Iterator[pa.RecordBatch]) -> list[Any]:
    values = itertools.chain.from_iterable(batch.column(columns.OUTCOME).to_pylist() for batch in batches)
    return [stages.unpickled(value) for value in values if value is not None]


def written(job: Job[Any], batches: list[pa.RecordBatch]) -> list[Any]:
    """Write all blocks of what was read, as Spark groups it; return what became of each slice."""
    whole = pa.Table.from_batches(batches)
    by_slice: dict[int, list[pa.RecordBatch]] = {}
    for block in range(job.n_blocks):
        of_block = whole.filter(pa.compute.equal(whole[columns.BLOCK], block)).to_batches(max_chunksize=1)
        random.Random(block).shuffle(of_block)
        for done in stages.write_block(job, block, iter(of_block)):
            by_slice.setdefault(done.column(stages.SLICE)[0].as_py(), []).append(done)
    gathered = (stages.gather_slice(job, number, iter(done)) for number, done in by_slice.items())
    return outcomes(itertools.chain.from_iterable(gathered))


def write_files(folder: Path) -> list[str]:
    """Write visits with copies within a file and in another one, which has more of its own."""
    first, second = test_cut.write(folder, 90, words=12)[0], folder / "u.jsonl"
    lines = Path(first).read_text().splitlines(keepends=True)
    Path(first).write_text("".join([*lines[:70], "broken\n", *lines[:9]]))
    second.write_text("".join(lines[50:]))
    return [first, str(second)]


@pytest.mark.slow
def test_the_blocks_are_those_of_the_local_engine_in_whatever_order_records_come(tmp_path: Path) -> None:
    locations = write_files(tmp_path)
    (tmp_path / "local").mkdir()
    test_cut.cut(tmp_path / "local", locations, SMALL)
    job = job_of(tmp_path, locations, tmp_path / "spark")
    slices = written(job, read(job))
    assert test_cut.contents(tmp_path / "spark") == test_cut.contents(tmp_path / "local")
    copies = np.sum([block.exact_copies for slice_ in slices for block in slice_.blocks], axis=0)
    assert copies.tolist() == [9, 20], "of the first file, and of the second one"


@pytest.mark.slow
def test_a_block_that_is_written_again_keeps_its_file_and_digest(tmp_path: Path) -> None:
    job = job_of(tmp_path, write_files(tmp_path), tmp_path / "out")
    batches = read(job)
    first, again = ([block.digest for slice_ in written(job, batches) for block in slice_.blocks] for _ in range(2))
    assert first == again


def test_bad_input_is_the_outcome_of_its_part_and_not_raised(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("patient\n1\n")
    job = job_of(tmp_path, [str(tmp_path / "t.csv")], tmp_path / "out")
    (outcome,) = outcomes(iter(read(job)))
    assert isinstance(outcome.found, errors.InvalidInput)
    assert "is absent from" in str(outcome.found)


@pytest.mark.slow
def test_a_block_that_needs_more_memory_is_refused_before_it_is_written(tmp_path: Path) -> None:
    rows = [row | {"admitted": "2024-05-05", "patient": 7} for row in builders.rows(9000)]
    builders.write_json_lines(
        tmp_path / "t.jsonl", [row | {"note": f"{n} the " + "a " * 99} for n, row in enumerate(rows)]
    )
    job = job_of(tmp_path, [str(tmp_path / "t.jsonl")], tmp_path / "out")
    refused = [outcome for outcome in written(job, read(job)) if isinstance(outcome, errors.InvalidInput)]
    assert [str(error) for error in refused] == [
        "memory: '16MiB' is too little for the largest block; set more, more user buckets, or a shorter slice"
    ]


def test_an_unexpected_error_is_raised_without_its_message(tmp_path: Path) -> None:
    job = job_of(tmp_path, write_files(tmp_path), tmp_path / "out")
    secret = pa.RecordBatch.from_pydict({"patient 7 is ill": [1]})
    with pytest.raises(RuntimeError, match=r"unexpected KeyError at .*its message is withheld") as raised:
        list(stages.write_block(job, 0, iter([secret])))
    assert "patient 7" not in str(raised.value)
    assert raised.value.__suppress_context__


def test_an_error_that_may_pass_is_raised_so_that_spark_repeats_the_task(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = job_of(tmp_path, write_files(tmp_path), tmp_path / "out")

    def busy() -> Iterator[pa.RecordBatch]:
        raise errors.StoreBusy("bucket: does not answer")
        yield

    with contextlib.suppress(StopIteration), pytest.raises(errors.StoreBusy):
        next(stages.write_block(job, 0, busy()))
