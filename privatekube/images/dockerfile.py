"""Read from a Dockerfile the base that its image starts from and the files that it copies.

>>> read("ARG BASE_IMAGE=me/control-base").base, read("COPY a b /app/").sources, read("COPY --from=x /c /d").sources
('me/control-base', ('a', 'b'), ())
"""

from __future__ import annotations

import json
import re
import shlex
from dataclasses import dataclass
from pathlib import Path

from privatekube import errors

BASE = re.compile(r"ARG\s+BASE_IMAGE=(\S+)", re.IGNORECASE)
COPY = re.compile(r"(?:COPY|ADD)\s+(.*)", re.IGNORECASE)


@dataclass(frozen=True)
class Dockerfile:
    """A Dockerfile.

    Args:
        text: the whole text.
        base: default of its argument BASE_IMAGE; None if it has no such argument.
        sources: paths and patterns that it copies from the build context.
    """

    text: str
    base: str | None
    sources: tuple[str, ...]


def load(folder: Path) -> Dockerfile:
    """Read the Dockerfile of a folder.

    Raises:
        InvalidInput: it does not exist or cannot be read.
    """
    try:
        return read((folder / "Dockerfile").read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "is not UTF-8 text"
        raise errors.invalid(
            "Dockerfile", str(folder / "Dockerfile"), f"cannot be read ({reason})", "write one there"
        ) from error


def read(text: str) -> Dockerfile:
    """Parse the text of a Dockerfile."""
    lines = [line.strip() for line in re.sub(r"\\\s*\n", " ", text).splitlines()]
    bases = [match[1] for line in lines if (match := BASE.match(line))]
    sources = [source for line in lines if (match := COPY.match(line)) for source in _sources(match[1])]
    return Dockerfile(text, bases[0] if bases else None, tuple(sources))


def _sources(rest: str) -> list[str]:
    """Return the sources of a COPY from the build context; nothing for a COPY from another image."""
    flags, words = [], rest
    while words.startswith("--"):
        flag, _, words = words.partition(" ")
        flags.append(flag)
        words = words.lstrip()
    if any(flag.startswith("--from=") for flag in flags):
        return []
    paths = json.loads(words) if words.startswith("[") else shlex.split(words)
    return [str(path) for path in paths[:-1] if "://" not in path]
