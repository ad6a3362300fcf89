"""A build context: exactly the files that a Dockerfile copies, as an archive and as a digest.

Nothing else is sent to the engine, so neither secrets nor .git can end up in an image; .dockerignore is obeyed too.
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

ALWAYS_IGNORED = ("**/.git", "**/.venv", "**/__pycache__", "**/*.pyc", "**/client_secrets*.yaml", "**/.privatekube")
_EXECUTABLE, _PLAIN = 0o755, 0o644


@dataclass(frozen=True)
class Context:
    """A Dockerfile and the files it copies, with paths relative to `root`."""

    root: Path
    dockerfile: dockerfile.Dockerfile
    files: tuple[Path, ...]

    def archive(self) -> io.BytesIO:
        """Return the files as a tar archive for the engine, with owner root and without times."""
        archive = io.BytesIO()
        with tarfile.open(fileobj=archive, mode="w") as tar:
            _add(tar, "Dockerfile", self.dockerfile.text.encode(), _PLAIN)
            for file in self.files:
                if file.as_posix() != "Dockerfile":
                    _add(tar, file.as_posix(), (self.root / file).read_bytes(), _mode(self.root / file))
        archive.seek(0)
        return archive

    def digest(self) -> str:
        """Return the digest of the archive: of names, modes and contents, not of times or owners."""
        return hashlib.sha256(self.archive().getbuffer()).hexdigest()


def collect(root: Path, folder: Path) -> Context:
    """Return the context of the Dockerfile in `folder`, with paths relative to `root`.

    Raises:
        InvalidInput: there is no Dockerfile, or it copies a file that does not exist.
    """
    parsed = dockerfile.load(folder)
    ignored = build.PatternMatcher([*ALWAYS_IGNORED, *_ignored(root)])
    files: set[Path] = set()
    for source in parsed.sources:
        matches = {file.relative_to(root) for path in _matches(root, source) for file in _regular_files(path)}
        kept = {file for file in matches if not ignored.matches(file.as_posix())}
        if not kept:
            raise errors.invalid(f"COPY in {folder.name}/Dockerfile", source, f"is not in {root}", "correct the path")
        files |= kept
    return Context(root, parsed, tuple(sorted(files)))


def _matches(root: Path, source: str) -> Iterator[Path]:
    pattern = source.strip("/").removeprefix("./")
    return iter([root]) if pattern in {"", "."} else root.glob(pattern.rstrip("/"))


def _regular_files(path: Path) -> Iterator[Path]:
    """Yield the regular files at or below `path`; no symbolic link, which could lead out of the context."""
    for file in [path] if path.is_file() else path.rglob("*"):
        if file.is_file() and not file.is_symlink():
            yield file


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
