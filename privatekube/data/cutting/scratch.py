"""The private folder of a job that is cut out of core, and the manifest by which a later run continues it.

A run that is killed leaves its folder. The next run of the same job continues it; any other run removes it. A run that
ends, or refuses its input, removes its own.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from privatekube import errors
from privatekube.storage import file_locks, local_files, private_files

HOME = private_files.HOME / "cutting"
_MANIFEST, _LOCK = "manifest", "lock"


@dataclass
class Scratch:
    """The folder of a job.

    Args:
        folder: holds the spilled records and the manifest.
        done: what the manifest says of each part that is done, by its name.
    """

    folder: Path
    done: dict[str, Any] = field(default_factory=dict)

    def note(self, name: str, result: Any) -> None:
        """Say in the manifest that a part is done: what it wrote is on the disk."""
        self.done[name] = result
        with (self.folder / _MANIFEST).open("ab") as manifest:
            manifest.write(json.dumps([name, result]).encode() + b"\n")
            manifest.flush()
            os.fsync(manifest.fileno())


@contextlib.contextmanager
def opened(job: str, home: Path) -> Iterator[Scratch]:
    """Yield the folder of a job for this process alone.

    It is removed at the end, also where an error ends the job. It stays after an interruption, and after an error that
    may not occur again.

    Args:
        job: what tells the job from others, a name of a folder; another input is another job.
        home: has the folders of all jobs.

    Raises:
        InvalidInput: another process is doing the job, or the folder cannot be written.
    """
    try:
        with contextlib.ExitStack() as stack:
            private_files.make_folder(home)
            with file_locks.locked(home / _LOCK, wait=True):
                _remove_abandoned(home, keep=job)
                private_files.make_folder(home / job)
                if not stack.enter_context(file_locks.locked(home / job / _LOCK)):
                    raise errors.InvalidInput("source: another process is cutting it; wait for that, or interrupt it")
            scratch = Scratch(home / job)
            _read_manifest(scratch)
            try:
                yield scratch
            except errors.Temporary:
                raise
            except Exception:
                shutil.rmtree(scratch.folder)
                raise
            shutil.rmtree(scratch.folder)
    except OSError as error:
        raise local_files.translation(error, home) from error


def _read_manifest(scratch: Scratch) -> None:
    """Read what is done, and cut off a line that a crash left half written."""
    path = scratch.folder / _MANIFEST
    private_files.create(path)
    whole = path.read_bytes()
    lines = whole[: whole.rfind(b"\n") + 1]
    if len(lines) < len(whole):
        os.truncate(path, len(lines))
    scratch.done = dict(json.loads(line) for line in lines.splitlines())


def _remove_abandoned(home: Path, *, keep: str) -> None:
    for folder in home.iterdir():
        if folder.is_dir() and folder.name != keep:
            with file_locks.locked(folder / _LOCK) as is_abandoned:
                if is_abandoned:
                    shutil.rmtree(folder)
