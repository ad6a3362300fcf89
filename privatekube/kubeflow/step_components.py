"""Which folder each step's component comes from: the project's own, or another one in its place."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from privatekube import config, errors
from privatekube.images import component_yaml, pins


@dataclass(frozen=True, slots=True)
class StepComponents:
    """The folder of each step's component.

    Args:
        project: root folder of the project, in which its modules are found.
        folders: folder of each step's component by the step's name, in the order in which steps are shown.
    """

    project: Path
    folders: Mapping[str, Path]

    @classmethod
    def of_project(cls, project: Path, steps: Iterable[str]) -> StepComponents:
        """The project's own component for each of `steps`: the folder of that name in components/."""
        return cls(project, {step: project / "components" / step for step in steps})

    @property
    def steps(self) -> tuple[str, ...]:
        """Names of the steps."""
        return tuple(self.folders)

    @property
    def search_path(self) -> list[Path]:
        """The folders that the steps' modules are found in: a component's module is named as its folder is."""
        others = [folder.parent for folder in self.folders.values() if not self._is_standard(folder)]
        return list(dict.fromkeys([self.project, *others]))

    def replace(self, choices: Iterable[str]) -> StepComponents:
        """Take another component for some steps: `choices` are STEP=FOLDER each.

        Raises:
            InvalidInput: an unknown step, no component in that folder, or one with another interface.
        """
        folders = dict(self.folders)
        for choice in choices:
            step, separator, folder = choice.partition("=")
            if not separator or step not in folders:
                known = ", ".join(folders)
                raise errors.invalid("--component", choice, f"names no step ({known})", "write STEP=FOLDER")
            (replacement,) = component_yaml.find(Path(folder).resolve(), single=True)
            _require_same_interface(step, self.folders[step], replacement)
            folders[step] = replacement
        return replace(self, folders=folders)

    def require_images(self, *, pushed: bool) -> list[str]:
        """The image of each step's component, pinned; if `pushed`, by the digest that a registry knows.

        Raises:
            InvalidInput: an image is not pinned; names the first, with the command that builds it.
        """
        return [
            pins.require(folder, pushed=pushed, is_standard=self._is_standard(folder))
            for folder in self.folders.values()
        ]

    def step_of(self, command: Sequence[str]) -> str:
        """The step that a command runs: `python3 -m components.<folder> ...`, or `python3 -m <folder> ...`."""
        if len(command) < 3:
            return command[0]
        module = command[2].rpartition(".")[2]
        return next((step for step, folder in self.folders.items() if folder.name == module), module)

    def _is_standard(self, folder: Path) -> bool:
        return folder.parent == self.project / "components"


def _require_same_interface(step: str, ours: Path, own: Path) -> None:
    """Whether the graph can pass `own` what it passes `ours`, and take from it what it takes from `ours`."""
    expected, given = (config.read_mapping(folder / component_yaml.FILE) for folder in (ours, own))
    for kind in ("inputs", "outputs"):
        wanted, has = _types(expected, kind), _types(given, kind)
        for name, type_ in wanted.items():
            if has.get(name) != type_:
                raise errors.invalid(
                    f"--component {step}: {kind[:-1]} {name}",
                    has.get(name),
                    f"must be {type_}, as in components/{step}",
                    f"change {own / component_yaml.FILE}",
                )
    for each in given.get("inputs") or []:
        if each["name"] not in _types(expected, "inputs") and "default" not in each:
            raise errors.InvalidInput(f"--component {step}: nobody passes input {each['name']}; give it a default")


def _types(document: Mapping[str, Any], kind: str) -> dict[str, str]:
    listed = document.get(kind) or []
    if not all(isinstance(each, dict) and "name" in each for each in listed):
        raise errors.InvalidInput(f"{component_yaml.FILE}: {kind} must be a list of mappings with a name; correct it")
    return {each["name"]: each.get("type", "") for each in listed}
