"""Check that component.yaml, images.lock.yaml and the sources agree, without an engine or a registry."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from privatekube.images import component_yaml, lock
from privatekube.images.lock import Entry
from privatekube.images.pins import COMMAND
from privatekube.images.recipe import Recipe


def faults(bases: Iterable[Recipe], components: Iterable[Recipe], folder: Path) -> Iterator[str]:
    """Yield a line for each image that is out of date; `folder` is that of images.lock.yaml."""
    entries = lock.read(folder)
    for recipe in [*bases, *components]:
        entry = entries.get(recipe.name)
        if entry is None:
            yield f"{recipe.name}: is not in {lock.FILE}; run {COMMAND}"
        elif entry.tag != recipe.tag(_base_identity(recipe, entry, entries), entry.arguments):
            yield f"{recipe.name}: its sources are not those of the image; run {COMMAND}"
        elif recipe.is_component and component_yaml.image(recipe.folder) != entry.reference:
            image = component_yaml.image(recipe.folder)
            yield f"{recipe.name}: {component_yaml.FILE} names {image}, not {entry.reference}; run {COMMAND}"
        elif recipe.is_component and entry.digest is None:
            yield f"{recipe.name}: was built and not pushed; run {COMMAND} --registry HOST/PREFIX"


def _base_identity(recipe: Recipe, entry: Entry, entries: Mapping[str, Entry]) -> str | None:
    """Return the base's part of the tag, as `building` computed it."""
    if recipe.base is None:
        return entry.base_digest
    base = entries.get(recipe.base)
    return base.tag if base else None
