"""Files of JSON lines, plain or gzip, one file per category."""

from __future__ import annotations

import gzip
import zlib
from dataclasses import dataclass, field

from privatekube import errors
from privatekube.storage import uris

_ENDINGS = (".jsonl.gz", ".json.gz", ".jsonl", ".json", ".gz")


@dataclass
class Faults:
    """Numbers of lines that are not reviews, by file."""

    lines: dict[str, int] = field(default_factory=dict)

    def count(self, file: str) -> None:
        """Count one bad line of `file`."""
        self.lines[file] = self.lines.get(file, 0) + 1

    @property
    def total(self) -> int:
        """The number of bad lines of all files."""
        return sum(self.lines.values())


def files_by_category(source: str) -> dict[str, str]:
    """Return the file of each category, in alphabetical order; the category is the file's name without its ending.

    Args:
        source: a file, a folder with one file per category, or a gs:// or s3:// prefix.

    Raises:
        NotFound: no such file or folder.
        InvalidInput: it has no review file, or two of one category.
    """
    files = [file for file in uris.list_files(source) if file.endswith(_ENDINGS)]
    if not files:
        raise errors.invalid(
            "source", source, f"has no review file ({', '.join(_ENDINGS)})", "name a file or folder of reviews"
        )
    named = {_category(file): file for file in files}
    if len(named) < len(files):
        raise errors.invalid("source", source, "has two files of one category", "keep one of them")
    return dict(sorted(named.items()))


def _category(file: str) -> str:
    name = file.rsplit("/", 1)[-1]
    for ending in _ENDINGS:
        name = name.removesuffix(ending)
    return name


def lines(file: str) -> list[bytes]:
    """Return the lines of a file, without their line ends.

    Raises:
        CorruptData: a gzip file that is damaged or truncated.
    """
    data = uris.read_bytes(file)
    if data[:2] == b"\x1f\x8b":
        try:
            data = gzip.decompress(data)
        except (OSError, EOFError, zlib.error) as error:
            raise errors.CorruptData(f"source: {file} is not a whole gzip file; fetch it again") from error
    return data.split(b"\n")
