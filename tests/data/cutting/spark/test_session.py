"""Starting Spark: what is missing or does not answer is said in one line, before a Java process starts."""

from __future__ import annotations

import re
import socket
from pathlib import Path

import pytest

from privatekube import errors
from privatekube.data.cutting import engines

pytest.importorskip("pyspark", reason="needs the extra spark")
from privatekube.data.cutting.spark import session


def start(folder: Path, master: str | None = None) -> None:
    with session.opened(master, folder):
        raise AssertionError("it started")


@pytest.fixture(autouse=True)
def _java(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "bin").mkdir()
    java = tmp_path / "bin" / "java"
    java.write_text("#!/bin/sh\nexit 1\n")
    java.chmod(0o755)
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))


def test_a_machine_without_java_is_told_which_one_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JAVA_HOME", str(tmp_path / "nothing"))
    with pytest.raises(
        errors.InvalidInput, match=r"^engine: Spark needs Java 17 or later, and JAVA_HOME .* has none; ins"
    ):
        start(tmp_path)
    monkeypatch.delenv("JAVA_HOME")
    monkeypatch.setenv("PATH", str(tmp_path / "nothing"))
    with pytest.raises(
        errors.InvalidInput, match="and this machine has none; install one, such as openjdk-17-jre-head"
    ):
        start(tmp_path)


@pytest.mark.parametrize("master", ["", "cluster", "spark://host", "local[0]", "mesos://host:5050"])
def test_what_is_no_master_is_refused(tmp_path: Path, master: str) -> None:
    with pytest.raises(
        errors.InvalidInput, match=re.escape(f"master: {master!r} is not a master of Spark; write local[4]")
    ):
        start(tmp_path, master)


def test_a_master_that_does_not_answer_is_refused_before_spark_starts(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    with pytest.raises(errors.InvalidInput, match=f"master: 'spark://127.0.0.1:{port}' does not answer; start it, or"):
        start(tmp_path, f"spark://127.0.0.1:{port}")


def test_an_unknown_engine_and_a_master_or_workers_of_the_other_one_are_refused() -> None:
    with pytest.raises(errors.InvalidInput, match="engine: 'ray' is not one of local, spark; choose one"):
        engines.engine_of("ray", master=None)
    with pytest.raises(
        errors.InvalidInput, match=r"master: 'local\[2\]' is of Spark; add --engine spark, or leave it out"
    ):
        engines.engine_of("local", master="local[2]")
    with pytest.raises(
        errors.InvalidInput, match=r"workers: 2 is of the engine local; leave it out; --master 'local\[4\]'"
    ):
        engines.limits_of("spark", memory="1GiB", workers=2)


def test_the_engine_without_its_package_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "pyspark", None)
    for name in [name for name in sys.modules if name.startswith(("pyspark.", "privatekube.data.cutting.spark."))]:
        monkeypatch.delitem(sys.modules, name)
    with pytest.raises(errors.MissingExtra, match=r"needs the extra spark: pip install 'privatekube\[spark\]'"):
        engines.engine_of("spark", master=None)
