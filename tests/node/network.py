"""A thread of the tests in the network of a node: what it opens there stays open, and nothing else changes."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_NETWORK = 0x40000000  # CLONE_NEWNET; os.setns came after Python 3.11


@contextmanager
def entered(namespace: Path | None) -> Iterator[None]:
    """The calling thread in that network namespace; None for the one where it is."""
    if namespace is None:
        yield
        return
    own = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    try:
        _enter(namespace)
        yield
    finally:
        _enter(Path(f"/proc/self/fd/{own}"))
        os.close(own)


def _enter(namespace: Path) -> None:
    there = os.open(namespace, os.O_RDONLY)
    try:
        if ctypes.CDLL(None, use_errno=True).setns(there, _NETWORK):
            raise OSError(ctypes.get_errno(), f"cannot enter the network of {namespace}")
    finally:
        os.close(there)
