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


@contextlib.contextmanager
def running(pod: dict[str, Any], environment: dict[str, str], folder: Path) -> Iterator[None]:
    """Run the container of an executor's pod as a process of this machine, with what its entry point makes of it."""
    (container,) = pod["spec"]["containers"]
    given = {one["name"]: one.get("value", HERE) for one in container["env"]}  # a reference is to the pod's address
    variables = {**environment, **given, "SPARK_CONF_DIR": str(folder), "SPARK_LOCAL_DIRS": str(folder)}
    command = entrypoint.command(container["args"], variables)
    with (folder / "executor.log").open("wb") as log:
        process = subprocess.Popen(command, cwd=folder, env=variables, stdout=log, stderr=log)
    try:
        yield
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
    driver = subprocess.Popen(command, cwd=spark, env=environment, stderr=subprocess.PIPE, text=True)
    try:
        waiting.until(lambda: driver.poll() is not None or bool(pods(apiserver)))
        assert driver.poll() is None, driver.communicate()
        (pod,) = pods(apiserver)
        with running(pod, environment, machine):
            _, printed = driver.communicate(timeout=200)
    finally:
        driver.kill()
        driver.wait(timeout=30)
    assert driver.returncode == 0, printed + (machine / "executor.log").read_text()
    assert pod["spec"]["serviceAccountName"] == spec["executor"]["serviceAccount"]
    assert test_cluster.blocks(spark) == test_cluster.blocks(local)
    assert pods(apiserver) == []
