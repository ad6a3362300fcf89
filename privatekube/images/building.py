"""Build, push and pin: bases first, then components side by side; nothing is pinned unless all went well.

1. An image's tag is the digest of what goes in. 2. Where the registry (or, without a push, the engine) has that tag,
there is nothing to do. 3. Else it is built and pushed, and the registry is asked for the manifest's digest.
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

LOCAL = "localhost/privatekube"
"""Where images are built, before they are pushed or instead: no registry can mean the same."""

Report = Callable[[str, str, str], None]
"""Is told the image, its state, and what there is to say of it."""


@dataclass(frozen=True)
class Settings:
    """How to build.

    Args:
        repository: registry and prefix; None builds without a push.
        base_image: what the shared bases start from, instead of what their Dockerfiles say.
        arguments: further build arguments of the shared bases.
        jobs: how many images at a time.
    """

    repository: str | None
    base_image: str | None = None
    arguments: Mapping[str, str] = field(default_factory=dict)
    jobs: int = 2


@dataclass
class Builder:
    """Makes images with `engine`; `locked` is what was made before."""

    engine: Engine
    settings: Settings
    locked: Mapping[str, Entry]
    report: Report
    made: dict[str, Entry] = field(default_factory=dict)

    def make_all(self, wave: Sequence[Recipe]) -> None:
        """Make the images of a wave side by side; the first failure is raised once all have ended."""
        with ThreadPoolExecutor(self.settings.jobs) as pool:
            futures = [pool.submit(self.make, each) for each in wave]
        for each, future in zip(wave, futures, strict=True):
            self.made[each.name] = future.result()

    def make(self, each: Recipe) -> Entry:
        """Make one image, unless it is there already.

        Raises:
            PrivateKubeError: it cannot be built or pushed, or the registry holds another under its tag.
        """
        self.report(each.name, "checking", "")
        base, identity, base_digest = self._base(each)
        arguments = {} if each.is_component else dict(self.settings.arguments)
        tag = each.tag(identity, arguments)
        revision = git_revision.revision(each.context.root, each.context.files)
        given = arguments | {"REVISION": revision.commit or "unknown"} | ({"BASE_IMAGE": base} if base else {})
        given |= {"VERSION": __version__} if each.is_ours else {}
        repository = f"{self.settings.repository or LOCAL}/{each.name}"
        if self.settings.repository is None:
            digest, done = None, self._build(each, tag, given)
        else:
            digest, done = self._push(each, tag, given, repository)
        entry = Entry(each.name, repository, tag, digest, base, base_digest, revision.time, arguments)
        self.report(each.name, "built" if done else "unchanged", entry.reference)
        return entry

    def _base(self, each: Recipe) -> tuple[str | None, str | None, str | None]:
        """What an image starts from: the reference, what of it goes into the tag, and its digest."""
        if each.base is not None:
            entry = self.made[each.base]
            reference = local(entry.name, entry.tag)
            return reference, entry.tag, entry.digest or self.engine.identity(reference)
        chosen = each.context.dockerfile.base
        if not each.is_component:
            chosen = self.settings.base_image or chosen
        if chosen is None:
            return None, None, None
        identity = self.engine.require(chosen)
        return chosen, identity, identity

    def _build(self, each: Recipe, tag: str, given: Mapping[str, str]) -> bool:
        """Build an image for this machine; whether that was needed."""
        reference = local(each.name, tag)
        if self.engine.identity(reference):
            return False
        if each.base is not None:
            self._fetch(self.made[each.base])
        self.report(each.name, "building", "")
        self.engine.build(each.context, reference, given, lambda line: self.report(each.name, "building", line))
        return True

    def _fetch(self, base: Entry) -> None:
        """A base that somebody else pushed, where it is not on this machine."""
        if not self.engine.identity(local(base.name, base.tag)):
            self.engine.require(base.reference)
            self.engine.tag(base.reference, f"{LOCAL}/{base.name}", base.tag)

    def _push(self, each: Recipe, tag: str, given: Mapping[str, str], repository: str) -> tuple[str, bool]:
        """The digest of an image in the registry, and whether it had to be pushed."""
        login = registry.credentials(repository)
        digest = registry.digest(repository, tag, login)
        before = self.locked.get(each.name)
        if digest is not None:
            if before and (before.repository, before.tag) == (repository, tag) and before.digest not in {None, digest}:
                raise _mismatch(repository, tag, f"{lock.FILE} says {before.digest}", digest)
            return digest, False
        self._build(each, tag, given)
        self.report(each.name, "pushing", "")
        self.engine.tag(local(each.name, tag), repository, tag)
        said = self.engine.push(repository, tag, login, lambda line: self.report(each.name, "pushing", line))
        digest = registry.digest(repository, tag, login)
        if digest is None or said not in {None, digest}:
            raise _mismatch(repository, tag, f"{said} was pushed", digest)
        return digest, True


def local(name: str, tag: str) -> str:
    """An image's name on the machine that builds it, whichever registry it is for."""
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
        folder: where images.lock.yaml is.
        report: is told what happens.

    Returns:
        An entry for each image, bases first.
    """
    builder = Builder(engine, settings, lock.read(folder), report)
    for wave in (bases, components):
        builder.make_all(wave)
    pin(components, builder.made)
    lock.write(folder, builder.made.values())
    return list(builder.made.values())


def pin(components: Iterable[Recipe], made: Mapping[str, Entry]) -> None:
    """Write the references into the component.yamls: all of them are made up before the first is written."""
    texts = {
        each.folder / component_yaml.FILE: component_yaml.pinned(each.folder, made[each.name].reference)
        for each in components
    }
    for path, text in texts.items():
        if path.read_text(encoding="utf-8") != text:
            component_yaml.write(path, text)


def _mismatch(repository: str, tag: str, expected: str, found: str | None) -> errors.CorruptData:
    return errors.CorruptData(
        f"digest of {repository}:{tag}: {expected}, the registry holds {found}; "
        "somebody else wrote that tag: delete it there and build again"
    )
