"""Read and write files by URI: plain paths and file://, gs://, s3://.

Buckets are reached through `buckets`, local files through `local_files`. What fails for the moment is repeated here.
"""

from __future__ import annotations

import contextlib
import filecmp
import re
import secrets
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

from privatekube import errors, retries
from privatekube.storage import buckets, local_files, private_files

FILE = "file://"
REMOTE = ("gs://", "s3://")
ATTEMPTS = 4
TIMEOUT_SECONDS = 20.0
"""No attempt starts later: a driver that takes so long has tried several times itself."""
BACK_OFF = retries.BackOff(first_seconds=0.5, longest_seconds=4.0)
_WITHOUT_SLASHES = re.compile(r"(?:file|gs|s3):(?!//)")
"""A misspelt URI, which would otherwise name a folder of this machine."""
_COPY_BYTES = 8 << 20

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
    if not text:
        raise errors.invalid("path", text, "is empty", "name a file or a folder")
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
        return _repeated(lambda: buckets.read(buckets.parse(place)))
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
    remote, write = buckets.parse(place), buckets.replace if overwrite else buckets.create
    _repeated(lambda: write(remote, data))


def write_private(uri: str, data: bytes, *, overwrite: bool = True) -> None:
    """Write a file in one step: on this machine, one that its owner alone can read.

    Who can read a remote store, its own rules say.

    Raises:
        AlreadyExists, InvalidInput, MissingExtra, Temporary: as `write_bytes`.
    """
    place = absolute(uri)
    if place.startswith(REMOTE):
        write_bytes(place, data, overwrite=overwrite)
    else:
        private_files.write(Path(place), data, overwrite=overwrite)


def publish(path: Path, uri: str) -> None:
    """Copy a local file to `uri`, never over other content; the same content is a repetition.

    Raises:
        AlreadyExists: `uri` has other content.
        NotFound, InvalidInput: the local file cannot be read.
    """
    place = absolute(uri)
    try:
        path.stat()
    except OSError as error:
        raise local_files.translation(error, path) from error
    try:
        if place.startswith(REMOTE):
            _repeated(lambda: buckets.create(buckets.parse(place), path))
        else:
            local_files.write(place, path.read_bytes())
    except errors.AlreadyExists as error:
        if not _has_content(place, path):
            raise errors.AlreadyExists(f"file: {uri} has another result; publish to another prefix") from error


def _has_content(place: str, path: Path) -> bool:
    if not place.startswith(REMOTE):
        return filecmp.cmp(place, path, shallow=False)
    remote = buckets.parse(place)
    if _repeated(lambda: buckets.size_of(remote)) != path.stat().st_size:
        return False
    with tempfile.NamedTemporaryFile() as file:
        copy = Path(file.name)
        _repeated(lambda: buckets.fetch(remote, copy))
        return filecmp.cmp(copy, path, shallow=False)


def copy_to(uri: str, path: Path) -> None:
    """Fetch `uri` into a local file that its owner alone can read, in place of one that is there; a part at a time."""
    place = absolute(uri)
    partial = path.with_name(f".{path.name}.part")
    private_files.create(partial)
    try:
        if place.startswith(REMOTE):
            _repeated(lambda: buckets.fetch(buckets.parse(place), partial))
        else:
            _copy_local(Path(place), partial)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def _copy_local(source: Path, target: Path) -> None:
    try:
        with source.open("rb") as content, target.open("wb") as file:
            shutil.copyfileobj(content, file, _COPY_BYTES)
    except OSError as error:
        raise local_files.translation(error, source) from error


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
        copy_to(place, path)
        yield path


def exists(uri: str) -> bool:
    """Whether there is a file or a folder."""
    place = absolute(uri)
    if place.startswith(REMOTE):
        remote = buckets.parse(place)
        return _repeated(lambda: buckets.size_of(remote) is not None or buckets.list_folder(remote)[1])
    return Path(place).exists()


def list_files(uri: str) -> list[str]:
    """Return the files directly in a folder, by name; the file itself if `uri` is one.

    Raises:
        NotFound: neither exists.
    """
    place = absolute(uri)
    if place.startswith(REMOTE):
        return _remote_files(place)
    if Path(place).is_file():
        return [place]
    try:
        return sorted(str(path) for path in Path(place).iterdir() if path.is_file())
    except OSError as error:
        raise local_files.translation(error, place) from error


def _remote_files(place: str) -> list[str]:
    remote = buckets.parse(place)
    if _repeated(lambda: buckets.size_of(remote)) is not None:
        return [place]
    files, is_folder = _repeated(lambda: buckets.list_folder(remote))
    if not is_folder:
        raise errors.NotFound(f"file: {place} does not exist; check the name")
    return sorted(map(str, files))


def require_writable(prefix: str) -> None:
    """Check that files can be written below `prefix`; only the folder remains afterwards.

    Raises:
        InvalidInput: they cannot be written.
    """
    probe = join(absolute(prefix), f".writable-{secrets.token_hex(6)}")
    write_bytes(probe, b"", overwrite=True)
    if probe.startswith(REMOTE):
        _repeated(lambda: buckets.remove(buckets.parse(probe)))
    else:
        Path(probe).unlink(missing_ok=True)


def _repeated(action: Callable[[], T]) -> T:
    """Do something with a bucket; repeat it a few times if the store does not answer."""
    return retries.call(action, attempts=ATTEMPTS, timeout_seconds=TIMEOUT_SECONDS, back_off=BACK_OFF)
