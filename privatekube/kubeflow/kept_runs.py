"""The runs of this folder that are not published: which are running, can go on, or have nothing to give.

Each has a folder below `.privatekube/runs`, see `run_folder`. Folders are created and removed under one lock; a folder
whose own lock is held belongs to a run that is alive, in whatever process, container or host.
"""

from __future__ import annotations

import contextlib
import enum
import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass

from privatekube import errors
from privatekube.client import connect
from privatekube.kubeflow.run_folder import RunFolder, RunRecord
from privatekube.storage import file_locks, private_files

RUNS = private_files.HOME / "runs"
PUBLISHED = private_files.HOME / "published.jsonl"
"""Where each published run went, one line of JSON each."""


class RunState(enum.StrEnum):
    """What can become of a run."""

    RUNNING = "running"
    UNPUBLISHED = "computed, not published"
    INTERRUPTED = "interrupted, its claim holds the budget"
    ENDED = "ended without results"
    UNKNOWN = "unknown, its store does not answer"

    @property
    def can_go_on(self) -> bool:
        """Whether `resume` can go on with it."""
        return self in {RunState.UNPUBLISHED, RunState.INTERRUPTED}


@dataclass(frozen=True, slots=True)
class KeptRun:
    """A run that is not published.

    Args:
        folder: its folder.
        state: what can become of it.
    """

    folder: RunFolder
    state: RunState


@contextlib.contextmanager
def created(record: RunRecord) -> Iterator[RunFolder]:
    """Create the folder of a new run and hold its lock; remove what dead runs have left and cannot use any more."""
    path = RUNS.resolve() / record.run_id
    with contextlib.ExitStack() as stack:
        with _registry():
            _remove_ended()
            folder = RunFolder.create(path, record)
            stack.enter_context(file_locks.locked(path / "lock"))
        yield folder


@contextlib.contextmanager
def opened(run_id: str) -> Iterator[RunFolder]:
    """Hold the lock of an earlier run that can go on.

    Raises:
        NotFound: no such run is kept here.
        InvalidInput: it is running.
        BudgetUnavailable: its claim holds nothing any more, so its data must not be read again.
        StoreBusy: its store does not answer.
    """
    folder = _find(run_id)
    with file_locks.locked(folder.path / "lock") as is_ours:
        state = _state(folder) if is_ours else RunState.RUNNING
        if state is RunState.RUNNING:
            raise errors.InvalidInput(f"run {run_id}: is running in another process; wait until it ends")
        if state is RunState.UNKNOWN:
            raise errors.StoreBusy(f"run {run_id}: {folder.record.store} does not answer; try again")
        if state is RunState.ENDED:
            folder.remove()
            raise errors.BudgetUnavailable(
                f"run {run_id}: its claim {folder.record.claim} holds no budget any more, so its data must not be read "
                "again; start a new run"
            )
        yield folder


def kept() -> list[KeptRun]:
    """Return the runs that are not published, oldest first."""
    return [KeptRun(folder, _state_of_any(folder)) for folder in _folders()]


def published() -> dict[str, str]:
    """Return where the results of each published run went, by run id."""
    try:
        lines = PUBLISHED.read_text(encoding="utf-8").splitlines()
    except OSError:
        return {}
    locations = {}
    for line in lines:
        with contextlib.suppress(ValueError, KeyError):  # a power cut has torn the line
            entry = json.loads(line)
            locations[entry["run"]] = entry["location"]
    return locations


def is_known(run_id: str) -> bool:
    """Whether a run is kept or was published from this folder."""
    return run_id in published() or run_id in {folder.record.run_id for folder in _folders()}


def record_published(folder: RunFolder, location: str) -> None:
    """Record that a run is published, and remove its folder."""
    with contextlib.suppress(OSError, errors.PrivateKubeError), _registry():
        private_files.create(PUBLISHED)
        with PUBLISHED.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"run": folder.record.run_id, "location": location}) + "\n")
    folder.remove()


def discard(run_id: str) -> str:
    """Remove what is kept of a run after settling its claim, and return what became of the claim.

    Raises:
        NotFound: no such run is kept here.
        InvalidInput: it is running.
    """
    folder = _find(run_id)
    with file_locks.locked(folder.path / "lock") as is_ours:
        if not is_ours:
            raise errors.InvalidInput(f"run {run_id}: is running in another process; interrupt it first")
        with connect.connect(folder.record.store) as client:
            outcome = client.settle(folder.record.claim)
        folder.remove()
    return str(outcome)


@contextlib.contextmanager
def _registry() -> Iterator[None]:
    """Hold the lock under which folders of runs are created and removed."""
    private_files.make_folder(RUNS)
    with file_locks.locked(private_files.HOME / "runs.lock", wait=True):
        yield


def _folders() -> list[RunFolder]:
    folders = []
    for path in sorted(RUNS.resolve().iterdir()) if RUNS.is_dir() else []:
        with contextlib.suppress(errors.PrivateKubeError):  # not the folder of a run of this version
            folders.append(RunFolder.open(path))
    return folders


def _find(run_id: str) -> RunFolder:
    folders = {folder.record.run_id: folder for folder in _folders()}
    if run_id not in folders:
        known = f"kept are {', '.join(folders)}" if folders else "none is kept here"
        raise errors.NotFound(f"run {run_id}: does not exist in {RUNS}; {known}")
    return folders[run_id]


def _remove_ended() -> None:
    """Remove the folders of dead runs that can give nothing any more, and private data that no run will read."""
    for path in RUNS.iterdir():
        if path.is_dir() and not (path / "run.json").exists():  # killed while it was created, or of an earlier version
            shutil.rmtree(path, ignore_errors=True)
    for folder in _folders():
        with file_locks.locked(folder.path / "lock") as is_ours:
            state = _state(folder) if is_ours else RunState.RUNNING
            if state is RunState.UNPUBLISHED:
                folder.remove_unkept()
            elif state is RunState.ENDED:
                folder.remove()


def _state_of_any(folder: RunFolder) -> RunState:
    with file_locks.locked(folder.path / "lock") as is_ours:
        return _state(folder) if is_ours else RunState.RUNNING


def _state(folder: RunFolder) -> RunState:
    """Return the state of a run that no process runs: a run whose claim holds nothing cannot open its data again."""
    if folder.is_computed:
        return RunState.UNPUBLISHED
    try:
        with connect.connect(folder.record.store) as client:
            claim = client.current_claim(folder.record.claim)
    except errors.NotFound:
        return RunState.ENDED
    except errors.PrivateKubeError:
        return RunState.UNKNOWN
    return RunState.INTERRUPTED if claim.holds_its_grant or claim.is_waiting else RunState.ENDED


def store() -> str:
    """Return the URI of the store that a run started now uses."""
    return os.environ.get(connect.STORE) or connect.DEFAULT_STORE
