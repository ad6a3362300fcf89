"""Ports of loopback for servers that have to be told theirs."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator


@contextlib.contextmanager
def reserved() -> Iterator[int]:
    """Yield a port that no other process gets, even while nothing listens there: it stays bound.

    A server can listen there all the same if it sets SO_REUSEADDR, as servers written in Go and Python do.
    """
    with socket.socket() as reservation:
        reservation.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        reservation.bind(("127.0.0.1", 0))
        yield int(reservation.getsockname()[1])
