"""Read text files in chunks of whole records, plain or gzip; a record that cannot be read spoils no other.

A record of a CSV file may have line ends in quotes. One whose quote is not closed has no end: it counts as the one line
that it begins on, so that nobody's record decides whether those of others are read.
"""

from __future__ import annotations

import codecs
import re
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from privatekube import errors

MOST_RECORD_BYTES = 3_000_000
"""A longer record is not read."""
MOST_SEARCHED_BYTES = 8_000_000
"""How far the end of a record is looked for."""
_PIECE_BYTES = 1 << 20
_GZIP = b"\x1f\x8b"
_GZIP_STREAM = 16 + zlib.MAX_WBITS
_LINE_END = re.compile(rb"\r\n?|\n")
_LINE = re.compile(rb"[^\r\n]*+(?:\r\n?|\n)")


@dataclass(frozen=True, slots=True, repr=False)
class Chunk:
    """Whole records of a file, with their line ends.

    Args:
        data: may be empty.
        damaged: how many further records are too long, or have no end.
        has_trailing_garbage: whether something that is not gzip follows the compressed data.
        share: how much of the file is read, up to 1.
    """

    data: bytes
    damaged: int = 0
    has_trailing_garbage: bool = False
    share: float = 1.0


@dataclass(frozen=True)
class Form:
    """Where records end.

    Args:
        end_of_first: returns where the first record of some bytes ends; 0 if it has no end in them.
        end_of_last: returns where the last whole record ends; 0 if there is none.
    """

    end_of_first: Callable[[bytes], int]
    end_of_last: Callable[[bytes], int]


@dataclass(frozen=True, slots=True, repr=False)
class TextPiece:
    """A part of a text file that is read by itself.

    Args:
        chunks: its records.
        header: the names of the columns; none where each record has them.
        share: how much of the file is read after it, up to 1.
    """

    chunks: tuple[Chunk, ...]
    header: tuple[str, ...]
    share: float


LINES = Form(lambda data: data.find(b"\n") + 1, lambda data: data.rfind(b"\n") + 1)
"""Each line is a record."""


def csv_form(delimiter: str) -> Form:
    r"""Return where the records of a CSV file end: at line ends outside quotes.

    >>> form = csv_form(",")
    >>> data = b'1,"a ""b"",\nc"\n2,5"\n3,"'
    >>> data[: form.end_of_first(data)], data[form.end_of_last(data) :]
    (b'1,"a ""b"",\nc"\n', b'3,"')
    """
    mark = re.escape(delimiter.encode())
    plain = rb"[^\r\n" + mark + rb"]*+"
    field = rb'(?:"[^"]*+(?:""[^"]*+)*+"' + plain + rb'|(?!")' + plain + rb")"
    record = rb"(?:" + field + mark + rb")*+" + field + rb"(?:\r\n?|\n)"
    first, all_ = re.compile(record), re.compile(rb"(?:" + record + rb")*+")

    def end_of_first(data: bytes) -> int:
        match = (first if b'"' in data else _LINE).match(data)
        return 0 if match is None else match.end()

    def end_of_last(data: bytes) -> int:
        if b'"' not in data:
            return max(data.rfind(b"\n"), data.rfind(b"\r")) + 1
        match = all_.match(data)
        return 0 if match is None else match.end()

    return Form(end_of_first, end_of_last)


def require_utf8(start: bytes, name: str) -> None:
    """Refuse UTF-16 by what the first bytes of a file are; they are not quoted.

    Raises:
        CorruptData: it is.

    >>> require_utf8("user".encode("utf-16"), "visits.csv")
    Traceback (most recent call last):
    privatekube.errors.CorruptData: source: visits.csv is UTF-16 text; save it as UTF-8: iconv -f UTF-16 -t UTF-8
    """
    if start.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) or b"\0" in start[:2]:
        raise errors.CorruptData(f"source: {name} is UTF-16 text; save it as UTF-8: iconv -f UTF-16 -t UTF-8")


def chunks(path: Path, form: Form) -> Iterator[Chunk]:
    """Read a file of this machine.

    Raises:
        EOFError, zlib.error: a gzip file that is damaged or cut off.
        OSError: the file cannot be read.
    """
    rest, is_skipping = b"", False
    for piece in _pieces(path):
        if piece.has_trailing_garbage:
            yield piece
        data = piece.data
        if is_skipping:
            line_end = _LINE_END.search(data)
            if line_end is None:
                continue
            data, is_skipping = data[line_end.end() :], False
        chunk, rest = _whole(rest + data, form)
        yield replace(chunk, share=piece.share)
        if len(rest) > MOST_SEARCHED_BYTES:
            rest, is_skipping = _after_line(rest)
            yield Chunk(b"", 1, share=piece.share)
    while rest:
        chunk, rest = _whole(rest if rest.endswith(b"\n") else rest + b"\n", form)
        yield chunk
        if rest:
            rest, _ = _after_line(rest)
            yield Chunk(b"", 1)


def pieces(chunks: Iterable[Chunk], *, most_bytes: int, header: tuple[str, ...] = ()) -> Iterator[TextPiece]:
    """Put chunks together until they have so many bytes."""
    together: list[Chunk] = []
    for chunk in chunks:
        together.append(chunk)
        if sum(len(one.data) for one in together) >= most_bytes:
            yield TextPiece(tuple(together), header, chunk.share)
            together = []
    if together:
        yield TextPiece(tuple(together), header, 1.0)


def _whole(data: bytes, form: Form) -> tuple[Chunk, bytes]:
    """Return the whole records of some bytes, and the rest."""
    n_long = 0
    while len(data) > MOST_RECORD_BYTES and (end := form.end_of_first(data)) > MOST_RECORD_BYTES:
        data, n_long = data[end:], n_long + 1
    end = form.end_of_last(data)
    return Chunk(data[:end], n_long), data[end:]


def _after_line(data: bytes) -> tuple[bytes, bool]:
    """Return what follows the first line of some bytes, and whether the end of the line is still to come."""
    line_end = _LINE_END.search(data)
    return (b"", True) if line_end is None else (data[line_end.end() :], False)


def _pieces(path: Path) -> Iterator[Chunk]:
    """Return the content of a file, without regard to records; what follows gzip data is left out, as gzip(1) does."""
    size = path.stat().st_size
    with path.open("rb") as file:
        piece = file.read(_PIECE_BYTES)
        if not piece.startswith(_GZIP):
            while piece:
                yield Chunk(piece, share=file.tell() / size)
                piece = file.read(_PIECE_BYTES)
            return
        member = zlib.decompressobj(_GZIP_STREAM)
        while True:
            data = member.decompress(piece, _PIECE_BYTES)
            if data:
                yield Chunk(data, share=file.tell() / size)
            piece = member.unconsumed_tail
            if member.eof:
                piece = member.unused_data + file.read(_PIECE_BYTES)
                if piece[: len(_GZIP)] != _GZIP:
                    behind = [piece, *iter(lambda: file.read(_PIECE_BYTES), b"")]
                    yield Chunk(b"", has_trailing_garbage=any(part.strip(b"\0") for part in behind))
                    return
                member = zlib.decompressobj(_GZIP_STREAM)
            elif not piece:
                piece = file.read(_PIECE_BYTES)
                if not piece and not data:
                    raise EOFError
