"""A component's component.yaml as far as its image goes: read the reference, replace it, find a folder's components.

The reference is replaced in the text, at the place that the YAML parser gives: every other byte stays as it was.
"""

from __future__ import annotations

import os
from pathlib import Path

import yaml

from privatekube import errors

FILE = "component.yaml"
PLACE = ("implementation", "container", "image")


def find(folder: Path, *, single: bool) -> list[Path]:
    """The component folders meant by `folder`: itself where it is one, else each folder in it that is one.

    Args:
        folder: as the person gave it.
        single: only `folder` itself.

    Raises:
        InvalidInput: there is no component.
    """
    if (folder / FILE).is_file():
        return [folder]
    if not folder.is_dir():
        raise errors.invalid("directory", str(folder), "is not a directory", "name one that holds components")
    if single:
        raise errors.invalid("--single", str(folder), f"holds no {FILE}", "name a component's own directory")
    found = sorted(path.parent for path in folder.glob(f"*/{FILE}"))
    if not found:
        raise errors.invalid("directory", str(folder), f"holds no {FILE}, nor does a directory in it", "name another")
    return found


def image(folder: Path) -> str:
    """The image reference of the component in `folder`.

    Raises:
        InvalidInput: component.yaml cannot be read, or has no image.
    """
    return str(_node(folder / FILE, _text(folder / FILE)).value)


def pinned(folder: Path, reference: str) -> str:
    """The text of component.yaml with `reference` as its image.

    Raises:
        InvalidInput: see `image`; or the reference stands where it cannot be replaced.
    """
    path = folder / FILE
    text = _text(path)
    node = _node(path, text)
    replaced = text[: node.start_mark.index] + reference + text[node.end_mark.index :]
    try:
        in_place = _node(path, replaced).value == reference
    except errors.InvalidInput:
        in_place = False
    if not in_place:
        raise errors.invalid(f"image of {path}", node.value, "cannot be replaced in place", "write it as plain text")
    return replaced


def write(path: Path, text: str) -> None:
    """Write a file as a whole or not at all.

    Raises:
        InvalidInput: it cannot be written.
    """
    scratch = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        scratch.write_text(text, encoding="utf-8")
        scratch.replace(path)
    except OSError as error:
        scratch.unlink(missing_ok=True)
        raise errors.invalid("file", str(path), f"cannot be written ({error.strerror})", "make room for it") from error


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "is not UTF-8 text"
        raise errors.invalid("file", str(path), f"cannot be read ({reason})", "name another directory") from error


def _node(path: Path, text: str) -> yaml.ScalarNode:
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f" line {mark.line + 1}" if mark else ""
        raise errors.InvalidInput(f"{path}:{line} is no YAML; check indentation and quotes") from error
    for key in PLACE:
        below = node.value if isinstance(node, yaml.MappingNode) else []
        node = next((value for name, value in below if name.value == key), None)
    if not isinstance(node, yaml.ScalarNode) or not node.value:
        raise errors.InvalidInput(f"{path}: has no {'.'.join(PLACE)}; write `image: NAME` there")
    return node
