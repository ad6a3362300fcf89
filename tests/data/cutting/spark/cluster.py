"""A standalone cluster of Spark on loopback: a master and workers as processes of their own, bounded in time."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyspark

ROOT = Path(__file__).resolve().parents[4]
HOST = "127.0.0.1"
_START_SECONDS = 200.0
_SPARK_CLASS = Path(pyspark.__file__).parent / "bin" / "spark-class"
_DEFAULTS = "spark.executor.memory 512m\nspark.sql.shuffle.partitions 4\nspark.driver.memory 512m\n"


@dataclass
class Cluster:
    """A cluster.

    Args:
        folder: for its logs and what it spills.
        port, page_port: of the master.
        workers: its processes.
    """

    folder: Path
    port: int
    page_port: int
    workers: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @property
    def master(self) -> str:
        """The master, as a command names it."""
        return f"spark://{HOST}:{self.port}"

    @property
    def environment(self) -> dict[str, str]:
        """The variables of its processes, and of a command that uses it."""
        path = os.pathsep.join(filter(None, [str(ROOT), *sys.path]))
        ours = {"PYTHONPATH": path, "PYSPARK_PYTHON": sys.executable, "SPARK_LOCAL_IP": HOST, "SPARK_NO_DAEMONIZE": "1"}
        places = {"SPARK_CONF_DIR": str(self.folder / "conf"), "SPARK_LOCAL_DIRS": str(self.folder / "local")}
        return {**os.environ, **ours, **places, "SPARK_DAEMON_MEMORY": "256m"}

    @property
    def logs(self) -> str:
        """What its processes and executors have logged."""
        files = [*self.folder.glob("*.log"), *self.folder.glob("work*/*/*/std*")]
        return "\n".join(path.read_text(errors="replace") for path in files)

    def kill(self, number: int) -> None:
        """Kill a worker, and with it its executor."""
        os.killpg(self.workers[number].pid, signal.SIGKILL)


@contextlib.contextmanager
def started(folder: Path, *, n_workers: int = 2) -> Iterator[Cluster]:
    """Start a cluster, and stop its processes in the end."""
    cluster = Cluster(folder, _free_port(), _free_port())
    (folder / "conf").mkdir(parents=True)
    (folder / "conf" / "spark-defaults.conf").write_text(_DEFAULTS)
    deploy = "org.apache.spark.deploy"
    address = ("--host", HOST)
    with contextlib.ExitStack() as stack:
        ports = ("--port", str(cluster.port), "--webui-port", str(cluster.page_port))
        stack.enter_context(_process(cluster, "master", f"{deploy}.master.Master", *address, *ports))
        for number in range(n_workers):
            own = ("--cores", "1", "--memory", "512m", "--webui-port", "0", "--work-dir", str(folder / f"work{number}"))
            options = (*address, *own, cluster.master)
            worker = _process(cluster, f"worker{number}", f"{deploy}.worker.Worker", *options)
            cluster.workers.append(stack.enter_context(worker))
        _wait_for_workers(cluster, n_workers)
        yield cluster


@contextlib.contextmanager
def _process(cluster: Cluster, name: str, *command: str) -> Iterator[subprocess.Popen[bytes]]:
    with (cluster.folder / f"{name}.log").open("wb") as log:
        process = subprocess.Popen(
            [str(_SPARK_CLASS), *command],
            stdout=log,
            stderr=subprocess.STDOUT,
            env=cluster.environment,
            start_new_session=True,
        )
        try:
            yield process
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait(timeout=30)


def _wait_for_workers(cluster: Cluster, number: int) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError):
            if _state(cluster)["aliveworkers"] == number:
                return
        time.sleep(0.2)
    raise AssertionError(f"the cluster does not start: {cluster.logs}")


def _state(cluster: Cluster) -> dict[str, Any]:
    with urllib.request.urlopen(f"http://{HOST}:{cluster.page_port}/json/", timeout=10) as answer:
        state: dict[str, Any] = json.load(answer)
    return state


def _free_port() -> int:
    with socket.create_server((HOST, 0)) as server:
        port: int = server.getsockname()[1]
    return port
