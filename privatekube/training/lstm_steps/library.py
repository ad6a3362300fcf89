"""The compiled library of the steps: loaded from a private folder of the user, and built there once by a C++ compiler.

What is loaded runs in the process that reads private data, so nobody else may be able to change the folder, or the way
to it. A file is named by the digest of all that it was built from, and appears there complete or not at all.
"""

from __future__ import annotations

import ctypes
import fcntl
import hashlib
import os
import shutil
import stat
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from privatekube import errors

_SOURCE = Path(__file__).with_name("kernels.cpp").read_bytes()
"""Read with this module, whose calls match it: a package that is replaced under a running process changes both."""

_FLAGS = ("-O3", "-std=c++17", "-shared", "-fPIC", "-pthread", "-fno-math-errno", "-fno-trapping-math")
INSTRUCTIONS = {
    "AVX512": ("-mavx512f", "-mavx512bw", "-mavx512dq", "-mavx512vl", "-mavx2", "-mfma"),
    "AVX2": ("-mavx2", "-mfma"),
}
"""Compiler options for what torch calls the capability of a processor."""

_TIMEOUT_SECONDS = 300
_REMEDY = "nothing to do: training takes longer without it"


def load(folder: Path | None = None, *, capability: str | None = None) -> ctypes.CDLL:
    """Load the library for this processor, built first where it is not in the folder.

    Args:
        folder: created with mode 0700 where it is missing; otherwise `privatekube/steps` in `$XDG_CACHE_HOME`, or in
            `~/.cache`.
        capability: a key of `INSTRUCTIONS`; otherwise that of this processor.

    Raises:
        InvalidInput: there is no library for this processor, no compiler, or no folder that is the user's alone.
    """
    capability = capability or torch.backends.cpu.get_cpu_capability()
    if capability not in INSTRUCTIONS:
        raise errors.invalid("processor", capability, f"is not one of {', '.join(INSTRUCTIONS)}", _REMEDY)
    private = _private(folder or _default_folder())
    built = private / f"lstm-{_digest(capability)}.so"
    if not built.exists():
        with _locked(private / "lock"):
            if not built.exists():
                _build(built, INSTRUCTIONS[capability])
    _require_own(built, stat.S_ISREG)
    try:
        return ctypes.CDLL(str(built))
    except OSError as error:
        raise errors.invalid("library", str(built), "cannot be loaded", _REMEDY) from error


def _default_folder() -> Path:
    given = os.environ.get("XDG_CACHE_HOME", "")
    return (Path(given) if Path(given).is_absolute() else Path.home() / ".cache") / "privatekube" / "steps"


def _digest(capability: str) -> str:
    built_from = [_SOURCE, *(flag.encode() for flag in (*_FLAGS, *INSTRUCTIONS[capability]))]
    return hashlib.sha256(b"\0".join(built_from)).hexdigest()[:32]


def _private(folder: Path) -> Path:
    """Return the folder, without links, once it and the way to it are safe from others."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        real = folder.resolve(strict=True)
    except (OSError, RuntimeError) as error:
        raise errors.invalid("cache", str(folder), "cannot be created", _REMEDY) from error
    _require_own(real, stat.S_ISDIR)
    for parent in real.parents:
        found = parent.stat()
        is_open = found.st_mode & 0o022 and not found.st_mode & stat.S_ISVTX
        if is_open or found.st_uid not in (0, os.geteuid()):
            raise errors.invalid("cache", str(parent), "can be changed by other users", "set XDG_CACHE_HOME to another")
    return real


def _require_own(path: Path, is_expected: Callable[[int], bool]) -> None:
    found = path.lstat()
    if not is_expected(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & 0o077:
        raise errors.invalid("cache", str(path), "is not this user's alone", f"remove it, or run chmod go= {path}")


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Wait until no other process builds."""
    descriptor = os.open(path, os.O_CREAT | os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _build(built: Path, instructions: tuple[str, ...]) -> None:
    """Compile into a folder of its own, and move the complete file into place."""
    with tempfile.TemporaryDirectory(dir=built.parent) as folder:
        source, output = Path(folder, "kernels.cpp"), Path(folder, "library")
        command = [_compiler(), *_FLAGS, *instructions, "-o", str(output), str(source)]
        try:
            source.write_bytes(_SOURCE)
            subprocess.run(command, check=True, capture_output=True, timeout=_TIMEOUT_SECONDS)  # noqa: S603 - no shell
            output.chmod(0o700)
            output.replace(built)
        except (OSError, subprocess.SubprocessError) as error:
            raise errors.invalid("compiler", command[0], "cannot build the library", _REMEDY) from error


def _compiler() -> str:
    candidates = [os.environ["CXX"]] if "CXX" in os.environ else ["c++", "g++", "clang++"]
    found = next(filter(None, map(shutil.which, candidates)), None)
    if found is None:
        raise errors.invalid("compiler", " ".join(candidates), "is not installed", _REMEDY)
    return found
