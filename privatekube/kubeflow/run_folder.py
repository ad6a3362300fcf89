"""The folder of a local run: what it is to do, which steps have ended, and the artifacts that they pass on.

    .privatekube/runs/<run id>/
      lock           held (flock) by the process that runs the steps, for as long as it lives
      run.json       the RunRecord
      pipeline.yaml  the compiled pipeline
      ended/<step>   one empty file for each step that has ended well
      work/steps/<task>/<artifact>
      workspace/     private data, see `steps.workspace`

Only its owner may enter it (mode 0700). A process that is killed leaves its folder, and the kernel releases its lock.
"""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pydantic

from privatekube import errors
from privatekube.steps import documents, workspace
from privatekube.storage import local_files

STEPS = "steps"
"""The folder of the tasks' folders; kfp.local would give it a name with the time in it."""


class RunRecord(documents.Document):
    """What a run is to do, enough to go on with it in another process.

    Args:
        run_id: id of the run.
        claim: id `namespace/name` of its claim.
        store: URI of the store that holds the claim.
        arguments: the pipeline's parameters.
        project: root folder of the project, which its modules are imported from.
        folders: folder of each step's component, with the exit task's.
        in_containers: whether steps run in their images.
        steps: the steps in the order in which they run, without the exit task.
        paying: the step that pays; None if no step does.
        kept: artifacts that may be kept until the run is published, each `task/artifact`.
        last_readers: the step that reads an artifact last, for all other artifacts: they may hold private data.
    """

    run_id: str
    claim: str
    store: str
    arguments: dict[str, Any]
    project: Path
    folders: dict[str, Path]
    in_containers: bool
    steps: tuple[str, ...] = pydantic.Field(min_length=1)
    paying: str | None
    kept: tuple[str, ...]
    last_readers: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class RunFolder:
    """The folder of one run.

    Args:
        path: the folder.
        record: what the run is to do.
    """

    path: Path
    record: RunRecord

    @classmethod
    def create(cls, path: Path, record: RunRecord) -> RunFolder:
        """Create the folder of a new run."""
        try:
            path.mkdir(mode=0o700)
        except OSError as error:
            raise local_files.translation(error, path) from error
        documents.write(record, path / "run.json")
        return cls(path, record)

    @classmethod
    def open(cls, path: Path) -> RunFolder:
        """Read the folder of an earlier run.

        Raises:
            InvalidInput: it is not the folder of a run, or of another version.
        """
        return cls(path, documents.read(RunRecord, path / "run.json"))

    @property
    def pipeline(self) -> Path:
        """The compiled pipeline."""
        return self.path / "pipeline.yaml"

    @property
    def work(self) -> Path:
        """The folder that kfp.local works in."""
        return self.path / "work"

    @property
    def workspace(self) -> Path:
        """The folder of private data, which is removed when no step will read it any more."""
        return self.path / "workspace"

    @property
    def ended_steps(self) -> frozenset[str]:
        """The steps that have ended well."""
        return frozenset(step for step in self.record.steps if (self.path / "ended" / step).exists())

    @property
    def is_computed(self) -> bool:
        """Whether all steps before the paying one have ended: what is left is to pay and to publish."""
        if self.record.paying is None:
            return False
        before = self.record.steps[: self.record.steps.index(self.record.paying)]
        return self.ended_steps.issuperset(before)

    def record_end(self, step: str, exit_status: int) -> None:
        """Record how a step ended, and remove the data that no later step reads: after a failure, none does."""
        if exit_status:
            self.remove_unkept()
            return
        with contextlib.suppress(errors.PrivateKubeError):  # the disk is full: if need be the step runs again
            local_files.write(self.path / "ended" / step, b"", overwrite=True)
        ended = self.ended_steps | {step}  # a process that was killed may have removed less
        for artifact, reader in self.record.last_readers.items():
            if reader in ended:
                path = self.work / STEPS / artifact
                workspace.discard(self.workspace, path)
                _remove(path)

    def remove_unkept(self) -> None:
        """Remove everything that the steps wrote but the artifacts that may be kept."""
        workspace.erase(self.workspace)
        kept = {self.work / STEPS / artifact for artifact in self.record.kept}
        for path in sorted(self.work.rglob("*"), reverse=True):  # a folder comes after what is in it
            if path.is_dir() and not path.is_symlink():
                with contextlib.suppress(OSError):
                    path.rmdir()  # if it is empty
            elif path not in kept and not kept.intersection(path.parents):
                _remove(path)

    def remove(self) -> None:
        """Remove the folder."""
        _remove(self.path)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
