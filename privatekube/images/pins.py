"""Whether the image of a component is built, as its component.yaml says, and the command that builds it."""

from __future__ import annotations

from pathlib import Path

from privatekube import errors
from privatekube.images import component_yaml

COMMAND = "python build_components.py"


def command(folder: Path, *, is_standard: bool, pushed: bool) -> str:
    """Return the command that builds the image of the component in `folder`."""
    words = COMMAND if is_standard else f"{COMMAND} {folder} --single"
    return f"{words} --registry HOST/PREFIX" if pushed else f"{words} --no-push"


def require(folder: Path, *, pushed: bool, is_standard: bool) -> str:
    """Return the pinned image of a component: by digest if it must be `pushed`, else by digest or tag.

    Raises:
        InvalidInput: the image is not pinned.
    """
    reference = component_yaml.image(folder)
    by_tag = ":" in reference.rpartition("/")[2]
    if "@sha256:" in reference or (by_tag and not pushed):
        return reference
    missing = "names no digest" if pushed else "was not built"
    remedy = f"build it: {command(folder, is_standard=is_standard, pushed=pushed)}"
    raise errors.invalid(f"image of {folder.name}", reference, missing, remedy)
