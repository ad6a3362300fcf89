"""The steps of a run on this machine: start each one's command, watch it, stop it."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from privatekube.kubeflow.step_components import StepComponents
from privatekube.steps import arguments

_STOP_SECONDS = 10
_SHARING = {"OMP_WAIT_POLICY": "passive"}
"""Threads that wait sleep: 10 % slower on an idle machine, twice as fast on a busy one."""


@dataclass
class Observer:
    """What a run tells while it goes on: a step begins, writes a line, ends with an exit status."""

    begun: Callable[[str], None]
    wrote: Callable[[str, str], None]
    ended: Callable[[str, int], None]


@dataclass
class StepFailure:
    """The first step that failed: its exit status and the last line it wrote."""

    step: str
    exit_status: int
    line: str


@dataclass
class Steps:
    """The steps of one run, as they come.

    Args:
        components: names of the steps, and the folders that their modules are found in.
        observer: is told what happens.
    """

    components: StepComponents
    observer: Observer
    failure: StepFailure | None = None
    running: set[subprocess.Popen[str]] = field(default_factory=set)

    def run(self, command: Sequence[str], environment: Mapping[str, str]) -> int:
        """Run one component's command in this Python and return its exit status."""
        step = self.components.step_of(command)
        self.observer.begun(step)
        last = ""
        process = subprocess.Popen(  # noqa: S603 - the command stands in the component's own component.yaml
            [sys.executable, *command[1:]],
            env={**_SHARING, **os.environ, **self._of_the_run(), **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            bufsize=1,
            start_new_session=True,  # Ctrl-C reaches this process alone, which then stops the step
        )
        self.running.add(process)
        with process:
            for line in process.stdout or ():
                last = line.rstrip()
                self.observer.wrote(step, last)
        self.running.discard(process)
        self.end(step, process.returncode, last)
        return process.returncode

    def end(self, step: str, exit_status: int, last: str) -> None:
        """Note how a step ended."""
        if exit_status and self.failure is None:
            self.failure = StepFailure(step, exit_status, last)
        self.observer.ended(step, exit_status)

    def _of_the_run(self) -> dict[str, str]:
        """Where a step finds its module, and which process it must not outlive."""
        folders = [*map(str, self.components.search_path), os.environ.get("PYTHONPATH", "")]
        return {"PYTHONPATH": os.pathsep.join(filter(None, folders)), arguments.PARENT: str(os.getpid())}

    def stop(self) -> None:
        """End what still runs: politely, then for sure."""
        for process in self.running:
            process.terminate()
        for process in self.running:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(_STOP_SECONDS)
            process.kill()
            process.wait()
