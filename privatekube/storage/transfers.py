"""Fetch many files at once, and publish the files of a folder so that a reader never takes half of them for all."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from privatekube.storage import uris

AT_ONCE = 4
"""Files that are fetched at the same time: so many are in memory, however many there are."""

T = TypeVar("T")
R = TypeVar("R")


def each_in_order(function: Callable[[T], R], items: Sequence[T]) -> Iterator[R]:
    """Call a function with several items at a time, in threads, and yield what it returns in the order of the items.

    At most AT_ONCE items are begun beyond the one that was yielded last, whichever side is slower.

    Args:
        function: such as one that fetches a file; the first error that it raises is raised, and those items are left
            that are not begun yet.
        items: what to call it with.

    Example:
        >>> list(each_in_order(str.upper, ["a", "b"]))
        ['A', 'B']
    """
    pending: deque[Future[R]] = deque()
    with ThreadPoolExecutor(AT_ONCE) as pool:
        try:
            for item in items:
                if len(pending) == AT_ONCE:
                    yield pending.popleft().result()
                pending.append(pool.submit(function, item))
            while pending:
                yield pending.popleft().result()
        finally:
            for future in pending:
                future.cancel()


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
