"""Where an image's sources stand in git: the last commit that touched them, and its time."""

from __future__ import annotations

import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Revision:
    """A commit's id and time (ISO 8601); of modified files, that of the last commit, marked.

    Both are None where git or its history is not there.
    """

    commit: str | None
    time: str | None


def revision(root: Path, files: Iterable[Path]) -> Revision:
    """The last commit that touched `files`, given from `root`."""
    paths = [str(file) for file in files]
    last = _git(root, "log", "-1", "--format=%H %cI", "--", *paths)
    if not last:
        return Revision(None, None)
    commit, _, time = last.partition(" ")
    modified = _git(root, "status", "--porcelain", "--", *paths)
    return Revision(f"{commit}-modified" if modified else commit, time)


def _git(root: Path, *arguments: str) -> str:
    try:
        done = subprocess.run(  # noqa: S603 - the paths are our own
            ["git", "-C", str(root), *arguments],  # noqa: S607 - whatever git is first on the path
            capture_output=True,
            text=True,
            check=False,
        )
    except OSError:
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
