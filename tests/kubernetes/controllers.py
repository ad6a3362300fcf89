"""Controller processes, as they run in a cluster but without a pod."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path

from privatekube.resources.responses import ResponseState
from privatekube.store.kubernetes.store import KubernetesStore
from tests import waiting
from tests.kubernetes.apiserver import ApiServer

_STOP_SECONDS, _ANSWER_SECONDS = 60, 60


@dataclass
class ControllerProcess:
    """One replica of the controller, or another daemon that has its endpoints and its log."""

    server: ApiServer
    folder: Path
    name: str = "a"
    options: tuple[str, ...] = ("--unlock", "n=100")
    module: str = "privatekube.controller"
    user: str = "controller"
    _process: subprocess.Popen[bytes] | None = None
    _log: Path = field(default=Path())

    def start(self) -> ControllerProcess:
        """Start the process, and wait until it is ready."""
        self.launch()
        waiting.until(lambda: self.get("/readyz")[0] == 200, self.log)
        return self

    def launch(self) -> None:
        """Start the process."""
        self._log = self.folder / f"controller-{self.name}-{time.monotonic_ns()}.log"
        environment = {**os.environ, "POD_NAME": self.name, "POD_NAMESPACE": "privatekube-system"}
        command = [sys.executable, "-m", self.module, "--listen", "127.0.0.1:0", *self.options]
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [*command, "--kubeconfig", str(self.server.kubeconfig(self.user))], stderr=log, env=environment
            )

    def kill(self) -> None:
        """Kill the process, as the loss of its machine would."""
        self._signal(signal.SIGKILL)

    def stop(self) -> int:
        """Stop the process as Kubernetes does, and return its exit status."""
        return self._signal(signal.SIGTERM)

    def pause(self) -> None:
        """Pause the process."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Resume the process."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    @property
    def is_running(self) -> bool:
        """Whether the process is running."""
        return self._process is not None and self._process.poll() is None

    @property
    def process_id(self) -> int:
        """The process id."""
        assert self._process is not None
        return self._process.pid

    def log(self) -> str:
        """Return its log."""
        return self._log.read_text()

    def log_entries(self) -> list[dict[str, object]]:
        """Return the entries of its log, without one that it is still writing."""
        lines = self.log().splitlines(keepends=True)
        return [json.loads(line) for line in lines if line.startswith("{") and line.endswith("\n")]

    def leads(self) -> bool:
        """Whether this replica leads."""
        return "privatekube_leader 1.0" in self.get("/metrics")[1]

    def metric(self, name: str) -> float:
        """Return the value of a metric; `name` includes the labels."""
        lines = self.get("/metrics")[1].splitlines()
        return next((float(line.rpartition(" ")[2]) for line in lines if line.rpartition(" ")[0] == name), 0.0)

    def get(self, path: str) -> tuple[int, str]:
        """Return the HTTP status and the body of one of its endpoints; status 0 while it does not listen."""
        if not self.is_running:
            raise AssertionError(f"the controller ended\n{self.log()}")
        address = next((line["address"] for line in self.log_entries() if line.get("message") == "listening"), None)
        if address is None:
            return 0, ""
        try:
            with urllib.request.urlopen(f"http://{address}{path}", timeout=_ANSWER_SECONDS) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()

    def _signal(self, number: signal.Signals) -> int:
        process = self._process
        if process is None:
            return 0
        process.send_signal(number)
        try:
            return process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            return process.wait()


def is_answered(store: KubernetesStore, name: str, index: int = 0) -> bool:
    """Whether a request of the claim `ns/name` has its final answer."""
    claim = store.get_claim(f"ns/{name}")
    responses = () if claim is None else claim.status.responses
    return len(responses) > index and responses[index].state is not ResponseState.PENDING
