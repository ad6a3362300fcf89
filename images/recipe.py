"""What an image is made of: its context, the base it starts from, and the tag that follows from both."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from images import context, interface
from images.context import Context

ROOT = Path(__file__).resolve().parent.parent
COMPONENTS = ROOT / "components"
BASES = COMPONENTS / "bases"
TAG_LENGTH = 24


@dataclass(frozen=True)
class Recipe:
    """One image to be.

    Args:
        name: without registry and prefix.
        folder: of its Dockerfile; of its component.yaml too, unless it is a base.
        context: what is sent to the engine.
        base: the shared base that it starts from, by name; None where it starts from an image of somebody else.
    """

    name: str
    folder: Path
    context: Context
    base: str | None

    @property
    def is_component(self) -> bool:
        """Whether there is a component.yaml to pin."""
        return (self.folder / interface.FILE).is_file()

    @property
    def is_ours(self) -> bool:
        """Whether it belongs to this project, and so has its version."""
        return self.folder.is_relative_to(COMPONENTS)

    def tag(self, base_identity: str | None, arguments: Mapping[str, str]) -> str:
        """Digest of all that goes in: the context, the base and the build arguments."""
        parts = {"context": self.context.digest(), "base": base_identity, "arguments": dict(sorted(arguments.items()))}
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:TAG_LENGTH]


def component(folder: Path) -> Recipe:
    """The image of a component; its context is its own folder.

    Raises:
        InvalidInput: no Dockerfile, no image in component.yaml, or a file that is copied is not there.
    """
    folder = folder.resolve()
    name = _name(interface.image(folder))
    collected = context.collect(folder, folder)
    wanted = _name(collected.dockerfile.base or "")
    return Recipe(name, folder, collected, wanted if wanted in _bases() else None)


def bases(components: Iterable[Recipe]) -> list[Recipe]:
    """The shared bases that `components` start from; their context is the project."""
    wanted = {each.base for each in components}
    found = {name: folder for name, folder in _bases().items() if name in wanted}
    return [Recipe(name, folder, context.collect(ROOT, folder), None) for name, folder in found.items()]


def _bases() -> dict[str, Path]:
    return {f"{path.parent.name}-base": path.parent for path in sorted(BASES.glob("*/Dockerfile"))}


def _name(reference: str) -> str:
    """The last part of a reference, without tag and digest.

    >>> _name("localhost:5000/team/allocate@sha256:00"), _name("privatekube/allocate:v1")
    ('allocate', 'allocate')
    """
    return reference.partition("@")[0].rpartition("/")[2].partition(":")[0]
