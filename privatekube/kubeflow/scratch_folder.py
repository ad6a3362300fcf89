"""A private folder for one run that is not kept; what a killed process left in one is removed by the next run here."""

from __future__ import annotations

import contextlib
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path

from privatekube.storage import file_locks, private_files

SCRATCH = private_files.HOME / "scratch"
_LOCK = "lock"


@contextlib.contextmanager
def created() -> Iterator[Path]:
    """Yield a new folder that only this user can read, and remove it at the end.

    Its lock is held until then, by this process alone: a folder whose lock is free belongs to a process that is gone.
    Folders are created and removed under one lock, so that none is removed before it has its own.

    Raises:
        InvalidInput: it cannot be created, or the file system has no locks.
    """
    with contextlib.ExitStack() as stack:
        path = SCRATCH.resolve() / secrets.token_hex(8)
        with _registry():
            _remove_abandoned()
            private_files.make_folder(path)
            stack.enter_context(file_locks.locked(path / _LOCK))
        try:
            yield path
        finally:
            shutil.rmtree(path, ignore_errors=True)


@contextlib.contextmanager
def _registry() -> Iterator[None]:
    private_files.make_folder(SCRATCH)
    with file_locks.locked(private_files.HOME / "scratch.lock", wait=True):
        yield


def _remove_abandoned() -> None:
    for path in SCRATCH.resolve().iterdir():
        if not path.is_symlink() and path.is_dir():
            with file_locks.locked(path / _LOCK) as is_ours:
                if is_ours:
                    shutil.rmtree(path, ignore_errors=True)
