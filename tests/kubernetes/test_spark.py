"""Spark on Kubernetes with the accounts and settings of the manifest: this test is the node of an executor's pod."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

pytest.importorskip("pyspark", reason="needs the extra spark")
import pyspark

from manifests.spark import entrypoint
from tests import waiting
from tests.data.cutting.spark import test_cluster
from tests.kubernetes.apiserver import ApiServer
from tests.kubernetes.local_server import LocalServer

MANIFESTS = Path(__file__).resolve().parents[2] / "manifests" / "spark"
NAMESPACE, IMAGE = "privacy-example", "registry.example.org/privatekube/spark"
HERE = "127.0.0.1"
PAUSE_SECONDS = 2.0
"""Between two looks for new pods."""

pytestmark = [
    pytest.mark.kubernetes,
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("java") is None, reason="needs Java 17 or later, which runs Spark"),
]


def application(server: ApiServer) -> dict[str, Any]:
    """Create the accounts and roles of the manifest, and return its application, of a kind that is not installed."""
    documents = list(yaml.safe_load_all(server.kubectl("kustomize", str(MANIFESTS))))
    spec = next(document["spec"] for document in documents if document["kind"] == "SparkApplication")
    others = [document for document in documents if document["kind"] != "SparkApplication"]
    server.kubectl("apply", "--server-side", "-f", "-", stdin=yaml.safe_dump_all(others))
    assert isinstance(spec, dict)
    return spec


def configure(server: ApiServer, spec: dict[str, Any], folder: Path) -> dict[str, str]:
    """Write Spark's configuration of a driver that has the manifest's account; return its variables."""
    (folder / "token").write_text(
        server.kubectl("create", "token", spec["driver"]["serviceAccount"], "-n", NAMESPACE).strip()
    )
    authenticate = "spark.kubernetes.authenticate"
    settings = spec["sparkConf"] | {
        f"{authenticate}.caCertFile": server.certificate,
        f"{authenticate}.oauthTokenFile": folder / "token",
        f"{authenticate}.executor.serviceAccountName": spec["executor"]["serviceAccount"],
        "spark.kubernetes.namespace": NAMESPACE,
        "spark.kubernetes.container.image": IMAGE,
        "spark.driver.host": HERE,
        "spark.driver.memory": "512m",
        "spark.executor.instances": 1,
        "spark.executor.memory": "512m",
        "spark.sql.shuffle.partitions": 4,
    }
    (folder / "spark-defaults.conf").write_text("".join(f"{name} {value}\n" for name, value in settings.items()))
    return {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(filter(None, [str(MANIFESTS.parents[1]), *sys.path])),
        "PYSPARK_PYTHON": sys.executable,
        "SPARK_HOME": str(Path(pyspark.__file__).parent),
        "SPARK_CONF_DIR": str(folder),
        "SPARK_LOCAL_IP": HERE,
    }


def pods(server: ApiServer) -> list[dict[str, Any]]:
    listed = server.kubectl("get", "pods", "-n", NAMESPACE, "-l", "spark-role=executor", "-o", "json")
    items: list[dict[str, Any]] = json.loads(listed)["items"]
    return items


class Node:
    """Runs the containers of executors' pods as processes of this machine, with what their entry point makes of them.

    On a busy machine a driver was seen to ask for a second pod before the first one's executor had told of itself.
    """

    def __init__(self, server: ApiServer, environment: dict[str, str], folder: Path) -> None:
        self.server, self.environment, self.folder = server, environment, folder
        self.pods: dict[str, dict[str, Any]] = {}
        self._processes: list[subprocess.Popen[bytes]] = []

    def run_new_pods(self) -> None:
        for pod in pods(self.server):
            name = pod["metadata"]["name"]
            if name not in self.pods:
                self.pods[name] = pod
                self._processes.append(self._run(pod))

    def _run(self, pod: dict[str, Any]) -> subprocess.Popen[bytes]:
        (container,) = pod["spec"]["containers"]
        given = {one["name"]: one.get("value", HERE) for one in container["env"]}  # a reference is to the pod's address
        folders = {"SPARK_CONF_DIR": str(self.folder), "SPARK_LOCAL_DIRS": str(self.folder)}
        variables = {**self.environment, **given, **folders}
        command = entrypoint.command(container["args"], variables)
        with (self.folder / "executors.log").open("ab") as log:
            return subprocess.Popen(command, cwd=self.folder, env=variables, stdout=log, stderr=log)

    def stop(self) -> None:
        for process in self._processes:
            process.kill()
            process.wait(timeout=30)


@contextlib.contextmanager
def started(command: list[str], folder: Path, environment: dict[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    """Start a command that writes its messages to `folder/messages`, and end it afterwards."""
    with (folder / "messages").open("wb") as messages:
        process = subprocess.Popen(command, cwd=folder, env=environment, stderr=messages)
    try:
        yield process
    finally:
        process.kill()
        process.wait(timeout=30)


@pytest.mark.timeout(400)
def test_executors_that_the_driver_starts_write_the_blocks_of_the_local_engine(
    apiserver: ApiServer, tmp_path: Path
) -> None:
    if not isinstance(apiserver, LocalServer):
        pytest.skip("a cluster with nodes would start the pods itself")
    local, spark, machine = tmp_path / "local", tmp_path / "spark", tmp_path / "machine"
    test_cluster.prepare(local)
    test_cluster.prepare(spark)
    machine.mkdir()
    subprocess.run(test_cluster.CREATE, cwd=local, check=True, capture_output=True)
    spec = application(apiserver)
    environment = configure(apiserver, spec, tmp_path)
    command = [*test_cluster.CREATE, "--engine", "spark", "--master", f"k8s://{apiserver.url}"]
    node = Node(apiserver, environment, machine)

    def has_ended() -> bool:
        node.run_new_pods()
        with contextlib.suppress(subprocess.TimeoutExpired):  # to look takes a process
            driver.wait(timeout=PAUSE_SECONDS)
        return driver.poll() is not None

    try:
        with started(command, spark, environment) as driver:
            waiting.until(has_ended, seconds=300)
    finally:
        node.stop()
    logs = [spark / "messages", *machine.glob("executors.log")]
    assert driver.returncode == 0, "".join(log.read_text() for log in logs)
    assert {pod["spec"]["serviceAccountName"] for pod in node.pods.values()} == {spec["executor"]["serviceAccount"]}
    assert test_cluster.blocks(spark) == test_cluster.blocks(local)
    assert pods(apiserver) == []
