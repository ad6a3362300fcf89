"""Follow a run in the cluster: its steps as a local run shows them, why a pod does not start, and how it ended."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from rich.console import Console

from privatekube import entrypoint, errors, retries
from privatekube.kubeflow import pending_pods, pod_log, progress, run_tasks, stuck_pods
from privatekube.kubeflow.pipelines_api import Json, PipelinesApi
from privatekube.kubeflow.pod_log import StepEnd
from privatekube.kubeflow.run_tasks import StepState
from privatekube.store.kubernetes.inspection import RUN_LABEL, Inspection

_BETWEEN_LOOKS = retries.BackOff(first_seconds=1.0, longest_seconds=5.0)
_OUTAGE_SECONDS = 600.0
"""How long the API may be unavailable while a run is followed."""
_QUIET_SECONDS = 60.0
"""After how long without a change a word is said about pods."""
_MOST_NAMES = 12
"""How many names that a pod may have are tried."""
_STEP_ENDS = {StepState.DONE: 0, StepState.SKIPPED: 0}


@dataclass
class Follower:
    """Follows one run.

    Args:
        api: of Kubeflow Pipelines.
        run_id: of the run.
        steps: names of the steps, in order.
        namespace: of the run's pods.
        inspection: the cluster, for pods that do not start; None without a kubeconfig.
        quiet_seconds: after how long without a change a word is said about pods.
        clock: returns seconds.
        sleep: pauses.
    """

    api: PipelinesApi
    run_id: str
    steps: tuple[str, ...]
    namespace: str
    inspection: Inspection | None = None
    quiet_seconds: float = _QUIET_SECONDS
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep
    _states: dict[str, StepState] = field(default_factory=dict)
    _ends: dict[str, StepEnd] = field(default_factory=dict)
    _said: dict[str, str] = field(default_factory=dict)

    def follow(self, console: Console) -> int:
        """Show the run until it ends and return its exit status: 0, or that of the first step that failed.

        Ctrl-C ends the following, not the run.

        Raises:
            InvalidInput: the credentials are refused for good; the run goes on.
            Temporary: the API was unavailable for too long; the run goes on.
        """
        try:
            with progress.RunView(console, self.steps) as view:
                run = self._watch(view)
        except KeyboardInterrupt:
            line = f"interrupted; run {self.run_id} goes on: --resume {self.run_id} follows it again"
            console.print(line, highlight=False, soft_wrap=True)
            return entrypoint.INTERRUPTED
        return self._end(run, console)

    def _watch(self, view: progress.RunView) -> Json:
        """Show the run until it ends, and return it."""
        changed_at = self.clock()
        pauses = retries.Pauses(_BETWEEN_LOOKS)
        while True:
            run = self._read()
            if self._update(run, view):
                changed_at = self.clock()
                pauses.reset()
            if run_tasks.is_over(run):
                return run
            if self.clock() - changed_at >= self.quiet_seconds:
                self._explain_quiet(view)
            self.sleep(pauses.next_seconds())

    def _read(self) -> Json:
        try:
            return retries.call(
                lambda: self.api.run(self.run_id), timeout_seconds=_OUTAGE_SECONDS, back_off=_BETWEEN_LOOKS
            )
        except errors.PrivateKubeError as error:
            kind = errors.Temporary if isinstance(error, errors.Temporary) else errors.InvalidInput
            raise kind(f"{error} (run {self.run_id} goes on: --resume {self.run_id} follows it again)") from error

    def _update(self, run: Json, view: progress.RunView) -> bool:
        """Show what has changed, and return whether anything has."""
        changed = False
        for step, task in run_tasks.steps(run, self.steps).items():
            before = self._states.get(step, StepState.WAITING)
            if task.state is before:
                continue
            changed = True
            self._states[step] = task.state
            if before is StepState.WAITING:
                view.observer.on_start(step)
            if task.state is StepState.FAILED:
                end = self._failure(step, task.pods)
                self._ends[step] = end
                view.observer.on_line(step, f"{end.line or 'failed'} (exit status {end.exit_status})")
                view.observer.on_end(step, end.exit_status)
            elif task.state in _STEP_ENDS:
                view.observer.on_line(step, str(task.state))
                view.observer.on_end(step, 0)
        return changed

    def _failure(self, step: str, nodes: tuple[str, ...]) -> StepEnd:
        """Return how a failed step ended, by the log of its last pod: from Kubernetes, or else from KFP."""
        for log in (*self._logs_of_pod(step), *self._logs_of_kfp(nodes)):
            if log:
                return pod_log.end_of_failed(log)
        return StepEnd(1, f"failed, and its log cannot be read; see kubectl -n {self.namespace} logs, or its page")

    def _logs_of_pod(self, step: str) -> Iterator[str]:
        """Yield the log of a step's last pod, then what its container left as its last words."""
        with contextlib.suppress(errors.PrivateKubeError):
            pods = [pod for pod in self._pods() if pending_pods.step_of(pod, self.steps) == step]
            latest = max(pods, key=lambda pod: str(pod["metadata"].get("creationTimestamp")), default=None)
            if latest is not None and self.inspection is not None:
                with contextlib.suppress(errors.PrivateKubeError):
                    yield self.inspection.pod_log(self.namespace, latest["metadata"]["name"], pending_pods.MAIN)
                yield pending_pods.last_words(latest)

    def _logs_of_kfp(self, nodes: tuple[str, ...]) -> Iterator[str]:
        for node in nodes[:_MOST_NAMES]:
            with contextlib.suppress(errors.PrivateKubeError):
                yield self.api.pod_log(self.run_id, node)

    def _pods(self) -> list[Json]:
        return [] if self.inspection is None else self.inspection.pods(self.namespace, self.run_id)

    def _explain_quiet(self, view: progress.RunView) -> None:
        """Say once why a pod does not start; or, without a kubeconfig, where to look."""
        for step, text in self._reasons():
            if self._said.get(step) != text:
                self._said[step] = text
                view.observer.on_line(step, text)

    def _reasons(self) -> Iterator[tuple[str, str]]:
        if self.inspection is None:
            running = [step for step, state in self._states.items() if state is StepState.RUNNING]
            where = f"kubectl -n {self.namespace} get pods -l {RUN_LABEL}={self.run_id}"
            yield from ((step, f"nothing has changed for a while; a pod may be Pending: {where}") for step in running)
            return
        with contextlib.suppress(errors.PrivateKubeError):
            for pod in stuck_pods.of_run(self.inspection, self.namespace, self.run_id):
                yield pending_pods.step_of(pod.document, self.steps) or pod.name, str(pod)

    def _end(self, run: Json, console: Console) -> int:
        """Print how the run ended, and return its exit status."""
        state = str(run.get("state"))
        failed = next((step for step in self.steps if step in self._ends), None)
        if state == "SUCCEEDED":
            console.print(f"run {self.run_id}: SUCCEEDED", highlight=False, soft_wrap=True)
            return 0
        if failed is None:
            message = " ".join(str((run.get("error") or {}).get("message") or "").split())[:300]
            why = f": {message}" if message else ""
            console.print(f"error: run {self.run_id}: {state}{why}", markup=False, highlight=False, soft_wrap=True)
            return 1
        end = self._ends[failed]
        line = end.line.removeprefix("error: ") or f"ended with exit status {end.exit_status}"
        console.print(f"error: {failed}: {line}", markup=False, highlight=False, soft_wrap=True)
        return end.exit_status
