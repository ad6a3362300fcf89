"""The memory that this machine has for a training, within the limit of its container."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

_ROOT = Path("/")


def available_memory(root: Path = _ROOT) -> int | None:
    """Return how many bytes a new process can use: the least of the machine and of each control group; None if unknown.

    Args:
        root: where `/proc` and `/sys/fs/cgroup` are, for tests.
    """
    amounts = [*_of_machine(root / "proc" / "meminfo"), *_of_groups(root)]
    return min(amounts) if amounts else None


def _of_machine(path: Path) -> Iterator[int]:
    for line in _lines(path):
        name, _, amount = line.partition(":")
        if name == "MemAvailable":
            yield int(amount.split()[0]) << 10


def _of_groups(root: Path) -> Iterator[int]:
    """Yield what each group of this process has left: its limit less its use, without the cache of files.

    In a container the path of the group is that of the host, and the group itself is at the mount.
    """
    for line in _lines(root / "proc" / "self" / "cgroup"):
        _, controllers, path = line.split(":", 2)
        if controllers in {"", "memory"}:
            mount = root / "sys" / "fs" / "cgroup" / controllers
            names = [] if ".." in path else path.strip("/").split("/")
            for depth in range(len(names) + 1):
                yield from _of_group(mount.joinpath(*names[:depth]))


def _of_group(folder: Path) -> Iterator[int]:
    for limit_file, use_file in (
        ("memory.max", "memory.current"),
        ("memory.limit_in_bytes", "memory.usage_in_bytes"),
    ):
        limit, use = _number(folder / limit_file), _number(folder / use_file)
        if limit is not None and use is not None:
            yield max(0, limit - use + _cache(folder / "memory.stat"))


def _cache(path: Path) -> int:
    numbers = dict(line.split(maxsplit=1) for line in _lines(path))
    return int(numbers.get("total_inactive_file", numbers.get("inactive_file", "0")))


def _number(path: Path) -> int | None:
    text = "".join(_lines(path))
    return int(text) if text.isdigit() else None


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8").splitlines()
    except OSError:
        return []
