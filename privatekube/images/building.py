"""Build, push and pin images: bases first, then components in parallel; nothing is pinned unless every image succeeds.

1. The tag of an image is the digest of its ingredients. 2. If the registry (without a push: the engine) has that tag,
nothing is done. 3. Otherwise the image is built and pushed, and the registry is asked for the digest of its manifest.
4. component.yaml and images.lock.yaml are written.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from privatekube import __version__, errors
from privatekube.images import component_yaml, git_revision, lock, registry
from privatekube.images.engine import Engine
from privatekube.images.lock import Entry
from privatekube.images.recipe import Recipe
from privatekube.storage import local_files

LOCAL = "localhost/privatekube"
"""Repository of images on the machine that builds them; no registry has this name."""

Report = Callable[[str, str, str], None]
"""Called with the name of an image, its state, and a line of detail."""


@dataclass(frozen=True)
class Settings:
    """How to build.

    Args:
        repository: registry and prefix to push to; None builds without a push.
        base_image: what the shared bases start from, instead of the image that their Dockerfiles name.
        arguments: further build arguments of the shared bases.
        jobs: number of images that are built in parallel.
    """

    repository: str | None
    base_image: str | None = None
    arguments: Mapping[str, str] = field(default_factory=dict)
    jobs: int = 2


@dataclass
class Builder:
    """Builds images with one engine.

    Args:
        engine: what builds.
        settings: how.
        locked: entries of the last build.
        report: called with the progress of each image.
        entries: entries of this build, by the image's name.
    """

    engine: Engine
    settings: Settings
    locked: Mapping[str, Entry]
    report: Report
    entries: dict[str, Entry] = field(default_factory=dict)

    def make_all(self, recipes: Sequence[Recipe]) -> None:
        """Make images in parallel; the first failure is raised once all have ended."""
        with ThreadPoolExecutor(self.settings.jobs) as pool:
            futures = [pool.submit(self.make, recipe) for recipe in recipes]
        for recipe, future in zip(recipes, futures, strict=True):
            self.entries[recipe.name] = future.result()

    def make(self, recipe: Recipe) -> Entry:
        """Make one image, unless it exists.

        Raises:
            PrivateKubeError: it cannot be built or pushed, or the registry holds another image under its tag.
        """
        self.report(recipe.name, "checking", "")
        base, identity, base_digest = self._base(recipe)
        arguments = {} if recipe.is_component else dict(self.settings.arguments)
        tag = recipe.tag(identity, arguments)
        revision = git_revision.revision(recipe.context.root, recipe.context.files)
        build_arguments = arguments | {"REVISION": revision.commit or "unknown"}
        build_arguments |= {"BASE_IMAGE": base} if base else {}
        build_arguments |= {"VERSION": __version__} if recipe.is_ours else {}
        repository = f"{self.settings.repository or LOCAL}/{recipe.name}"
        if self.settings.repository is None:
            digest, is_new = None, self._build(recipe, tag, build_arguments)
        else:
            digest, is_new = self._push(recipe, tag, build_arguments, repository)
        entry = Entry(recipe.name, repository, tag, digest, base, base_digest, revision.time, arguments)
        self.report(recipe.name, "built" if is_new else "unchanged", entry.reference)
        return entry

    def _base(self, recipe: Recipe) -> tuple[str | None, str | None, str | None]:
        """Return the base of an image: its reference, its part of the tag, and its digest."""
        if recipe.base is not None:
            entry = self.entries[recipe.base]
            reference = local(entry.name, entry.tag)
            return reference, entry.tag, entry.digest or self.engine.identity(reference)
        base = recipe.context.dockerfile.base
        if not recipe.is_component:
            base = self.settings.base_image or base
        if base is None:
            return None, None, None
        identity = self.engine.require(base)
        return base, identity, identity

    def _build(self, recipe: Recipe, tag: str, build_arguments: Mapping[str, str]) -> bool:
        """Build an image for this machine, unless it exists; return whether it was built."""
        reference = local(recipe.name, tag)
        if self.engine.identity(reference):
            return False
        if recipe.base is not None:
            self._pull_base(self.entries[recipe.base])
        self.report(recipe.name, "building", "")
        self.engine.build(
            recipe.context, reference, build_arguments, lambda line: self.report(recipe.name, "building", line)
        )
        return True

    def _pull_base(self, base: Entry) -> None:
        """Pull a base that was pushed from another machine, unless it is on this one."""
        if not self.engine.identity(local(base.name, base.tag)):
            self.engine.require(base.reference)
            self.engine.tag(base.reference, f"{LOCAL}/{base.name}", base.tag)

    def _push(self, recipe: Recipe, tag: str, build_arguments: Mapping[str, str], repository: str) -> tuple[str, bool]:
        """Push an image, unless the registry has it; return its digest in the registry and whether it was pushed."""
        login = registry.credentials(repository)
        digest = registry.digest(repository, tag, login)
        if digest is not None:
            self._require_locked_digest(recipe.name, repository, tag, digest)
            return digest, False
        self._build(recipe, tag, build_arguments)
        self.report(recipe.name, "pushing", "")
        self.engine.tag(local(recipe.name, tag), repository, tag)
        pushed = self.engine.push(repository, tag, login, lambda line: self.report(recipe.name, "pushing", line))
        digest = registry.digest(repository, tag, login)
        if digest is None or pushed not in {None, digest}:
            raise _mismatch(repository, tag, f"{pushed} was pushed", digest)
        return digest, True

    def _require_locked_digest(self, name: str, repository: str, tag: str, digest: str) -> None:
        """Check that the registry holds what the lock says of the same tag, if it says anything."""
        entry = self.locked.get(name)
        if entry is None or (entry.repository, entry.tag) != (repository, tag):
            return
        if entry.digest not in {None, digest}:
            raise _mismatch(repository, tag, f"{lock.FILE} says {entry.digest}", digest)


def local(name: str, tag: str) -> str:
    """Return the reference of an image on the machine that builds it, whatever registry it is pushed to."""
    return f"{LOCAL}/{name}:{tag}"


def build(
    bases: Sequence[Recipe],
    components: Sequence[Recipe],
    engine: Engine,
    settings: Settings,
    *,
    folder: Path,
    report: Report,
) -> list[Entry]:
    """Make the images of `components` and of the bases they start from, and pin them.

    Args:
        bases: see `recipe.bases`.
        components: see `recipe.component`.
        engine: what builds.
        settings: how.
        folder: folder of images.lock.yaml.
        report: called with the progress of each image.

    Returns:
        An entry for each image, bases first.
    """
    builder = Builder(engine, settings, lock.read(folder), report)
    for recipes in (bases, components):
        builder.make_all(recipes)
    pin(components, builder.entries)
    lock.write(folder, builder.entries.values())
    return list(builder.entries.values())


def pin(components: Iterable[Recipe], entries: Mapping[str, Entry]) -> None:
    """Write the references into the component.yamls; none is written unless all can be composed."""
    texts = {
        recipe.folder / component_yaml.FILE: component_yaml.with_image(recipe.folder, entries[recipe.name].reference)
        for recipe in components
    }
    for path, text in texts.items():
        if path.read_text(encoding="utf-8") != text:
            local_files.write(path, text.encode(), overwrite=True)


def _mismatch(repository: str, tag: str, expected: str, actual: str | None) -> errors.CorruptData:
    return errors.CorruptData(
        f"digest of {repository}:{tag}: {expected}, the registry holds {actual}; "
        "another user wrote that tag: delete it there and build again"
    )
