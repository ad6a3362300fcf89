"""images.lock.yaml: which image each component was pinned to, and what it was made of."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

import pydantic
import yaml

from privatekube import config, errors, validation
from privatekube.images import component_yaml

FILE = "images.lock.yaml"
HEADER = "# Written by build_components.py: the images that the components are pinned to. Do not edit.\n"


@dataclass(frozen=True)
class Entry:
    """One image.

    Args:
        name: of the image, without registry and prefix.
        repository: registry, prefix and name.
        tag: digest of what went in.
        digest: of the pushed manifest; None where the image was not pushed.
        base: reference of the base image.
        base_digest: of the base: of its manifest where this tool pushed it, else of its configuration.
        source_time: of the last commit that touched its sources.
        arguments: build arguments that were given.
    """

    name: str
    repository: str
    tag: str
    digest: str | None
    base: str | None
    base_digest: str | None
    source_time: str | None
    arguments: dict[str, str] = field(default_factory=dict)

    @property
    def reference(self) -> str:
        """What a component.yaml names: by digest where there is one, else by tag."""
        return f"{self.repository}@{self.digest}" if self.digest else f"{self.repository}:{self.tag}"


def read(folder: Path) -> dict[str, Entry]:
    """The entries by name; none where there is no lock.

    Raises:
        InvalidInput: it is no lock.
    """
    path = folder / FILE
    if not path.exists():
        return {}
    listed = config.read_mapping(path).get("images")
    try:
        entries = pydantic.TypeAdapter(list[Entry]).validate_python(listed)
    except pydantic.ValidationError as error:
        fault = validation.first_fault(error)
        raise errors.InvalidInput(f"{path}: {fault.rpartition(';')[0]}; delete it and build again") from error
    return {each.name: each for each in entries}


def text(entries: Mapping[str, Entry]) -> str:
    """As it is written: by name."""
    listed = [asdict(entries[name]) for name in sorted(entries)]
    return HEADER + yaml.safe_dump({"images": listed}, sort_keys=False, width=200)


def write(folder: Path, entries: Iterable[Entry]) -> None:
    """Add entries to the lock, over those of the same name, as a whole or not at all."""
    merged = read(folder) | {each.name: each for each in entries}
    if merged != read(folder):
        component_yaml.write(folder / FILE, text(merged))
