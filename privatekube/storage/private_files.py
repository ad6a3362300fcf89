"""Files and folders that their owner alone can read, whatever the umask: people's data, budgets, and secret keys.

They are created so: there is no moment at which they can be read by others. What an earlier version left open in the
folder of this program is closed when that folder is used again. What is published is written by `local_files`.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
from pathlib import Path

from privatekube import errors
from privatekube.storage import local_files

HOME = Path(".privatekube")
"""Where a working folder has all that is private: the store, the blocks, the runs that are not published."""
_FILE, _FOLDER, _OF_OTHERS = 0o600, 0o700, 0o077


def make_folder(path: Path) -> None:
    """Create a folder, and those that lead to it; one that exists keeps its permissions, unless it is or is in `HOME`.

    Raises:
        InvalidInput: it cannot be created, or `HOME` belongs to somebody else who left it open.
    """
    for folder in reversed((path.absolute(), *path.absolute().parents)):
        local_files.make_folder(folder, mode=_FOLDER)
        if folder.name == HOME.name:
            close(folder)


def create(path: Path) -> None:
    """Create an empty file, and the folders that lead to it; one that exists is left unchanged.

    Raises:
        InvalidInput: it cannot be created.
    """
    make_folder(path.parent)
    try:
        with contextlib.suppress(FileExistsError):
            os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, _FILE))
    except OSError as error:
        raise local_files.translation(error, path) from error


def write(path: Path, data: bytes, *, overwrite: bool = True) -> None:
    """Write a file in one step, in place of one that is there unless that must stay; missing folders are created.

    Raises:
        AlreadyExists: it exists and `overwrite` is not set.
        InvalidInput: it cannot be written.
    """
    make_folder(path.parent)
    local_files.write(path, data, overwrite=overwrite, mode=_FILE)


def replace_folder(source: Path, target: Path) -> None:
    """Move a folder of this file system, in place of one that is there.

    Raises:
        InvalidInput: it cannot be moved.
    """
    make_folder(target.parent)
    try:
        shutil.rmtree(target, ignore_errors=True)
        source.replace(target)
    except OSError as error:
        raise local_files.translation(error, target) from error


def link_folder(source: Path, target: Path) -> None:
    """Give the files of a folder a second place, in place of what is there: links, or copies where there are no links.

    Raises:
        InvalidInput: they cannot be linked or copied.
    """
    scratch = target.with_name(f".{target.name}.part")
    shutil.rmtree(scratch, ignore_errors=True)
    make_folder(scratch)
    try:
        for file in source.iterdir():
            local_files.link(file, scratch / file.name)
    except OSError as error:
        raise local_files.translation(error, target) from error
    replace_folder(scratch, target)


def close(path: Path) -> None:
    """Take a file from all but its owner; a folder with everything in it. One that does not exist is left so.

    Raises:
        InvalidInput: it belongs to somebody else.
    """
    if not _is_open(path):
        return
    top = path.resolve()
    for folder, _, names in os.walk(top, topdown=False):
        for name in (*names, "."):
            _close_one(Path(folder, name))
    _close_one(top)  # last: a call that is interrupted is repeated by the next one


def _is_open(path: Path) -> bool:
    with contextlib.suppress(FileNotFoundError):
        return bool(path.stat().st_mode & _OF_OTHERS)
    return False


def _close_one(path: Path) -> None:
    try:
        if not path.is_symlink():
            path.chmod(stat.S_IMODE(path.stat().st_mode) & ~_OF_OTHERS)
    except FileNotFoundError:  # another process has removed it
        return
    except OSError as error:
        fault, remedy = "can be read by others, and is not yours to close", f"have its owner run chmod go= {path}"
        raise errors.invalid("file", str(path), fault, remedy) from error
