"""The image of a cluster's machines: as the driver it writes the blocks of the local engine, and an executor starts."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from manifests.spark import entrypoint
from tests.images import servers
from tests.images.conftest import BuildHost

IMAGE = "localhost/privatekube/spark:test"
EXECUTOR = {
    "SPARK_DRIVER_URL": "spark://CoarseGrainedScheduler@127.0.0.1:9",  # nobody listens there
    "SPARK_EXECUTOR_ID": "1",
    "SPARK_EXECUTOR_CORES": "1",
    "SPARK_EXECUTOR_MEMORY": "512m",
    "SPARK_APPLICATION_ID": "spark-1",
    "SPARK_EXECUTOR_POD_IP": "127.0.0.1",
    "SPARK_RESOURCE_PROFILE_ID": "0",
    "SPARK_EXECUTOR_POD_NAME": "cut-exec-1",
    "SPARK_JAVA_OPT_0": "-Dlog4j2.level=ERROR",
}
LIMITS = ("--rm", "--network=host", "--read-only", "--tmpfs=/tmp", "--cap-drop=all")


@pytest.fixture(scope="module")
def image(clean_build_host: BuildHost) -> str:
    dockerfile = clean_build_host.folder / "manifests" / "spark" / "Dockerfile"
    arguments = ("--build-arg", f"BASE_IMAGE={servers.BASE_IMAGE}")
    servers.podman("build", "-q", "-f", str(dockerfile), *arguments, "-t", IMAGE, str(clean_build_host.folder))
    return IMAGE


@pytest.mark.containers
def test_the_driver_in_its_image_writes_the_blocks_of_the_local_engine(image: str, tmp_path: Path) -> None:
    pytest.importorskip("pyspark", reason="needs the extra spark")
    from tests.data.cutting.spark import test_cluster

    local, spark = tmp_path / "local", tmp_path / "spark"
    test_cluster.prepare(local)
    test_cluster.prepare(spark)
    spark.chmod(0o777)
    subprocess.run(test_cluster.CREATE, cwd=local, check=True, capture_output=True)
    mount = (f"--volume={spark}:/data", "--workdir=/data", "--env=SPARK_DRIVER_BIND_ADDRESS=127.0.0.1")
    submit = (
        "--master",
        "local[2]",
        "--conf",
        "spark.driver.host=127.0.0.1",
        "local:///app/privatekube/cli/__main__.py",
    )
    create = (*test_cluster.CREATE[3:], "--engine", "spark")
    servers.podman("run", *LIMITS, *mount, image, "driver", *submit, *create)
    assert test_cluster.blocks(spark) == test_cluster.blocks(local)
    assert len(test_cluster.blocks(spark)) == 48


@pytest.mark.containers
def test_an_executor_in_its_image_looks_for_its_driver(image: str) -> None:
    variables = [f"--env={name}={value}" for name, value in EXECUTOR.items()]
    with pytest.raises(AssertionError, match=r"Failed to connect to /127\.0\.0\.1:9"):
        servers.podman("run", *LIMITS, *variables, image, "executor")


@pytest.mark.containers
def test_the_image_of_spark_runs_as_an_unprivileged_user_with_one_pyspark_and_no_pip(image: str) -> None:
    described = json.loads(servers.podman("image", "inspect", image))[0]
    assert described["Config"]["User"] == "1000:1000"
    program = (
        "import importlib.util as u; print([n for n in ('pip', 'pytest', 'setuptools', 'torch') if u.find_spec(n)])"
    )
    assert servers.podman("run", *LIMITS, image, "python3", "-c", program).strip() == "[]"
    program = "import os, pyspark; print(*map(os.path.realpath, pyspark.__path__))"
    assert servers.podman("run", *LIMITS, image, "python3", "-c", program).strip() == "/opt/spark"


def test_a_driver_gets_its_address_and_an_executor_its_options_of_java_in_their_order() -> None:
    driver = entrypoint.command(
        ["driver", "--class", "a.B", "x.py"], {"SPARK_HOME": "/s", "SPARK_DRIVER_BIND_ADDRESS": "10.0.0.1"}
    )
    assert driver[:3] == ["/s/bin/spark-submit", "--conf", "spark.driver.bindAddress=10.0.0.1"]
    assert driver[3:] == ["--deploy-mode", "client", "--class", "a.B", "x.py"]
    java = {f"SPARK_JAVA_OPT_{number}": f"-Dn={number}" for number in (10, 2, 0)}
    given = {**EXECUTOR, **java, "SPARK_HOME": "/s", "SPARK_CONF_DIR": "/c", "SPARK_CLASSPATH": "/mine.jar"}
    executor = entrypoint.command(["executor"], given)
    assert executor[:6] == ["java", "-Dn=0", "-Dn=2", "-Dn=10", "-Xms512m", "-Xmx512m"]
    assert executor[executor.index("-cp") + 1] == "/c:/mine.jar:/s/jars/*"
    assert executor[executor.index("--podName") + 1] == "cut-exec-1"
    assert entrypoint.command(["python3", "-V"], {}) == ["python3", "-V"]


def test_a_variable_that_is_not_of_java_is_no_option_and_an_executor_needs_no_arguments() -> None:
    given = {**EXECUTOR, "SPARK_HOME": "/s", "SPARK_JAVA_OPT_": "-Da", "SPARK_JAVA_OPT_FILE": "-Db"}
    executor = entrypoint.command(["executor", "--more"], given)
    assert executor[:4] == ["java", "-Dlog4j2.level=ERROR", "-Xms512m", "-Xmx512m"]
    assert "--more" not in executor


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["driver", "x.py"], "driver: SPARK_DRIVER_BIND_ADDRESS is not set; have Spark start this pod, which sets it"),
        (["executor"], "executor: SPARK_EXECUTOR_MEMORY is not set; have Spark start this pod, which sets it"),
        ([], "there is no command; name driver, executor or another program"),
        (["drive"], "drive: cannot be started (No such file or directory); name driver, executor or another program"),
    ],
)
def test_a_container_that_cannot_start_says_why_in_one_line(arguments: list[str], expected: str) -> None:
    started = subprocess.run(
        [sys.executable, entrypoint.__file__, *arguments],
        capture_output=True,
        text=True,
        check=False,
        env={"PATH": "/"},
    )
    assert (started.returncode, started.stderr) == (1, f"{expected}\n")
