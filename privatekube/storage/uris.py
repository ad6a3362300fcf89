"""Read and write files by URI: plain paths and file://, gs://, s3://.

Remote stores are reached through fsspec, which imports their drivers when they are used; local files through
`local_files`. Errors of a store are translated by `remote_errors`.
"""

from __future__ import annotations

import contextlib
import logging
import re
import secrets
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import fsspec

from privatekube import errors, retries
from privatekube.storage import local_files, private_files, remote_errors

FILE = "file://"
REMOTE = ("gs://", "s3://")
ATTEMPTS = 4
TIMEOUT_SECONDS = 20.0
"""No attempt starts later: a driver that takes so long has tried several times itself."""
BACK_OFF = retries.BackOff(first_seconds=0.5, longest_seconds=4.0)
_WITHOUT_SLASHES = re.compile(r"(?:file|gs|s3):(?!//)")
"""A misspelt URI, which would otherwise name a folder of this machine."""
_SILENT = logging.NullHandler()

T = TypeVar("T")


def absolute(uri: str) -> str:
    """Return a path or file:// URI as an absolute path, and a remote URI without a slash at its end.

    Raises:
        InvalidInput: the URI has another scheme, no bucket, or is not text that a store and a command line can hold.
    """
    _require_storable(uri)
    if _WITHOUT_SLASHES.match(uri):
        raise errors.invalid("URI", uri, "has no // after its scheme", "write it as gs://BUCKET/PREFIX, or a path")
    if uri.startswith(REMOTE):
        _require_bucket(uri)
        return uri.rstrip("/")
    if "://" in uri and not uri.startswith(FILE):
        known = ", ".join(("a path", FILE, *REMOTE))
        raise errors.invalid("URI", uri, "has an unknown scheme", f"use {known}")
    path = str(Path(uri.removeprefix(FILE)).absolute())
    _require_storable(path)
    return path


def _require_bucket(uri: str) -> None:
    scheme, _, place = uri.partition("://")
    if not place.partition("/")[0]:
        raise errors.invalid("URI", uri, "names no bucket", f"write it as {scheme}://BUCKET/PREFIX")


def _require_storable(text: str) -> None:
    if "\0" in text or not _is_utf8(text):
        raise errors.invalid("path", text, "is not UTF-8 text", "use a folder with another name")


def _is_utf8(text: str) -> bool:
    """Whether a path has no bytes that Python could not decode; it keeps those as lone surrogates."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def is_local(uri: str) -> bool:
    """Whether a path or URI is of a file system of this machine."""
    return not uri.startswith(REMOTE)


def join(uri: str, *names: str) -> str:
    """Return the URI of `names` below `uri`."""
    return "/".join([uri.rstrip("/"), *names])


def to_uri(location: str) -> str:
    """Return a location as a URI: a path becomes file://."""
    place = absolute(location)
    return place if place.startswith(REMOTE) else f"{FILE}{place}"


def read_bytes(uri: str) -> bytes:
    """Return the content of a file.

    Raises:
        NotFound: the file does not exist.
        InvalidInput: it cannot be read, or the store refuses the request.
        MissingExtra: the driver of the store is not installed.
        Temporary: the store is busy or does not answer, after several attempts.
    """
    place = absolute(uri)
    if place.startswith(REMOTE):
        content: bytes = _remote(place, lambda files: files.cat_file(place))
        return content
    try:
        return Path(place).read_bytes()
    except OSError as error:
        raise local_files.translation(error, place) from error


def write_bytes(uri: str, data: bytes, *, overwrite: bool = False) -> None:
    """Write a file in one step.

    Raises:
        AlreadyExists: it exists and `overwrite` is not set.
        InvalidInput: it cannot be written, or the store refuses the request.
        MissingExtra: the driver of the store is not installed.
        Temporary: the store is busy or does not answer, after several attempts.
    """
    place = absolute(uri)
    if not place.startswith(REMOTE):
        local_files.write(place, data, overwrite=overwrite)
        return
    if not overwrite and exists(place):
        raise errors.AlreadyExists(f"file: {place} exists; choose another name")
    _remote(place, lambda files: files.pipe_file(place, data))


def write_private(uri: str, data: bytes) -> None:
    """Write a file in one step, in place of one that is there: on this machine, one that its owner alone can read.

    Who can read a remote store, its own rules say.

    Raises:
        InvalidInput, MissingExtra, Temporary: as `write_bytes`.
    """
    place = absolute(uri)
    if place.startswith(REMOTE):
        write_bytes(place, data, overwrite=True)
    else:
        private_files.write(Path(place), data)


def publish(path: Path, uri: str) -> None:
    """Copy a local file to `uri`, never over other content; the same content is a repetition.

    Raises:
        AlreadyExists: `uri` has other content.
    """
    data = path.read_bytes()
    try:
        write_bytes(uri, data)
    except errors.AlreadyExists as error:
        if read_bytes(uri) != data:
            raise errors.AlreadyExists(f"file: {uri} has another result; publish to another prefix") from error


def copy_to(uri: str, path: Path) -> None:
    """Fetch `uri` into a local file that its owner alone can read."""
    private_files.write(path, read_bytes(uri))


@contextlib.contextmanager
def local_copy(uri: str) -> Iterator[Path]:
    """Yield a local file with the content of `uri`: itself, or a copy that its owner alone can read and that goes then.

    Raises:
        NotFound, InvalidInput, MissingExtra, Temporary: as `read_bytes`.
    """
    place = absolute(uri)
    if not place.startswith(REMOTE):
        if not Path(place).is_file():
            read_bytes(place)  # which says what is wrong
        yield Path(place)
        return
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "copy"
        _remote(place, lambda files: files.get_file(place, str(path)))
        yield path


def exists(uri: str) -> bool:
    """Whether there is a file or a folder."""
    place = absolute(uri)
    if place.startswith(REMOTE):
        return bool(_remote(place, lambda files: files.exists(place)))
    return Path(place).exists()


def list_files(uri: str) -> list[str]:
    """Return the files directly in a folder, by name; the file itself if `uri` is one.

    Raises:
        NotFound: neither exists.
    """
    place = absolute(uri)
    if place.startswith(REMOTE):
        scheme = place.partition("://")[0]
        listed = _remote(place, lambda files: files.ls(place, detail=True))
        return sorted(f"{scheme}://{entry['name']}" for entry in listed if entry["type"] == "file")
    if Path(place).is_file():
        return [place]
    try:
        return sorted(str(path) for path in Path(place).iterdir() if path.is_file())
    except OSError as error:
        raise local_files.translation(error, place) from error


def require_writable(prefix: str) -> None:
    """Check that files can be written below `prefix`; only the folder remains afterwards.

    Raises:
        InvalidInput: they cannot be written.
    """
    probe = join(absolute(prefix), f".writable-{secrets.token_hex(6)}")
    write_bytes(probe, b"")
    if probe.startswith(REMOTE):
        _remote(probe, lambda files: files.rm_file(probe))
    else:
        Path(probe).unlink(missing_ok=True)


def _remote(place: str, action: Callable[[Any], T]) -> T:
    """Do something on a remote store; repeat it a few times if the store does not answer."""
    return retries.call(
        lambda: _attempt(place, action), attempts=ATTEMPTS, timeout_seconds=TIMEOUT_SECONDS, back_off=BACK_OFF
    )


def _attempt(place: str, action: Callable[[Any], T]) -> T:
    scheme = place.partition("://")[0]
    # without a handler, Python would print the traceback of each failed request that a driver logs
    logging.getLogger(remote_errors.DRIVERS[scheme]).addHandler(_SILENT)
    try:
        return action(fsspec.filesystem(scheme, skip_instance_cache=True, use_listings_cache=False))
    except Exception as error:
        raise remote_errors.translation(error, place) from error
