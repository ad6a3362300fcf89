"""The folder of a run that is not kept is private, and goes with the run, or with the next one if that was killed."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from privatekube.kubeflow import scratch_folder

PROGRAM = """
import time
from privatekube.kubeflow import scratch_folder
with scratch_folder.created() as folder:
    (folder / "reviews").write_text("private")
    print(folder, flush=True)
    time.sleep(600)
"""


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_it_is_private_and_goes_with_the_run() -> None:
    with scratch_folder.created() as folder, scratch_folder.created() as other:
        assert folder.is_relative_to(Path.cwd())
        assert [stat.S_IMODE(path.stat().st_mode) for path in (folder, other, folder.parent)] == [0o700] * 3
        (folder / "work").mkdir()
    assert list(scratch_folder.SCRATCH.iterdir()) == []


@pytest.mark.slow  # a process of its own
def test_what_a_killed_process_left_goes_with_the_next_run_and_what_is_alive_or_a_link_stays(tmp_path: Path) -> None:
    process = subprocess.Popen([sys.executable, "-c", PROGRAM], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    left = Path(process.stdout.readline().strip())
    (tmp_path / "mine").mkdir()
    (scratch_folder.SCRATCH / "link").symlink_to(tmp_path / "mine")
    with scratch_folder.created():
        assert (left / "reviews").exists(), "its process is alive"
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    process.stdout.close()
    assert (left / "reviews").exists()
    with scratch_folder.created() as folder:
        assert {path.name for path in scratch_folder.SCRATCH.iterdir()} == {folder.name, "link"}
    assert (tmp_path / "mine").exists()
