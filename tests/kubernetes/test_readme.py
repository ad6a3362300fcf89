"""The commands in the README's section on clusters print what the README shows."""

from __future__ import annotations

import json
import re
import shlex
import time
from pathlib import Path

import pytest

from privatekube.store.kubernetes.store import SYSTEM_NAMESPACE, KubernetesStore
from tests import waiting
from tests.e2e.conftest import ROOT
from tests.kubernetes.apiserver import ApiServer
from tests.kubernetes.conftest import Starter
from tests.kubernetes.controllers import ControllerProcess
from tests.kubernetes.test_pipeline import user

pytestmark = [pytest.mark.kubernetes, pytest.mark.slow]
DEPLOYMENT = ROOT / "manifests" / "controller" / "deployment.yaml"
_AGE = re.compile(r"\b\d+(s|m|h)(\d+s)?\b")
_LOOKING = re.compile(r" (get|describe) ")


def shown() -> list[tuple[str, list[str]]]:
    """Return the commands of the section on clusters, with their output."""
    section = (ROOT / "README.md").read_text().partition("## In a cluster\n")[2].partition("\n## ")[0]
    commands: list[tuple[str, list[str]]] = []
    for block in re.findall(r"```\n(.*?)```", section, re.DOTALL):
        for line in block.splitlines():
            if line.startswith("$ "):
                commands.append((line.removeprefix("$ "), []))
            elif commands:
                commands[-1][1].append(line)
    return commands


def normal(line: str) -> str:
    return " ".join(_AGE.sub("AGE", line).split())


def missing(expected: list[str], output: str) -> list[str]:
    """Return the expected lines from the first one that is missing at its place."""
    lines = iter([normal(line) for line in output.splitlines()])
    wanted = [normal(line) for line in expected if line.strip() not in ("", "...")]
    return [line for line in wanted if line not in lines]


class Cluster:
    """A shell of a user of the cluster, as the README assumes it."""

    def __init__(self, server: ApiServer, folder: Path, controller: ControllerProcess) -> None:
        self.server, self.folder, self.controller = server, folder, controller

    def run(self, command: str) -> str:
        """Run one of the commands, and return its output."""
        words = shlex.split(command.replace("manifests/examples", str(ROOT / "manifests" / "examples")))
        if words[0] == "python":
            return user(self.server, self.folder, "data-owner").run(*words[1:])
        output = self.server.kubectl(*words[1:])
        if "env" in words or "restart" in words:
            self._restart()
        return output

    def _restart(self) -> None:
        """Do what Kubernetes does after a Deployment changed: replace the process by one with its settings."""
        arguments = ("get", "deployment", "privatekube-controller", "-n", SYSTEM_NAMESPACE, "-o", "json")
        (container,) = json.loads(self.server.kubectl(*arguments))["spec"]["template"]["spec"]["containers"]
        environment = {variable["name"]: variable.get("value") for variable in container["env"]}
        assert self.controller.stop() == 0
        self.controller.options = ("--unlock", environment["PRIVATEKUBE_UNLOCK"])
        self.controller.start()


def test_commands_print_what_is_shown(
    apiserver: ApiServer, store: KubernetesStore, start: Starter, tmp_path: Path
) -> None:
    commands = shown()
    assert len(commands) >= 10
    apiserver.kubectl("apply", "-f", str(DEPLOYMENT))
    cluster = Cluster(apiserver, tmp_path, start("a", "--period", "10s"))  # the policy is what the manifests have, too
    cluster.run("python demo_blocks.py create --local-files --days 3 --accounting epsdel")
    for command, expected in commands:
        output, end = cluster.run(command), time.monotonic() + waiting.PATIENCE_SECONDS
        while missing(expected, output) and _LOOKING.search(command) and time.monotonic() < end:
            time.sleep(waiting.PAUSE_SECONDS)
            output = cluster.run(command)
        assert not missing(expected, output), f"{command}\n{output}"
