"""Start Spark so that nothing of the data leaves the workspace: no page, no record of events, no sizes in its log."""

from __future__ import annotations

import contextlib
import logging
import os
import re
import shutil
import signal
import socket
import sys
import threading
import warnings
from collections.abc import Iterator
from pathlib import Path

from py4j.protocol import Py4JError
from pyspark.errors import PySparkException
from pyspark.sql import SparkSession

from privatekube import errors

LOCAL = "local[*]"
"""The processes of this machine."""
_MASTER = re.compile(r"local(\[(\*|[1-9]\d*)\])?|spark://[^/:]+:\d+(,[^/:]+:\d+)*|k8s://.+|yarn")
_OWN_CONFIGURATION = ("PYSPARK_GATEWAY_PORT", "PYSPARK_SUBMIT_ARGS", "SPARK_CONF_DIR", "SPARK_HOME")
"""Variables of those who configure Spark themselves; the first one is set by spark-submit."""
_CONNECT_SECONDS = 5.0
_PARTITIONS_PER_CORE = 2
_SETTINGS = {
    "spark.ui.enabled": "false",
    "spark.ui.showConsoleProgress": "false",
    "spark.eventLog.enabled": "false",
    "spark.log.level": "ERROR",
    "spark.executor.defaultJavaOptions": "-Dlog4j2.level=FATAL",
    "spark.io.encryption.enabled": "true",
    "spark.speculation": "false",
    "spark.sql.execution.arrow.maxBytesPerBatch": "16m",
}
"""The page and the events state exact numbers of records and bytes, and so does what is logged below an error. Records
that are spilled are encrypted. At the level ERROR, executors would take Spark's own configuration, which logs more."""


@contextlib.contextmanager
def opened(master: str | None, folder: Path) -> Iterator[SparkSession]:
    """Yield a session of Spark of its own, and end it.

    Args:
        master: the cluster; None for what spark-submit or Spark's own configuration says, or else this machine.
        folder: for what Spark keeps on this machine.

    Raises:
        InvalidInput: Java is missing, the master is none or does not answer, or there is a session already.
        WorkerLost: Spark gave up.
    """
    where = _stated(master)
    _require_java()
    if SparkSession.getActiveSession() is not None:
        raise errors.InvalidInput("engine: a session of Spark is open, whose settings may publish sizes; stop it first")
    shutil.rmtree(folder, ignore_errors=True)
    try:
        with _interruptible(), _quiet(), _environment({"PYSPARK_PYTHON": sys.executable}):
            session = _started(where, folder)
            try:
                yield session
            finally:
                _stop(session)
    except (PySparkException, Py4JError) as error:
        raise errors.WorkerLost("cut: Spark gave up; see what it prints above, and run the command again") from error


def _started(master: str | None, folder: Path) -> SparkSession:
    builder = SparkSession.builder.appName("privatekube").config(map=_SETTINGS)
    if master is not None:
        builder = builder.master(master)
    if "SPARK_LOCAL_DIRS" not in os.environ:
        builder = builder.config("spark.local.dir", str(folder.absolute()))
    if master is not None and master.startswith("local"):
        address = dict.fromkeys(("spark.driver.bindAddress", "spark.driver.host"), "127.0.0.1")
        path = {"spark.executorEnv.PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        builder = builder.config(map={**address, **path})
    try:
        with _own_interrupt():
            session = builder.getOrCreate()
    except (PySparkException, Py4JError) as error:
        remedy = "see what it prints above, and check `java -version` and the master"
        raise errors.InvalidInput(f"engine: Spark does not start; {remedy}") from error
    if session.sparkContext.master.startswith("local"):
        n_partitions = _PARTITIONS_PER_CORE * session.sparkContext.defaultParallelism
        session.conf.set("spark.sql.shuffle.partitions", n_partitions)
    return session


def _stop(session: SparkSession) -> None:
    """End a session; what fails then does not take the place of what ended it.

    A thread has a connection to Java of its own. That of one that was interrupted may have the answer to another call,
    so a new one does this. Spark logs tasks that end meanwhile as errors of its own.
    """

    def stop() -> None:
        with contextlib.suppress(PySparkException, Py4JError):
            session.sparkContext.setLogLevel("OFF")
            session.stop()

    thread = threading.Thread(target=stop, name="stop Spark")
    thread.start()
    thread.join()


def _stated(master: str | None) -> str | None:
    """Return which master to state; None where Spark is configured elsewhere.

    Raises:
        InvalidInput: it is none, or does not answer.
    """
    if master is None:
        return None if any(name in os.environ for name in _OWN_CONFIGURATION) else LOCAL
    if not _MASTER.fullmatch(master):
        bound = "is not a master of Spark"
        raise errors.invalid("master", master, bound, "write local[4], spark://HOST:7077, k8s://https://HOST, or yarn")
    if master.startswith("spark://") and not any(map(_answers, master.removeprefix("spark://").split(","))):
        raise errors.invalid("master", master, "does not answer", "start it, or name another one")
    return master


def _answers(address: str) -> bool:
    host, _, port = address.partition(":")
    try:
        socket.create_connection((host, int(port)), timeout=_CONNECT_SECONDS).close()
    except (OSError, OverflowError):
        return False
    return True


def _require_java() -> None:
    home = os.environ.get("JAVA_HOME")
    if shutil.which("java" if not home else str(Path(home, "bin", "java"))) is None:
        place = f"JAVA_HOME {home} has none" if home else "this machine has none"
        remedy = "install one, such as openjdk-17-jre-headless, or set JAVA_HOME"
        raise errors.InvalidInput(f"engine: Spark needs Java 17 or later, and {place}; {remedy}")


@contextlib.contextmanager
def _environment(defaults: dict[str, str]) -> Iterator[None]:
    """Set variables that are not set, for as long as Spark reads them."""
    added = {name: value for name, value in defaults.items() if name not in os.environ}
    os.environ.update(added)
    try:
        yield
    finally:
        for name in added:
            os.environ.pop(name, None)


@contextlib.contextmanager
def _own_interrupt() -> Iterator[None]:
    """Keep what Ctrl-C does: PySpark's own handler calls Java within a call of Java, which prints a traceback."""
    handler = signal.getsignal(signal.SIGINT)
    try:
        yield
    finally:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGINT, handler)


@contextlib.contextmanager
def _interruptible() -> Iterator[None]:
    """Raise KeyboardInterrupt where an error took its place: PySpark calls Java once more while one passes through."""
    try:
        yield
    except Exception as error:
        cause: BaseException | None = error
        while cause is not None:
            if isinstance(cause, KeyboardInterrupt):
                raise KeyboardInterrupt from error
            cause = cause.__context__
        raise


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Leave out a warning of PySpark, and the tracebacks that Py4J logs where a command is interrupted."""
    of_py4j = logging.getLogger("py4j")
    level = of_py4j.level
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "PySpark does not yet fully support pandas")
        logging.getLogger().addFilter(_is_of_others)  # some of them go to the root logger
        of_py4j.setLevel(logging.CRITICAL)
        try:
            yield
        finally:
            of_py4j.setLevel(level)
            logging.getLogger().removeFilter(_is_of_others)


def _is_of_others(record: logging.LogRecord) -> bool:
    return record.module != "java_gateway"
