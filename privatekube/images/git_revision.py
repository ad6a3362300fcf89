"""The last commit that changed the sources of an image, and its time."""

from __future__ import annotations

import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Revision:
    """The id and time (ISO 8601) of a commit; the id ends in `-modified` if the files have changed since.

    Both are None if there is no git or no history.
    """

    commit: str | None
    time: str | None


def revision(root: Path, files: Iterable[Path]) -> Revision:
    """Return the last commit that changed `files`, whose paths are relative to `root`."""
    paths = [str(file) for file in files]
    last = _git(root, "log", "-1", "--format=%H %cI", "--", *paths)
    if not last:
        return Revision(None, None)
    commit, _, time = last.partition(" ")
    modified = _git(root, "status", "--porcelain", "--", *paths)
    return Revision(f"{commit}-modified" if modified else commit, time)


def _git(root: Path, *arguments: str) -> str:
    try:
        process = subprocess.run(  # noqa: S603 - the paths are our own
            ["git", "-C", str(root), *arguments],  # noqa: S607 - the first git on the path
            capture_output=True,
            text=True,
            check=False,
        )
    except OSError:
        return ""
    return process.stdout.strip() if process.returncode == 0 else ""
