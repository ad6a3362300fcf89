"""Files in buckets, gs:// and s3://: each function does one thing once, and raises the errors of this library.

A scheme is one class of one module, which is imported when a bucket of it is used:

    class MyBucket:                                # see `Bucket`
        def __init__(self, name: str) -> None: ...
        def read(self, key: str) -> bytes: ...

and one entry in `_OPENED_BY`.
"""

from __future__ import annotations

import errno
import functools
import logging
import os
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, Protocol, TypeVar

from privatekube import errors
from privatekube.storage import local_files, remote_errors

T = TypeVar("T")
_SILENT = logging.NullHandler()
_LOGGERS = ("google", "boto3", "botocore", "urllib3")
_VARIABLES = ("AWS_", "GOOGLE_", "CLOUDSDK_", "STORAGE_EMULATOR_HOST", "HOME", "NO_GCE_CHECK")
"""The variables, by how they begin, that say how a bucket is reached."""

_OF_THE_DISK = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO}
"""What no connection reports, so that it is about the local file."""


class Bucket(Protocol):
    """A bucket of one store; it raises the errors of the store's driver, and a file appears whole or not at all."""

    def read(self, key: str) -> bytes:
        """Return the content of a file."""

    def fetch(self, key: str, file: BinaryIO) -> None:
        """Write the content of a file to a local one, a part at a time."""

    def create(self, key: str, content: bytes | Path) -> None:
        """Write a file that is not there yet, and fail if it is."""

    def replace(self, key: str, content: bytes) -> None:
        """Write a file, in place of one that is there."""

    def size_of(self, key: str) -> int | None:
        """Return the size of a file in bytes; None if it is not there."""

    def list_folder(self, prefix: str) -> tuple[list[str], bool]:
        """Return the keys directly below a prefix, which ends in a slash, and whether anything is below it."""

    def remove(self, key: str) -> None:
        """Remove a file; one that is not there is no error."""


@dataclass(frozen=True, slots=True)
class Place:
    """A file or a prefix in a bucket.

    Args:
        scheme: `gs` or `s3`.
        bucket: its name.
        key: the path in it, without a slash at its end; empty for the whole bucket.
    """

    scheme: str
    bucket: str
    key: str

    def __str__(self) -> str:
        return f"{self.scheme}://{self.bucket}/{self.key}".rstrip("/")


def parse(uri: str) -> Place:
    """Return the parts of a remote URI.

    >>> parse("s3://bucket/runs/1/")
    Place(scheme='s3', bucket='bucket', key='runs/1')
    """
    scheme, _, rest = uri.partition("://")
    bucket, _, key = rest.partition("/")
    return Place(scheme, bucket, key.rstrip("/"))


def read(place: Place) -> bytes:
    """Return the content of a file."""
    return _do(place, lambda bucket: bucket.read(place.key))


def fetch(place: Place, path: Path) -> None:
    """Write the content of a file to a local one, a part at a time."""
    try:
        with path.open("wb") as file:
            _do(place, lambda bucket: bucket.fetch(place.key, file))
    except OSError as error:
        raise local_files.translation(error, path) from error


def create(place: Place, content: bytes | Path) -> None:
    """Write a file that is not there yet; the store decides between two writers.

    Not every server that speaks a store's protocol does: hence the question before.

    Raises:
        AlreadyExists: it is there.
    """
    if size_of(place) is not None:
        raise remote_errors.exists(str(place))
    _do(place, lambda bucket: bucket.create(place.key, content))


def replace(place: Place, content: bytes) -> None:
    """Write a file, in place of one that is there."""
    _do(place, lambda bucket: bucket.replace(place.key, content))


def size_of(place: Place) -> int | None:
    """Return the size of a file in bytes; None if it is not there."""
    return _do(place, lambda bucket: bucket.size_of(place.key)) if place.key else None


def list_folder(place: Place) -> tuple[list[Place], bool]:
    """Return the files directly below a prefix, and whether anything at all is below it."""
    prefix = f"{place.key}/" if place.key else ""
    keys, is_there = _do(place, lambda bucket: bucket.list_folder(prefix))
    return [Place(place.scheme, place.bucket, key) for key in keys if key != prefix], is_there


def remove(place: Place) -> None:
    """Remove a file; one that is not there is no error."""
    _do(place, lambda bucket: bucket.remove(place.key))


def _do(place: Place, action: Callable[[Bucket], T]) -> T:
    for name in _LOGGERS:  # without a handler, Python would print what a driver logs of each failed request
        logging.getLogger(name).addHandler(_SILENT)
    try:
        return action(_opened(_Connection(place.scheme, place.bucket, _variables(), threading.get_ident())))
    except errors.PrivateKubeError:
        raise
    except Exception as error:
        if isinstance(error, OSError) and error.errno in _OF_THE_DISK:
            raise
        raise remote_errors.translation(error, str(place)) from error


@dataclass(frozen=True, slots=True)
class _Connection:
    """A bucket as an environment leads to it: while that is so, a thread keeps its connection and its token."""

    scheme: str
    bucket: str
    variables: tuple[tuple[str, str], ...] = field(repr=False)
    thread: int


def _variables() -> tuple[tuple[str, str], ...]:
    return tuple(sorted((name, value) for name, value in os.environ.items() if name.startswith(_VARIABLES)))


@functools.lru_cache(maxsize=16)
def _opened(connection: _Connection) -> Bucket:
    return _OPENED_BY[connection.scheme](connection.bucket)


def _google(name: str) -> Bucket:
    from privatekube.storage.google_bucket import GoogleBucket  # noqa: PLC0415 - only those who use one need its driver

    return GoogleBucket(name)


def _amazon(name: str) -> Bucket:
    from privatekube.storage.amazon_bucket import AmazonBucket  # noqa: PLC0415 - see _google

    return AmazonBucket(name)


_OPENED_BY: dict[str, Callable[[str], Bucket]] = {"gs": _google, "s3": _amazon}
