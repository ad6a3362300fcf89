"""Cutting on a real cluster of Spark: the blocks of the local engine, also when a machine is lost in the middle."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytest.importorskip("pyspark", reason="needs the extra spark")
from privatekube import entrypoint
from tests import waiting
from tests.data.cutting import test_cut
from tests.data.cutting.spark import cluster
from tests.data.tables import builders

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("java") is None, reason="needs Java 17 or later, which runs Spark"),
]
CREATE = [sys.executable, "-m", "privatekube.cli", "blocks", "create", "--source", "t.jsonl", "--schema", "schema.yaml"]


WAIT = """
import sys
from pathlib import Path
from privatekube import errors
from privatekube.data.cutting.spark import progress, session

stages = []
try:
    with session.opened(sys.argv[1], Path("spark")) as spark:
        with progress.shown(spark, "reading", lambda stage, share: stages.append(stage), wait_seconds=8):
            spark.range(4).selectExpr("max(id)").collect()
except errors.WorkerLost as error:
    print(error, stages[-1], sep="\\n")
"""


def blocks(folder: Path) -> dict[str, str]:
    return test_cut.contents(folder / ".privatekube" / "blocks" / "privacy-example" / "visits")


def prepare(folder: Path) -> None:
    folder.mkdir()
    test_cut.write(folder, 600)
    builders.read_schema(folder, test_cut.CHANGES)


def wait_for_a_block(folder: Path, command: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + 240
    while not any(folder.glob(".privatekube/blocks/*/*/*.h5")):
        assert command.poll() is None, command.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.mark.timeout(600)
def test_a_cluster_that_loses_a_machine_writes_the_blocks_of_the_local_engine_and_logs_no_size(tmp_path: Path) -> None:
    local, spark = tmp_path / "local", tmp_path / "spark"
    prepare(local)
    prepare(spark)
    subprocess.run(CREATE, cwd=local, check=True, capture_output=True)
    with cluster.started(tmp_path / "cluster") as machines:
        options = ["--engine", "spark", "--master", machines.master]
        with subprocess.Popen(
            [*CREATE, *options], cwd=spark, stderr=subprocess.PIPE, text=True, env=machines.environment
        ) as command:
            wait_for_a_block(spark, command)
            machines.kill(0)
            _, printed = command.communicate(timeout=300)
        logs = machines.logs
    assert command.returncode == 0, printed
    assert "created 48 blocks of epsilon 10, delta 1e-07" in printed
    assert blocks(spark) == blocks(local)
    assert len(blocks(spark)) == 48
    assert not any(text in logs + printed for text in ("patient was well", "estimated size", "bytes result sent"))
    assert [path.name for path in (spark / ".privatekube" / "cutting").iterdir()] == ["lock"]
    assert {path.name for path in spark.iterdir()} == {path.name for path in local.iterdir()}, "nothing beside them"


@pytest.mark.timeout(300)
def test_an_interruption_is_said_in_one_line_and_leaves_nothing_that_spark_wrote(tmp_path: Path) -> None:
    folder = tmp_path / "spark"
    prepare(folder)
    options = ["--engine", "spark", "--master", "local[1]"]
    with subprocess.Popen([*CREATE, *options], cwd=folder, stderr=subprocess.PIPE, text=True) as command:
        deadline = time.monotonic() + 200
        while not any(folder.glob(".privatekube/cutting/*/spark/blockmgr-*/*/*")):
            assert command.poll() is None, command.communicate()
            assert time.monotonic() < deadline
            time.sleep(0.02)
        command.send_signal(signal.SIGINT)
        _, printed = command.communicate(timeout=waiting.PATIENCE_SECONDS)
    assert command.returncode == entrypoint.INTERRUPTED, printed
    assert printed.endswith("\ninterrupted\n")
    assert "Traceback" not in printed
    assert not any(folder.glob(".privatekube/cutting/*/spark/*"))


@pytest.mark.timeout(300)
def test_a_cluster_without_free_machines_ends_the_command_after_a_while(tmp_path: Path) -> None:
    with cluster.started(tmp_path / "cluster", n_workers=0) as machines:
        command = [sys.executable, "-c", WAIT, machines.master]
        done = subprocess.run(
            command, cwd=tmp_path, env=machines.environment, capture_output=True, text=True, timeout=200, check=True
        )
    assert done.stdout.splitlines() == [
        f"master: {machines.master!r} has had no free machine for 8 seconds; "
        "free or start one with enough cores and memory, and run the command again",
        "waiting for machines",
    ]
