"""Run the steps of a local run as processes of this Python: start each command, follow its output, stop it."""

from __future__ import annotations

import contextlib
import functools
import os
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from privatekube.images import git_revision
from privatekube.kubeflow import forked_steps
from privatekube.kubeflow.step_components import StepComponents
from privatekube.steps import arguments, privacy_card

StepProcess = subprocess.Popen[str] | forked_steps.ForkedStep
_STOP_SECONDS = 10
_THREADS = {"OMP_WAIT_POLICY": "passive"}
"""Waiting threads sleep instead of spinning: 10 % slower on an idle machine, twice as fast on a busy one."""


@dataclass
class Observer:
    """Callbacks that a run reports to.

    Args:
        on_start: called with the name of a step when it starts.
        on_line: called with the name of a step and a line that it wrote.
        on_end: called with the name of a step and its exit status.
    """

    on_start: Callable[[str], None]
    on_line: Callable[[str, str], None]
    on_end: Callable[[str, int], None]


@dataclass
class StepFailure:
    """The first step that failed: its exit status and the last line it wrote."""

    step: str
    exit_status: int
    line: str


@dataclass
class Steps:
    """The steps of one run.

    Args:
        components: names of the steps, and the folders that their modules are found in.
        observer: receives the start, the lines and the end of each step.
        ended: steps that ended well in an earlier process: they are not run again.
        failure: the first step that failed.
    """

    components: StepComponents
    observer: Observer
    ended: frozenset[str] = frozenset()
    failure: StepFailure | None = None

    def prepare(self) -> None:
        """Begin to import what the steps need, in a process beside this one; a step that starts does so by itself."""
        if forked_steps.IS_AVAILABLE:
            forked_steps.server(self.components, self._environment)

    def run(self, command: Sequence[str], environment: Mapping[str, str]) -> int:
        """Run one component's command in this Python and return its exit status."""
        step = self.components.step_of(command)
        self.observer.on_start(step)
        if self.skip(step):
            return 0
        last_line = ""
        process = self._start(command, environment)
        try:
            with process:
                for line in process.stdout or ():
                    last_line = line.rstrip()
                    self.observer.on_line(step, last_line)
                exit_status = process.wait()
        except BaseException:
            _stop(process)  # kfp.local removes the workspace next, into which the step may still write
            raise
        self.record_end(step, exit_status, last_line)
        return exit_status

    def skip(self, step: str) -> bool:
        """Return whether a step ended in an earlier process, after telling the observer so."""
        if step in self.ended:
            self.observer.on_line(step, "ended before: its outputs are kept")
            self.observer.on_end(step, 0)
        return step in self.ended

    def record_end(self, step: str, exit_status: int, last_line: str) -> None:
        """Record how a step ended, and tell the observer."""
        if exit_status and self.failure is None:
            self.failure = StepFailure(step, exit_status, last_line)
        self.observer.on_end(step, exit_status)

    def _start(self, command: Sequence[str], own: Mapping[str, str]) -> StepProcess:
        """Start a command, as a copy of a process that has imported the libraries if this is possible.

        Ctrl-C reaches this process only, which then stops the step.
        """
        if forked_steps.is_possible(command, own):
            server = forked_steps.server(self.components, self._environment)
            folder = self.components.folders.get(self.components.step_of(command))
            libraries = forked_steps.libraries([] if folder is None else [folder])
            return server.run(command[2], command[3:], self._environment, libraries=libraries)
        return subprocess.Popen(  # noqa: S603 - the command comes from the component's own component.yaml
            [sys.executable, *command[1:]],
            env={**self._environment, **own},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            bufsize=1,
            start_new_session=True,
        )

    @property
    def _environment(self) -> dict[str, str]:
        """The variables of a step: ours, its modules, its commit, and which process it must not outlive."""
        commit = _commit(self.components.project)
        given = [os.path.abspath(folder) for folder in os.environ.get("PYTHONPATH", "").split(os.pathsep) if folder]
        place = {
            "PYTHONPATH": os.pathsep.join([*map(str, self.components.search_path), *given]),
            arguments.PARENT: str(os.getpid()),
        }
        revision = {} if commit is None else {privacy_card.REVISION: commit}
        return {**_THREADS, **os.environ, **place, **revision}


def _stop(process: StepProcess) -> None:
    """Terminate a step; kill it if it does not end in time."""
    process.terminate()
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(_STOP_SECONDS)
    process.kill()
    process.wait()


@functools.cache
def _commit(project: Path) -> str | None:
    """Return the commit of the project that runs here; None if it is not in a repository."""
    return git_revision.revision(project, [Path()]).commit
