"""Fetch many files at once, and publish the files of a folder so that a reader never takes half of them for all."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from privatekube.storage import uris

AT_ONCE = 4
"""Files that are fetched at the same time: each holds one part of a file in memory, see `buckets`."""


def fetch_each(files: Sequence[tuple[str, Path]]) -> Iterator[Path]:
    """Fetch files several at a time, and yield the local ones in the order given, each as soon as it is complete.

    Args:
        files: a URI and where it goes: a local file that its owner alone can read.

    Raises:
        NotFound, InvalidInput, MissingExtra, Temporary: as `uris.read_bytes`, for the first that fails; those that are
            not begun yet are then left.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as name:
        ...     folder = Path(name)
        ...     (folder / "a").write_text("block")
        ...     [path.read_text() for path in fetch_each([(str(folder / "a"), folder / "b")])]
        5
        ['block']
    """
    with ThreadPoolExecutor(AT_ONCE) as pool:
        yield from pool.map(_fetched, files)


def _fetched(file: tuple[str, Path]) -> Path:
    uris.copy_to(*file)
    return file[1]


def publish_folder(files: Mapping[str, Path], folder: str, *, last: str) -> None:
    """Publish local files under their names in a folder, one of them after all others.

    A folder that has the last one is complete: object stores cannot rename a folder, see decision 0045. The same files
    may be published again.

    Args:
        files: the local file of each name.
        folder: path or URI.
        last: the name of the file that is published last.

    Raises:
        AlreadyExists: the folder has other content under one of the names.
    """
    for name in sorted(files, key=lambda name: name == last):
        uris.publish(files[name], uris.join(folder, name))
