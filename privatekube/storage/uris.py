"""One way to read and write URIs: plain paths and file://, gs://, s3://.

Remote stores go through fsspec, whose drivers are imported on use; local files through `localfile`. What a store says
is translated here, once.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import fsspec

from privatekube import errors
from privatekube.storage import local_files

FILE = "file://"
REMOTE = ("gs://", "s3://")
_TRIES = 4
_FIRST_WAIT = 0.5

T = TypeVar("T")


def absolute(uri: str) -> str:
    """A path or file:// URI as an absolute path; a remote URI as it is, without a slash at its end.

    Raises:
        InvalidInput: another scheme.
    """
    if uri.startswith(REMOTE):
        return uri.rstrip("/")
    if "://" in uri and not uri.startswith(FILE):
        known = ", ".join(("a path", FILE, *REMOTE))
        raise errors.invalid("URI", uri, "has an unknown scheme", f"use {known}")
    return str(Path(uri.removeprefix(FILE)).absolute())


def join(uri: str, *names: str) -> str:
    """`uri` with `names` below it."""
    return "/".join([uri.rstrip("/"), *names])


def to_uri(location: str) -> str:
    """A location as a URI: paths become file://."""
    place = absolute(location)
    return place if place.startswith(REMOTE) else f"{FILE}{place}"


def read_bytes(uri: str) -> bytes:
    """The content of a file.

    Raises:
        NotFound: there is none.
        InvalidInput: it cannot be read.
        Temporary: the store does not answer, after several tries.
    """
    place = absolute(uri)
    if place.startswith(REMOTE):
        content: bytes = _remote(place, lambda files: files.cat_file(place))
        return content
    try:
        return Path(place).read_bytes()
    except OSError as error:
        raise local_files.translated(error, place) from error


def write_bytes(uri: str, data: bytes, *, overwrite: bool = False) -> None:
    """Write a file, whole or not at all.

    Raises:
        AlreadyExists: it is there and `overwrite` is not set.
        InvalidInput: it cannot be written.
        Temporary: the store does not answer, after several tries.
    """
    place = absolute(uri)
    if not place.startswith(REMOTE):
        local_files.write(place, data, overwrite=overwrite)
        return
    if not overwrite and exists(place):
        raise errors.AlreadyExists(f"file: {place} exists; choose another name")
    _remote(place, lambda files: files.pipe_file(place, data))


def publish(path: Path, uri: str) -> None:
    """Put a local file at `uri`, never over another content; the same content there is a repetition.

    Raises:
        AlreadyExists: another content is there.
    """
    data = path.read_bytes()
    try:
        write_bytes(uri, data)
    except errors.AlreadyExists as error:
        if read_bytes(uri) != data:
            raise errors.AlreadyExists(f"file: {uri} holds another result; publish to another prefix") from error


def copy_to(uri: str, path: Path) -> None:
    """Fetch `uri` into a local file."""
    local_files.write(path, read_bytes(uri), overwrite=True)


def exists(uri: str) -> bool:
    """Whether there is a file or a folder."""
    place = absolute(uri)
    if place.startswith(REMOTE):
        return bool(_remote(place, lambda files: files.exists(place)))
    return Path(place).exists()


def list_files(uri: str) -> list[str]:
    """The files directly in a folder, by name; the file itself where `uri` is one.

    Raises:
        NotFound: there is neither.
    """
    place = absolute(uri)
    if place.startswith(REMOTE):
        scheme = place.partition("://")[0]
        listed = _remote(place, lambda files: files.ls(place, detail=True))
        return sorted(f"{scheme}://{each['name']}" for each in listed if each["type"] == "file")
    if Path(place).is_file():
        return [place]
    try:
        return sorted(str(each) for each in Path(place).iterdir() if each.is_file())
    except OSError as error:
        raise local_files.translated(error, place) from error


def require_writable(prefix: str) -> None:
    """Prove that files can be written below `prefix`, leaving nothing behind but the folder.

    Raises:
        InvalidInput: they cannot.
    """
    probe = join(absolute(prefix), f".writable-{secrets.token_hex(6)}")
    write_bytes(probe, b"")
    if probe.startswith(REMOTE):
        _remote(probe, lambda files: files.rm_file(probe))
    else:
        Path(probe).unlink(missing_ok=True)


def _remote(place: str, action: Callable[[Any], T]) -> T:
    """Do something on a remote store; a store that does not answer is tried again, a few times."""
    scheme = place.partition("://")[0]
    wait = _FIRST_WAIT
    for attempt in range(1, _TRIES + 1):
        try:
            return action(fsspec.filesystem(scheme, skip_instance_cache=True, use_listings_cache=False))
        except FileNotFoundError as error:
            raise errors.NotFound(f"file: {place} does not exist; check the name") from error
        except PermissionError as error:
            raise errors.invalid("file", place, "is refused to you", "check credentials and rights") from error
        except ImportError as error:
            raise errors.invalid(
                "file", place, f"needs a driver ({error})", f"install privatekube[{scheme}]"
            ) from error
        except (OSError, RuntimeError, ValueError) as error:  # what drivers raise when a store fails
            if attempt == _TRIES:
                reason = type(error).__name__
                raise errors.Temporary(f"file: {place} cannot be reached ({reason}); check the network") from error
            time.sleep(wait)
            wait *= 2
    raise AssertionError("unreachable")
