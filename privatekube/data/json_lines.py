"""Files of JSON lines, plain or gzip, one file per category."""

from __future__ import annotations

import zlib
from dataclasses import dataclass

from privatekube import errors
from privatekube.storage import uris

_ENDINGS = (".jsonl.gz", ".json.gz", ".jsonl", ".json", ".gz")
_GZIP = b"\x1f\x8b"
_GZIP_STREAM = 16 + zlib.MAX_WBITS
_CHUNK = 1 << 20


@dataclass(frozen=True, slots=True, repr=False)
class Content:
    """The content of a file.

    Args:
        lines: without their line ends.
        has_trailing_garbage: whether something that is not gzip follows the compressed data.
    """

    lines: list[bytes]
    has_trailing_garbage: bool


def files_by_category(source: str) -> dict[str, str]:
    """Return the file of each category, in alphabetical order; the category is the file's name without its ending.

    The names are public: they become the names of the classes.

    Args:
        source: a file, a folder with one file per category, or a gs:// or s3:// prefix.

    Raises:
        NotFound: no such file or folder.
        InvalidInput: it has no review file, two of one category, or one without a printable name.
    """
    files = [file for file in uris.list_files(source) if file.endswith(_ENDINGS)]
    if not files:
        raise errors.invalid(
            "source", source, f"has no review file ({', '.join(_ENDINGS)})", "name a file or folder of reviews"
        )
    named = {_category(file): file for file in files}
    if len(named) < len(files):
        raise errors.invalid("source", source, "has two files of one category", "keep one of them")
    for name in named:
        if not name or not name.isprintable():
            raise errors.invalid("category", name, "is not printable text", "rename the file")
    return dict(sorted(named.items()))


def _category(file: str) -> str:
    name = file.rsplit("/", 1)[-1]
    for ending in _ENDINGS:
        name = name.removesuffix(ending)
    return name


def read(file: str) -> Content:
    """Read a file; what follows the compressed data of a gzip file is left out, as gzip(1) does.

    Raises:
        CorruptData: a gzip file that is damaged or truncated.
    """
    data = uris.read_bytes(file)
    if not data.startswith(_GZIP):
        return Content(data.split(b"\n"), has_trailing_garbage=False)
    try:
        unpacked, rest = _decompressed(data)
    except (EOFError, zlib.error) as error:
        raise errors.CorruptData(f"source: {file} is not a whole gzip file; fetch it again") from error
    return Content(unpacked.split(b"\n"), has_trailing_garbage=bool(rest.strip(b"\0")))


def _decompressed(data: bytes) -> tuple[bytes, bytes]:
    """Return the content of all gzip members of `data`, and the bytes that follow the last one."""
    parts: list[bytes] = []
    start = 0
    while True:
        member = zlib.decompressobj(_GZIP_STREAM)
        while not member.eof:
            chunk = data[start : start + _CHUNK]
            if not chunk:
                raise EOFError
            parts.append(member.decompress(chunk))
            start += len(chunk)
        start -= len(member.unused_data)
        if data[start : start + len(_GZIP)] != _GZIP:
            return b"".join(parts), data[start:]
