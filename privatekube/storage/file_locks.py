"""Locks of files, by which the processes of a machine exclude each other.

The system frees the locks of a process that ends, however it ends.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

from privatekube import errors
from privatekube.storage import local_files


@contextlib.contextmanager
def locked(path: Path, *, wait: bool = False) -> Iterator[bool]:
    """Lock a file for the duration of the block, and yield whether that succeeded.

    Args:
        path: the file, which is created if it is missing.
        wait: whether to wait while another process holds it.

    Raises:
        InvalidInput: the file system has no locks, or the file cannot be created.
    """
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise local_files.translation(error, path) from error
    try:
        yield _lock(descriptor, path, wait=wait)
    finally:
        os.close(descriptor)


def _lock(descriptor: int, path: Path, *, wait: bool) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except BlockingIOError:
        return False
    except OSError as error:
        reason = (error.strerror or "no locks").lower()
        raise errors.InvalidInput(
            f"file: {path} cannot be locked, {reason}; work in a folder on a local disk"
        ) from error
    return True
