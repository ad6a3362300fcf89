"""Start the command of a pod of Spark: the driver with options of spark-submit, an executor, or any other program.

Spark states the address of a driver, and all that an executor needs, in environment variables.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence

BACKEND = "org.apache.spark.scheduler.cluster.k8s.KubernetesExecutorBackend"
EXECUTOR = {
    "--driver-url": "SPARK_DRIVER_URL",
    "--executor-id": "SPARK_EXECUTOR_ID",
    "--cores": "SPARK_EXECUTOR_CORES",
    "--app-id": "SPARK_APPLICATION_ID",
    "--hostname": "SPARK_EXECUTOR_POD_IP",
    "--resourceProfileId": "SPARK_RESOURCE_PROFILE_ID",
    "--podName": "SPARK_EXECUTOR_POD_NAME",
}
"""By option of an executor, the variable that has its value."""
JAVA_OPTION = "SPARK_JAVA_OPT_"
"""How the variables of an executor's options of Java begin; a number follows."""


def command(arguments: Sequence[str], environment: Mapping[str, str]) -> list[str]:
    """Return the command of a pod with these arguments and variables.

    Raises:
        KeyError: Spark sets a variable that is missing.
    """
    match list(arguments):
        case ["driver", *options]:
            address = f"spark.driver.bindAddress={environment['SPARK_DRIVER_BIND_ADDRESS']}"
            submit = f"{environment['SPARK_HOME']}/bin/spark-submit"
            return [submit, "--conf", address, "--deploy-mode", "client", *options]
        case ["executor", *_]:
            memory = environment["SPARK_EXECUTOR_MEMORY"]
            heap = [f"-Xms{memory}", f"-Xmx{memory}"]
            options = [text for option, name in EXECUTOR.items() for text in (option, environment[name])]
            return ["java", *_java_options(environment), *heap, "-cp", _class_path(environment), BACKEND, *options]
        case other:
            return other


def _java_options(environment: Mapping[str, str]) -> list[str]:
    numbers = [name.removeprefix(JAVA_OPTION) for name in environment if name.startswith(JAVA_OPTION)]
    return [environment[f"{JAVA_OPTION}{number}"] for number in sorted(filter(str.isdecimal, numbers), key=int)]


def _class_path(environment: Mapping[str, str]) -> str:
    home = environment["SPARK_HOME"]
    configuration = environment.get("SPARK_CONF_DIR", f"{home}/conf")
    given = [environment.get(name) for name in ("HADOOP_CONF_DIR", "SPARK_CLASSPATH")]
    return ":".join([configuration, *filter(None, given), f"{home}/jars/*"])


def main(arguments: Sequence[str]) -> None:
    """Become the command of a pod."""
    try:
        program, *options = command(arguments, os.environ)
        os.execvp(program, [program, *options])  # noqa: S606 - the container's own process
    except KeyError as error:
        sys.exit(f"{arguments[0]}: {error.args[0]} is not set; have Spark start this pod, which sets it")
    except ValueError:
        sys.exit("there is no command; name driver, executor or another program")
    except OSError as error:
        sys.exit(f"{program}: cannot be started ({error.strerror}); name driver, executor or another program")


if __name__ == "__main__":
    main(sys.argv[1:])
