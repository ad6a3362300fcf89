"""Which folder each step of the graph comes from: this project's components, or somebody's own in place of one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from images import interface, pins
from privatekube import config, errors

COMPONENTS = Path(__file__).resolve().parent.parent / "components"
Parts = Mapping[str, Path]
"""Folder of each step, by the step's name."""


def standard() -> dict[str, Path]:
    """This project's components."""
    return {path.parent.name: path.parent for path in sorted(COMPONENTS.glob(f"*/{interface.FILE}"))}


def replaced(choices: Iterable[str]) -> dict[str, Path]:
    """The standard components, but for `choices`: STEP=FOLDER each.

    Raises:
        InvalidInput: no such step, no component in that folder, or one with another interface.
    """
    parts = standard()
    for choice in choices:
        step, separator, folder = choice.partition("=")
        if not separator or step not in parts:
            raise errors.invalid("--component", choice, f"names no step ({', '.join(parts)})", "write STEP=FOLDER")
        (own,) = interface.find(Path(folder).resolve(), single=True)
        _require_same_interface(step, standard()[step], own)
        parts[step] = own
    return parts


def search_path(parts: Parts) -> list[Path]:
    """The folders that a step's module is found in: a component's module is named as its folder is."""
    return list(dict.fromkeys(folder.parent for folder in parts.values() if folder.parent != COMPONENTS))


def require_images(parts: Parts, *, pushed: bool) -> list[str]:
    """The images of `parts`, each pinned; `pushed`: by the digest that a registry knows.

    Raises:
        InvalidInput: the first that is not, with the command that builds it.
    """
    return [pins.require(folder, pushed=pushed, is_standard=folder.parent == COMPONENTS) for folder in parts.values()]


def _require_same_interface(step: str, ours: Path, own: Path) -> None:
    """Whether the graph can pass `own` what it passes `ours`, and take from it what it takes from `ours`."""
    expected, given = (config.read_mapping(folder / interface.FILE) for folder in (ours, own))
    for kind in ("inputs", "outputs"):
        wanted, has = _types(expected, kind), _types(given, kind)
        for name, type_ in wanted.items():
            if has.get(name) != type_:
                raise errors.invalid(
                    f"--component {step}: {kind[:-1]} {name}",
                    has.get(name),
                    f"must be {type_}, as in components/{step}",
                    f"change {own / interface.FILE}",
                )
    for each in given.get("inputs") or []:
        if each["name"] not in _types(expected, "inputs") and "default" not in each:
            raise errors.InvalidInput(f"--component {step}: nobody passes input {each['name']}; give it a default")


def _types(document: Mapping[str, Any], kind: str) -> dict[str, str]:
    listed = document.get(kind) or []
    if not all(isinstance(each, dict) and "name" in each for each in listed):
        raise errors.InvalidInput(f"{interface.FILE}: {kind} must be a list of mappings with a name; correct it")
    return {each["name"]: each.get("type", "") for each in listed}
