"""Whether component.yaml, images.lock.yaml and the sources are in step, without an engine or a registry."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from privatekube.images import component_yaml, lock
from privatekube.images.lock import Entry
from privatekube.images.pins import COMMAND
from privatekube.images.recipe import Recipe


def faults(bases: Iterable[Recipe], components: Iterable[Recipe], folder: Path) -> Iterator[str]:
    """What is out of step, one line each; `folder` is where images.lock.yaml is."""
    entries = lock.read(folder)
    for each in [*bases, *components]:
        entry = entries.get(each.name)
        if entry is None:
            yield f"{each.name}: is not in {lock.FILE}; run {COMMAND}"
        elif entry.tag != each.tag(_identity(each, entry, entries), entry.arguments):
            yield f"{each.name}: its sources are not those of the image; run {COMMAND}"
        elif each.is_component and component_yaml.image(each.folder) != entry.reference:
            named = component_yaml.image(each.folder)
            yield f"{each.name}: {component_yaml.FILE} names {named}, not {entry.reference}; run {COMMAND}"
        elif each.is_component and entry.digest is None:
            yield f"{each.name}: was built and not pushed; run {COMMAND} --registry HOST/PREFIX"


def _identity(each: Recipe, entry: Entry, entries: Mapping[str, Entry]) -> str | None:
    """What of the base went into the tag, see `building`."""
    if each.base is None:
        return entry.base_digest
    base = entries.get(each.base)
    return base.tag if base else None
