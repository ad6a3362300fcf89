"""Write the files of the small project, which are beside this module, into a folder."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path, PurePosixPath

from privatekube import errors
from privatekube.storage import local_files

_PROJECT = "project"
_RENAMED = {"gitignore": ".gitignore"}
"""Files that would have an effect beside this module under the name that they have in a project."""


def files() -> Iterator[tuple[PurePosixPath, bytes]]:
    """Return each file of the project: its path in the project, and its content."""
    yield from _files_in(resources.files(__package__) / _PROJECT, PurePosixPath())


def write(folder: Path) -> list[Path]:
    """Write the project into `folder`, which is created, and return the paths of its files.

    Raises:
        InvalidInput: the folder holds something already, or cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if any(folder.iterdir()):
            raise errors.invalid("directory", str(folder), "is not empty", "name one that does not exist")
        written = []
        for name, content in files():
            path = folder / name
            path.parent.mkdir(exist_ok=True)
            local_files.write(path, content)
            written.append(path)
    except OSError as error:
        raise local_files.translation(error, folder) from error
    return written


def _files_in(place: Traversable, path: PurePosixPath) -> Iterator[tuple[PurePosixPath, bytes]]:
    for entry in sorted(place.iterdir(), key=lambda entry: entry.name):
        if entry.is_dir() and entry.name != "__pycache__":
            yield from _files_in(entry, path / entry.name)
        elif entry.is_file():
            yield path / _RENAMED.get(entry.name, entry.name), entry.read_bytes()
