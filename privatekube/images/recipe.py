"""The ingredients of an image: its context, the base it starts from, and the tag that follows from both."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from privatekube.images import component_yaml, context
from privatekube.images.context import Context

TAG_LENGTH = 24


@dataclass(frozen=True)
class Recipe:
    """How one image is built.

    Args:
        name: without registry and prefix.
        folder: folder of its Dockerfile and, unless it is a base, of its component.yaml.
        context: what is sent to the engine.
        base: name of the shared base that it starts from; None if it starts from another project's image.
        is_ours: whether it belongs to the project, and so has its version.
    """

    name: str
    folder: Path
    context: Context
    base: str | None
    is_ours: bool

    @property
    def is_component(self) -> bool:
        """Whether it has a component.yaml to pin."""
        return (self.folder / component_yaml.FILE).is_file()

    def tag(self, base_identity: str | None, arguments: Mapping[str, str]) -> str:
        """Return the digest of its ingredients: the context, the base and the build arguments."""
        parts = {"context": self.context.digest(), "base": base_identity, "arguments": dict(sorted(arguments.items()))}
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:TAG_LENGTH]


def component(folder: Path, project: Path) -> Recipe:
    """Return the recipe of a component's image; its context is its own folder.

    Args:
        folder: folder of the component.
        project: root folder of the project whose shared bases it may start from.

    Raises:
        InvalidInput: there is no Dockerfile, no image in component.yaml, or a file to copy does not exist.
    """
    folder = folder.resolve()
    name = _name(component_yaml.image(folder))
    build_context = context.collect(folder, folder)
    base = _name(build_context.dockerfile.base or "")
    is_ours = folder.is_relative_to(project / "components")
    return Recipe(name, folder, build_context, base if base in _bases(project) else None, is_ours)


def bases(components: Iterable[Recipe], project: Path) -> list[Recipe]:
    """Return the recipes of the shared bases that `components` start from; their context is the project."""
    names = {recipe.base for recipe in components}
    folders = {name: folder for name, folder in _bases(project).items() if name in names}
    return [Recipe(name, folder, context.collect(project, folder), None, True) for name, folder in folders.items()]


def _bases(project: Path) -> dict[str, Path]:
    dockerfiles = sorted((project / "components" / "bases").glob("*/Dockerfile"))
    return {f"{path.parent.name}-base": path.parent for path in dockerfiles}


def _name(reference: str) -> str:
    """Return the last part of a reference, without tag and digest.

    >>> _name("localhost:5000/team/allocate@sha256:00"), _name("privatekube/allocate:v1")
    ('allocate', 'allocate')
    """
    return reference.partition("@")[0].rpartition("/")[2].partition(":")[0]
