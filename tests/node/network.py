"""Let a thread of the tests enter the network of a node; connections opened there stay open afterwards."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_NETWORK = 0x40000000  # CLONE_NEWNET; os.setns came after Python 3.11


@contextmanager
def enter(namespace: Path | None) -> Iterator[None]:
    """Move the calling thread to that network namespace and back; None leaves it where it is."""
    if namespace is None:
        yield
        return
    current = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    try:
        _set_namespace(namespace)
        yield
    finally:
        _set_namespace(Path(f"/proc/self/fd/{current}"))
        os.close(current)


def _set_namespace(namespace: Path) -> None:
    descriptor = os.open(namespace, os.O_RDONLY)
    try:
        if ctypes.CDLL(None, use_errno=True).setns(descriptor, _NETWORK):
            raise OSError(ctypes.get_errno(), f"cannot enter the network of {namespace}")
    finally:
        os.close(descriptor)
