"""Serve the page until the process is interrupted."""

from __future__ import annotations

import contextlib
import errno
import socket
from collections.abc import Callable
from pathlib import Path

import uvicorn

from privatekube import errors
from privatekube.page.address_token import Access, AddressToken
from privatekube.page.guard import Door
from privatekube.page.reader import Reader
from privatekube.page.routes import Site

_LAST_REQUESTS_SECONDS = 2
"""How long requests may take that are answered when the server is told to end."""
_MOST_CONNECTIONS = 512


def serve(host: str, port: int, *, results: Path, announce: Callable[[str, Access], None]) -> None:
    """Serve the page of the store that PRIVATEKUBE_STORE names, until SIGINT or SIGTERM.

    Args:
        host: address or name to listen on.
        port: to listen on; 0 for any that is free.
        results: the folder that runs publish into.
        announce: is called with the address, token included, once the page can be opened.

    Raises:
        NotFound: the store does not exist.
        InvalidInput: it cannot be opened, or the address cannot be listened on.
        StoreBusy: another process holds the store.
    """
    with Reader() as reader, contextlib.closing(listen(host, port)) as listener:
        access = Access(host, cookie=f"privatekube-page-{listener.getsockname()[1]}")
        announce(f"{_address(host, listener)}/?token={access.token}", access)
        run(Site(results), AddressToken(access, reader), listener)


def serve_visitors(host: str, port: int, *, door: Door, announce: Callable[[str], None]) -> None:
    """Serve a page to the visitors that a door lets in, until SIGINT or SIGTERM.

    Args:
        host: address or name to listen on.
        port: to listen on; 0 for any that is free.
        door: gives each visitor a reader.
        announce: is called with the address once the page can be opened.

    Raises:
        InvalidInput: the address cannot be listened on.
    """
    with contextlib.closing(listen(host, port)) as listener:
        announce(_address(host, listener))
        run(Site(results=None), door, listener)


def run(site: Site, door: Door, listener: socket.socket) -> None:
    """Serve a site to those whom a door lets in, until SIGINT or SIGTERM."""
    uvicorn.Server(configuration(site, door)).run(sockets=[listener])


def configuration(site: Site, door: Door) -> uvicorn.Config:
    """Return how a site is served: without a log of addresses, which may have the token."""
    return uvicorn.Config(
        site.app(door),
        limit_concurrency=_MOST_CONNECTIONS,
        access_log=False,
        log_level="warning",
        server_header=False,
        proxy_headers=False,
        ws="none",
        timeout_graceful_shutdown=_LAST_REQUESTS_SECONDS,
    )


def listen(host: str, port: int) -> socket.socket:
    """Return a socket that listens.

    Raises:
        InvalidInput: the port is taken, or the host is not one of this machine.
    """
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        return socket.create_server((host, port), family=family)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise errors.invalid("--port", port, "is taken by another program", "choose another one") from error
        if error.errno == errno.EACCES:
            raise errors.invalid("--port", port, "needs rights that you lack", "choose one above 1023") from error
        reason = (error.strerror or str(error)).lower()
        raise errors.invalid("--host", host, f"cannot be listened on ({reason})", "name an address of here") from error


def _address(host: str, listener: socket.socket) -> str:
    """Return the address of the page that listens on a host, as its user wrote it."""
    return f"http://{f'[{host}]' if ':' in host else host}:{listener.getsockname()[1]}"
