"""A secret of a settings file: the value itself, or a reference `env:NAME` or `file:PATH`; it is never printed."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import pydantic

from privatekube import errors

ENVIRONMENT, FILE = "env:", "file:"
FOLDER = "folder"
"""The key of a validation context that has the folder of the settings file."""
_OF_OTHERS = stat.S_IRWXG | stat.S_IRWXO


@dataclass(frozen=True, slots=True)
class SecretReference:
    """Where a secret is; its text is read when it is needed.

    Args:
        text: the value itself, `env:NAME` or `file:PATH`.
        folder: what a relative path starts from.

    >>> SecretReference("sesame")
    SecretReference(folder=PosixPath('.'))
    """

    text: str = field(repr=False)
    folder: Path = Path()

    @property
    def is_literal(self) -> bool:
        """Whether the settings file holds the secret itself."""
        return not self.text.startswith((ENVIRONMENT, FILE))

    def read(self, name: str) -> str:
        """Return the secret; `name` is that of the setting, for messages.

        Raises:
            InvalidInput: the variable or the file does not exist or is empty, or others can read the file.
        """
        if self.text.startswith(ENVIRONMENT):
            variable = self.text.removeprefix(ENVIRONMENT)
            value = os.environ.get(variable, "")
            where = f"the environment variable {variable}"
        elif self.text.startswith(FILE):
            path = self.folder / Path(self.text.removeprefix(FILE)).expanduser()
            value, where = read_private(path, name), f"{path}"
        else:
            value, where = self.text, "the file"
        if not value.strip():
            raise errors.InvalidInput(f"{name}: {where} is not set or empty; set it")
        return value.strip()


def read_private(path: Path, name: str) -> str:
    """Return the text of a file that only its owner can read.

    Raises:
        InvalidInput: it cannot be read, is not text, or others can read it.
    """
    require_private(path, name)
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = (getattr(error, "strerror", None) or "is not UTF-8 text").lower()
        raise errors.InvalidInput(f"{name}: {path} cannot be read, {reason}; name another file") from error


def require_private(path: Path, name: str) -> None:
    """Check that a file with a secret can be read by its owner alone.

    Raises:
        InvalidInput: it does not exist, or its group or others may read it.
    """
    try:
        mode = path.stat().st_mode
    except OSError as error:
        reason = (error.strerror or "is not there").lower()
        raise errors.InvalidInput(f"{name}: {path} cannot be read, {reason}; name another file") from error
    if mode & _OF_OTHERS:
        raise errors.InvalidInput(
            f"{name}: {path} holds a secret and others can open it (mode {stat.S_IMODE(mode):04o}); "
            f"run chmod 600 {path}"
        )


def _reference(value: Any, info: pydantic.ValidationInfo) -> Any:
    if not isinstance(value, str) or not value.strip() or "\n" in value.strip():
        raise ValueError("must be one line of text: the secret, env:NAME or file:PATH")
    return SecretReference(value.strip(), (info.context or {}).get(FOLDER, Path()))


Secret = Annotated[
    SecretReference, pydantic.BeforeValidator(_reference), pydantic.PlainSerializer(lambda _: "**********")
]
"""The type of a setting that is a secret."""
