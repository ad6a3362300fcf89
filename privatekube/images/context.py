"""A build context: exactly the files that a Dockerfile copies, as an archive and as a digest.

Nothing else is ever sent to the engine, so neither secrets nor .git can end up in an image; .dockerignore is kept too.
"""

from __future__ import annotations

import hashlib
import io
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from docker.utils import build

from privatekube import errors
from privatekube.images import dockerfile

ALWAYS_OUT = ("**/.git", "**/.venv", "**/__pycache__", "**/*.pyc", "**/client_secrets*.yaml", "**/.privatekube")
_EXECUTABLE, _PLAIN = 0o755, 0o644


@dataclass(frozen=True)
class Context:
    """A Dockerfile and the files it copies, by their path below `root`."""

    root: Path
    dockerfile: dockerfile.Dockerfile
    files: tuple[Path, ...]

    def archive(self) -> io.BytesIO:
        """As the engine takes it: a tar of the files, all of root and of no time."""
        packed = io.BytesIO()
        with tarfile.open(fileobj=packed, mode="w") as tar:
            _add(tar, "Dockerfile", self.dockerfile.text.encode(), _PLAIN)
            for file in self.files:
                if file.as_posix() != "Dockerfile":
                    _add(tar, file.as_posix(), (self.root / file).read_bytes(), _mode(self.root / file))
        packed.seek(0)
        return packed

    def digest(self) -> str:
        """Digest of the archive: of names, modes and contents, never of times or owners."""
        return hashlib.sha256(self.archive().getbuffer()).hexdigest()


def collect(root: Path, folder: Path) -> Context:
    """The context of the Dockerfile in `folder`, with paths from `root`.

    Raises:
        InvalidInput: no Dockerfile, or it copies what is not there.
    """
    text = dockerfile.load(folder)
    left_out = build.PatternMatcher([*ALWAYS_OUT, *_ignored(root)])
    files: set[Path] = set()
    for source in text.sources:
        found = {file.relative_to(root) for match in _matches(root, source) for file in _below(match)}
        kept = {file for file in found if not left_out.matches(file.as_posix())}
        if not kept:
            raise errors.invalid(f"COPY in {folder.name}/Dockerfile", source, f"is not in {root}", "correct the path")
        files |= kept
    return Context(root, text, tuple(sorted(files)))


def _matches(root: Path, source: str) -> Iterator[Path]:
    pattern = source.strip("/").removeprefix("./")
    return iter([root]) if pattern in {"", "."} else root.glob(pattern.rstrip("/"))


def _below(path: Path) -> Iterator[Path]:
    """The regular files at or below `path`; a link is not followed out of the context."""
    for each in [path] if path.is_file() else path.rglob("*"):
        if each.is_file() and not each.is_symlink():
            yield each


def _ignored(root: Path) -> list[str]:
    try:
        lines = (root / ".dockerignore").read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return []
    return [line.strip() for line in lines if line.strip() and not line.startswith("#")]


def _mode(path: Path) -> int:
    return _EXECUTABLE if path.stat().st_mode & 0o100 else _PLAIN


def _add(tar: tarfile.TarFile, name: str, content: bytes, mode: int) -> None:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = len(content), mode
    tar.addfile(entry, io.BytesIO(content))
