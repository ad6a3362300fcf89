"""The image reference in a component's component.yaml: read it, replace it; and find the components in a folder.

The reference is replaced in the text, at the position that the YAML parser reports: every other byte is kept.
"""

from __future__ import annotations

from pathlib import Path

import yaml

from privatekube import errors

FILE = "component.yaml"
KEYS = ("implementation", "container", "image")


def find(folder: Path, *, single: bool) -> list[Path]:
    """Return the component folders: `folder` itself if it is one, else each folder in it that is one.

    Args:
        folder: as the user gave it.
        single: accept `folder` itself only.

    Raises:
        InvalidInput: there is no component.
    """
    if (folder / FILE).is_file():
        return [folder]
    if not folder.is_dir():
        raise errors.invalid("directory", str(folder), "is not a directory", "name one that holds components")
    if single:
        raise errors.invalid("--single", str(folder), f"holds no {FILE}", "name the directory of a component")
    folders = sorted(path.parent for path in folder.glob(f"*/{FILE}"))
    if not folders:
        raise errors.invalid("directory", str(folder), f"holds no {FILE}, nor does a directory in it", "name another")
    return folders


def image(folder: Path) -> str:
    """Return the image reference of the component in `folder`.

    Raises:
        InvalidInput: component.yaml cannot be read, or has no image.
    """
    return str(_node(folder / FILE, _text(folder / FILE)).value)


def with_image(folder: Path, reference: str) -> str:
    """Return the text of component.yaml with `reference` as its image.

    Raises:
        InvalidInput: see `image`; or the reference is written in a form that cannot be replaced.
    """
    path = folder / FILE
    text = _text(path)
    node = _node(path, text)
    replaced = text[: node.start_mark.index] + reference + text[node.end_mark.index :]
    try:
        is_replaced = _node(path, replaced).value == reference
    except errors.InvalidInput:
        is_replaced = False
    if not is_replaced:
        raise errors.invalid(f"image of {path}", node.value, "cannot be replaced in place", "write it as plain text")
    return replaced


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
        raise errors.InvalidInput(f"{path}:{line} is not YAML; check indentation and quotes") from error
    for key in KEYS:
        pairs = node.value if isinstance(node, yaml.MappingNode) else []
        node = next((value for name, value in pairs if name.value == key), None)
    if not isinstance(node, yaml.ScalarNode) or not node.value:
        raise errors.InvalidInput(f"{path}: has no {'.'.join(KEYS)}; write `image: NAME` there")
    return node
