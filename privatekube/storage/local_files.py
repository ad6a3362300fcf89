"""Write local files atomically, and translate the errors of the operating system."""

from __future__ import annotations

import contextlib
import errno
import functools
import os
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from privatekube import errors

_NO_LINKS = {errno.EPERM, errno.ENOTSUP, errno.ENOSYS, errno.EMLINK}


def write(path: str | os.PathLike[str], data: bytes, *, overwrite: bool = False, mode: int = 0o666) -> None:
    """Write `data` to `path` in one step: a temporary file in the same folder, fsync, then its final name, fsync.

    Missing folders are created. On any error the temporary file is removed and `path` is unchanged.

    Args:
        path: where the file goes.
        data: its content.
        overwrite: replace a file that is there.
        mode: permissions of the file, less the umask.

    Raises:
        AlreadyExists: `path` exists and `overwrite` is not set.
        InvalidInput: the disk is full, or the folder cannot be written.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     write(Path(folder) / "new" / "file", b"data")
        ...     (Path(folder) / "new" / "file").read_bytes()
        b'data'
    """
    with replacing(Path(path), overwrite=overwrite, mode=mode) as file:
        file.write(data)


@contextlib.contextmanager
def replacing(target: Path, *, overwrite: bool = False, mode: int = 0o666) -> Iterator[BinaryIO]:
    """Write to `target` piece by piece, and as safely as `write` does: it gets its content when the block ends.

    Args:
        target: where the file goes.
        overwrite: replace a file that is there.
        mode: permissions of the file, less the umask.

    Raises:
        AlreadyExists: `target` exists and `overwrite` is not set.
        InvalidInput: the disk is full, or the folder cannot be written.
    """
    make_folder(target.parent)
    try:
        temporary = target.parent / f".{target.name[:80]}.{secrets.token_hex(8)}.part"
        try:
            with open(temporary, "xb", opener=functools.partial(os.open, mode=mode)) as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            _rename(temporary, target, overwrite=overwrite)
            _sync_folder(target.parent)
        finally:
            temporary.unlink(missing_ok=True)
    except FileExistsError as error:
        raise errors.AlreadyExists(f"file: {target} exists; choose another name") from error
    except OSError as error:
        raise translation(error, target) from error


def link(source: Path, target: Path) -> None:
    """Give a file a second name, or copy it where the file system has no links; OSError if neither can be done."""
    try:
        os.link(source, target)
    except OSError as error:
        if error.errno not in {*_NO_LINKS, errno.EXDEV}:
            raise
        shutil.copy2(source, target)


def _sync_folder(folder: Path) -> None:
    """Have the name of a new file survive a power cut, where the file system can."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        with contextlib.suppress(OSError):
            os.fsync(descriptor)
    finally:
        os.close(descriptor)


def make_folder(folder: Path, *, mode: int = 0o777) -> None:
    """Create a folder, and those that lead to it; one that exists is left as it is.

    Args:
        folder: where.
        mode: permissions of the folder itself, less the umask.

    Raises:
        InvalidInput: it cannot be created.
    """
    try:
        folder.mkdir(mode, parents=True, exist_ok=True)
    except FileExistsError as error:  # of a file in its place: it does not mean that the file to be written exists
        raise translation(NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR)), folder) from error
    except OSError as error:
        raise translation(error, folder) from error


def require_space(folder: Path, *, n_bytes: int) -> None:
    """Check that a disk has room for what a run will write.

    Args:
        folder: where it will be written; it may not exist yet.
        n_bytes: an estimate from public numbers alone, since the message has it.

    Raises:
        InvalidInput: it has not.
    """
    existing = next(path for path in (folder.absolute(), *folder.absolute().parents) if path.exists())
    free = shutil.disk_usage(existing).free
    if free < n_bytes:
        bound = f"has {free / 2**20:,.0f} MiB free, and the run may write {n_bytes / 2**20:,.0f} MiB"
        raise errors.invalid("folder", str(folder), bound, "free some space or choose another folder")


def translation(error: OSError, path: object) -> errors.PrivateKubeError:
    """Return the error of this library that states in one line what the system reported about `path`."""
    reason = (error.strerror or str(error) or type(error).__name__).lower().replace("\n", " ")
    if isinstance(error, FileNotFoundError):
        return errors.NotFound(f"file: {path} does not exist; check the name")
    if error.errno in {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}:
        return errors.InvalidInput(
            f"file: {path} cannot be written, {reason}; free some space or choose another folder"
        )
    if isinstance(error, PermissionError | IsADirectoryError | NotADirectoryError) or error.errno == errno.EROFS:
        return errors.InvalidInput(
            f"file: {path} cannot be used, {reason}; choose another path or change its permissions"
        )
    if isinstance(error, TimeoutError | ConnectionError | InterruptedError):
        return errors.Temporary(f"file: {path} cannot be reached now, {reason}; try again")
    return errors.InvalidInput(f"file: {path} cannot be used, {reason}; choose another path")


def _rename(temporary: Path, target: Path, *, overwrite: bool) -> None:
    """Give the complete file its name; without `overwrite` a hard link decides between two writers."""
    if not overwrite:
        try:
            os.link(temporary, target)
        except OSError as error:
            if error.errno not in _NO_LINKS:
                raise
            if target.exists():
                raise FileExistsError(errno.EEXIST, "exists", str(target)) from error
        else:
            return
    os.replace(temporary, target)
