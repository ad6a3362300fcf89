"""images.lock.yaml: the image that each component is pinned to, and what it was built from."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

import pydantic
import yaml

from privatekube import config, errors, validation
from privatekube.storage import local_files

FILE = "images.lock.yaml"
HEADER = "# Written by build_components.py: the images that the components are pinned to. Do not edit.\n"


@dataclass(frozen=True)
class Entry:
    """One image.

    Args:
        name: of the image, without registry and prefix.
        repository: registry, prefix and name.
        tag: digest of its ingredients.
        digest: of the pushed manifest; None if the image was not pushed.
        base: reference of the base image.
        base_digest: of the base: of its manifest if this tool pushed it, else of its configuration.
        source_time: time of the last commit that changed its sources.
        arguments: build arguments.
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
        """The reference for component.yaml: by digest if there is one, else by tag."""
        return f"{self.repository}@{self.digest}" if self.digest else f"{self.repository}:{self.tag}"


def read(folder: Path) -> dict[str, Entry]:
    """Return the entries by name; none if there is no lock.

    Raises:
        InvalidInput: the file is not a lock.
    """
    path = folder / FILE
    if not path.exists():
        return {}
    images = config.read_mapping(path).get("images")
    try:
        entries = pydantic.TypeAdapter(list[Entry]).validate_python(images)
    except pydantic.ValidationError as error:
        fault = validation.first_fault(error)
        raise errors.InvalidInput(f"{path}: {fault.rpartition(';')[0]}; delete it and build again") from error
    return {entry.name: entry for entry in entries}


def text(entries: Mapping[str, Entry]) -> str:
    """Return the text of the lock, sorted by name."""
    images = [asdict(entries[name]) for name in sorted(entries)]
    return HEADER + yaml.safe_dump({"images": images}, sort_keys=False, width=200)


def write(folder: Path, entries: Iterable[Entry]) -> None:
    """Add entries to the lock, in place of those of the same name, in one step."""
    locked = read(folder)
    merged = locked | {entry.name: entry for entry in entries}
    if merged != locked:
        local_files.write(folder / FILE, text(merged).encode(), overwrite=True)
