"""The steps of a pipeline, and the folder that each one's component comes from."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from privatekube import config, errors
from privatekube.images import component_yaml, pins


@dataclass(frozen=True, slots=True)
class StepComponents:
    """The steps of a pipeline, in order, and the folder of each one's component.

    The graph is built from it, commands are attributed to steps by it, and the live view lists its steps.

    Args:
        project: root folder of the project, which its modules are imported from.
        folders: folder of each step's component by the step's name, in the order in which steps are shown.
    """

    project: Path
    folders: Mapping[str, Path]

    @classmethod
    def of_project(cls, project: Path, steps: Iterable[str]) -> StepComponents:
        """Return the project's own components: for each of `steps`, the folder of that name in components/."""
        return cls(project, {step: project / "components" / step for step in steps})

    @property
    def steps(self) -> tuple[str, ...]:
        """The names of the steps."""
        return tuple(self.folders)

    @property
    def search_path(self) -> list[Path]:
        """The folders that the steps' modules are imported from: a component's module has the name of its folder."""
        others = [folder.parent for folder in self.folders.values() if not self._is_standard(folder)]
        return list(dict.fromkeys([self.project, *others]))

    def replace(self, choices: Iterable[str]) -> StepComponents:
        """Return the same with other components for some steps; each of `choices` is STEP=FOLDER.

        Raises:
            InvalidInput: the step is unknown, or the folder holds no component or one with another interface.
        """
        folders = dict(self.folders)
        for choice in choices:
            step, separator, folder = choice.partition("=")
            if not separator or step not in folders:
                known = ", ".join(folders)
                raise errors.invalid("--component", choice, f"does not name a step ({known})", "write STEP=FOLDER")
            (replacement,) = component_yaml.find(Path(folder).resolve(), single=True)
            _require_same_interface(step, self.folders[step], replacement)
            folders[step] = replacement
        return replace(self, folders=folders)

    def require_images(self, *, pushed: bool) -> list[str]:
        """Return the pinned image of each step's component; if `pushed`, pinned by the digest in a registry.

        Raises:
            InvalidInput: an image is not pinned; names the first one and the command that builds it.
        """
        return [
            pins.require(folder, pushed=pushed, is_standard=self._is_standard(folder))
            for folder in self.folders.values()
        ]

    def step_of(self, command: Sequence[str]) -> str:
        """Return the step that a command runs: `python3 -m components.<folder> ...`, or `python3 -m <folder> ...`.

        A command that belongs to no step is named after its module.
        """
        if len(command) < 3:
            return command[0]
        module = command[2].rpartition(".")[2]
        return next((step for step, folder in self.folders.items() if folder.name == module), module)

    def _is_standard(self, folder: Path) -> bool:
        return folder.parent == self.project / "components"


def _require_same_interface(step: str, standard: Path, replacement: Path) -> None:
    """Check that `replacement` takes what the graph passes to the standard component, and returns what it reads."""
    expected, offered = (config.read_mapping(folder / component_yaml.FILE) for folder in (standard, replacement))
    for kind in ("inputs", "outputs"):
        offered_types = _types(offered, kind)
        for name, expected_type in _types(expected, kind).items():
            if offered_types.get(name) != expected_type:
                raise errors.invalid(
                    f"--component {step}: {kind[:-1]} {name}",
                    offered_types.get(name),
                    f"must be {expected_type}, as in components/{step}",
                    f"change {replacement / component_yaml.FILE}",
                )
    for parameter in offered.get("inputs") or []:
        if parameter["name"] not in _types(expected, "inputs") and "default" not in parameter:
            raise errors.InvalidInput(
                f"--component {step}: input {parameter['name']} is not passed by the pipeline; declare a default for it"
            )


def _types(document: Mapping[str, Any], kind: str) -> dict[str, str]:
    parameters = document.get(kind) or []
    if not all(isinstance(parameter, dict) and "name" in parameter for parameter in parameters):
        raise errors.InvalidInput(f"{component_yaml.FILE}: {kind} must be a list of mappings with a name; correct it")
    return {parameter["name"]: parameter.get("type", "") for parameter in parameters}
