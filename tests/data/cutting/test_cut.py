"""Cutting out of core: the same blocks whatever the processes, the memory and the interruptions."""

from __future__ import annotations

import json
import resource
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from privatekube import errors
from privatekube.data import any_block, declare, partition
from privatekube.data.cutting import job, scratch
from privatekube.data.cutting.cut import WRITING
from privatekube.data.cutting.limits import MIB, Limits
from privatekube.data.tables import source
from tests.data.cutting import builders as cutting
from tests.data.tables import builders

CHANGES: dict[str, Any] = {"users": 4, "text": {"note": {"words": "english"}}}
ROOT = Path(__file__).resolve().parents[3]


def write(folder: Path, count: int, *, words: int = 400) -> list[str]:
    """Write visits with long notes as JSON lines, and return where."""
    note = "The patient was well, and went home after two days of rest. " * (words // 12)
    rows = builders.rows(count)
    builders.write_json_lines(folder / "t.jsonl", [row | {"note": f"{n} {note}"} for n, row in enumerate(rows)])
    return [str(folder / "t.jsonl")]


def cut(folder: Path, locations: list[str], limits: Limits, **options: Any) -> list[declare.DeclaredSlice]:
    declared = builders.read_schema(folder, CHANGES)
    kind = source.kind_of(locations, declared)
    return cutting.cut(locations, declared, kind, folder, limits=limits, **options)[0]


def contents(folder: Path) -> dict[str, str]:
    """Return the digests of the contents of all blocks of a folder."""
    return {path.name: any_block.read_block(path).content.digest for path in sorted(folder.glob("*.h5"))}


@pytest.mark.slow
def test_one_process_and_two_write_the_same_blocks(tmp_path: Path) -> None:
    locations = write(tmp_path, 6000)
    results = []
    for name, limits in (("one", Limits(workers=1)), ("two", Limits(memory_bytes=32 * MIB, workers=2, start_bytes=0))):
        (tmp_path / name).mkdir()
        cut(tmp_path / name, locations, limits)
        results.append(contents(tmp_path / name))
    assert len(results[0]) == 48
    assert results[0] == results[1]


@pytest.mark.slow
@pytest.mark.parametrize(("start_bytes", "is_shared"), [(0, True), (Limits().start_bytes, False)])
def test_large_input_is_shared_by_workers_also_where_each_file_is_one_part(
    tmp_path: Path, start_bytes: int, is_shared: bool
) -> None:
    for name in "ab":
        (tmp_path / name).mkdir()
    locations = [location for name in "ab" for location in write(tmp_path / name, 50)]
    before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
    one_block = {"kind": partition.ALL_DAYS, "n_buckets": 1}
    cut(tmp_path, locations, Limits(workers=2, start_bytes=start_bytes), **one_block)
    assert (resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime > before) == is_shared


def test_many_small_files_are_not_opened_again_for_groups_of_a_few_records(tmp_path: Path) -> None:
    rows, paths = builders.rows(120), [tmp_path / f"{number}.jsonl" for number in range(40)]
    for number, path in enumerate(paths):
        builders.write_json_lines(path, rows[3 * number : 3 * number + 3])
    shown: list[str] = []
    cut(tmp_path, [str(path) for path in paths], Limits(workers=2), show=lambda stage, _: shown.append(stage))
    assert shown.count(WRITING) == 1


KILLED = """
import os, signal, sys
from pathlib import Path
from tests.data.cutting import test_cut
from privatekube.data.cutting import scratch
from privatekube.data.cutting.limits import Limits

def show(stage, share):
    if stage.startswith(sys.argv[1]) and share > 0.3:
        os.kill(os.getpid(), signal.SIGKILL)

if __name__ == "__main__":
    test_cut.cut(Path.cwd(), sys.argv[2:], test_cut.SMALL, show=show)
"""
SMALL = Limits(memory_bytes=16 * MIB, workers=1)


def killed(folder: Path, stage: str, locations: list[str]) -> None:
    program = [sys.executable, "-c", f"import sys; sys.path.insert(0, {str(ROOT)!r}){KILLED}", stage, *locations]
    assert subprocess.run(program, cwd=folder, check=False).returncode == -signal.SIGKILL


@pytest.mark.slow
@pytest.mark.parametrize("stage", ["reading", "writing"])
def test_a_run_that_was_killed_is_continued_by_the_next(tmp_path: Path, stage: str) -> None:
    (tmp_path / "whole").mkdir()
    locations = write(tmp_path, 3000)
    cut(tmp_path / "whole", locations, SMALL)
    killed(tmp_path, stage, locations)
    (left,) = [path for path in (tmp_path / "scratch").iterdir() if path.is_dir()]
    before = {path: path.stat().st_mtime_ns for path in [*left.glob("part-*"), *tmp_path.glob("*.h5")]}
    after: dict[Path, int] = {}

    def show(stage: str, share: float) -> None:
        after.update({path: path.stat().st_mtime_ns for path in before if path.exists()})

    assert before
    cut(tmp_path, locations, SMALL, show=show)
    assert after == before, "what was done is not done again"
    assert contents(tmp_path) == contents(tmp_path / "whole")
    assert [path for path in (tmp_path / "scratch").iterdir() if path.is_dir()] == []


@pytest.mark.slow
def test_what_a_killed_run_left_in_another_format_is_not_continued(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    locations = write(tmp_path, 3000)
    killed(tmp_path, "reading", locations)
    (left,) = [path for path in (tmp_path / "scratch").iterdir() if path.is_dir()]
    after: list[bool] = []
    monkeypatch.setattr(job, "SCRATCH_FORMAT", job.SCRATCH_FORMAT + 1)
    cut(tmp_path, locations, SMALL, show=lambda *_: after.append(left.exists()))
    assert not any(after)


def test_a_file_that_vanishes_before_it_is_cut_is_one_line_and_nothing_is_left(tmp_path: Path) -> None:
    locations = write(tmp_path, 9)
    declared = builders.read_schema(tmp_path, CHANGES)
    kind = source.kind_of(locations, declared)
    (tmp_path / "t.jsonl").unlink()
    with pytest.raises(errors.NotFound, match="does not exist; check the name"):
        cutting.cut(locations, declared, kind, tmp_path)
    assert not list(tmp_path.glob("scratch/*"))


@pytest.mark.slow
def test_what_a_killed_run_left_is_removed_by_the_next_run_of_anything(tmp_path: Path) -> None:
    killed(tmp_path, "reading", write(tmp_path, 3000))
    (left,) = [path for path in (tmp_path / "scratch").iterdir() if path.is_dir()]
    assert [path for path in (left, *left.iterdir()) if path.stat().st_mode & 0o077] == []
    write(tmp_path, 30)
    cut(tmp_path, [str(tmp_path / "t.jsonl")], SMALL)
    assert not left.exists()


@pytest.mark.slow
def test_a_file_larger_than_the_memory_is_cut_within_it(tmp_path: Path) -> None:
    program = (
        "import re, sys; from pathlib import Path; from tests.data.cutting import test_cut as t; "
        "t.cut(Path.cwd(), sys.argv[1:], t.SMALL); "
        "print(re.search(r'VmHWM:\\s*(\\d+) kB', Path('/proc/self/status').read_text())[1])"
    )
    peaks = []
    for count in (100, 32_000):
        folder = tmp_path / str(count)
        folder.mkdir()
        locations = write(folder, count)
        command = [sys.executable, "-c", f"import sys; sys.path.insert(0, {str(ROOT)!r}); {program}", *locations]
        done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=folder)
        peaks.append(int(done.stdout) // 1024)
    assert Path(locations[0]).stat().st_size > 4 * SMALL.memory_bytes
    assert peaks[1] - peaks[0] < SMALL.memory_bytes // MIB + 16, "what is mapped and the allocators' reserves on top"


def test_a_block_that_needs_more_memory_is_refused_in_one_line_and_nothing_is_left(tmp_path: Path) -> None:
    rows = [row | {"admitted": "2024-05-05", "patient": 7} for row in builders.rows(9000)]
    builders.write_json_lines(
        tmp_path / "t.jsonl", [row | {"note": f"{n} the " + "a " * 99} for n, row in enumerate(rows)]
    )
    with pytest.raises(
        errors.InvalidInput, match=r"^memory: '16MiB' is too little for the largest block; set more, more"
    ):
        cut(tmp_path, [str(tmp_path / "t.jsonl")], SMALL)
    assert [path.name for path in (tmp_path / "scratch").iterdir()] == ["lock"]
    assert list(tmp_path.glob("*.h5")) == []


def interrupted(home: Path) -> None:
    with scratch.opened("job", home) as first:
        first.note("part", {"a": 1})
        with (first.folder / "manifest").open("ab") as manifest:
            manifest.write(json.dumps(["other", {}]).encode()[:-3])
        raise KeyboardInterrupt


def test_a_line_of_the_manifest_that_was_half_written_is_done_again(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        interrupted(tmp_path)
    with scratch.opened("job", tmp_path) as again:
        assert again.done == {"part": {"a": 1}}
        again.note("other", 2)
    assert not (tmp_path / "job").exists()


def test_two_processes_do_not_work_in_one_folder(tmp_path: Path) -> None:
    with scratch.opened("job", tmp_path), scratch.opened("another", tmp_path):
        with pytest.raises(errors.InvalidInput, match="another process is cutting it"):
            scratch.opened("job", tmp_path).__enter__()
        assert {path.name for path in tmp_path.iterdir()} == {"job", "another", "lock"}


@pytest.mark.parametrize(
    ("limits", "expected"),
    [
        ({"workers": 0}, "workers: 0 must be at least 1"),
        ({"workers": 3, "memory_bytes": 40 * MIB}, "memory: '40MiB' is below 48MiB, which 3 workers need"),
    ],
)
def test_limits_that_cannot_be_kept_are_refused(limits: dict[str, int], expected: str) -> None:
    with pytest.raises(errors.InvalidInput, match=expected):
        Limits(**limits)
