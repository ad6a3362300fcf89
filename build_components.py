"""Build the components' images, push them, and pin them by digest in their component.yaml."""

from __future__ import annotations

import enum
import os
from pathlib import Path
from typing import Annotated

import typer

from privatekube import config, errors
from privatekube.cli import console, typer_app
from privatekube.images import building, checking, component_yaml, engine, progress, recipe, registry
from privatekube.images import sbom as inventory

ROOT = Path(__file__).resolve().parent
SECRETS = Path("client_secrets.yaml")
app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
say = console.console(stderr=True)


class Choice(enum.StrEnum):
    """Which engine builds."""

    AUTO = engine.AUTO
    DOCKER = engine.DOCKER
    PODMAN = engine.PODMAN


@app.command()
def main(  # noqa: PLR0917 - typer reads the options off the signature
    directory: Annotated[
        Path | None, typer.Argument(help="A component, or a folder of components. Default: components.")
    ] = None,
    single: Annotated[bool, typer.Option("--single", help="DIRECTORY itself is the component.")] = False,
    registry_: Annotated[
        str | None, typer.Option("--registry", help="HOST/PREFIX to push to. Default: repo in client_secrets.yaml.")
    ] = None,
    push: Annotated[bool, typer.Option("--push/--no-push", help="--no-push: for this machine alone.")] = True,
    check: Annotated[
        bool, typer.Option("--check", help="Only say whether component.yaml, lock and sources are in step.")
    ] = False,
    jobs: Annotated[int, typer.Option(min=1, help="Images at a time.")] = min(4, os.cpu_count() or 1),
    engine_: Annotated[Choice, typer.Option("--engine", help="What builds; DOCKER_HOST may name it.")] = Choice.AUTO,
    base_image: Annotated[
        str | None, typer.Option(help="What the shared bases start from. Default: python:3.11-slim.")
    ] = None,
    torch_index: Annotated[
        str | None, typer.Option(help="Index with another build of torch, e.g. for CPU alone. Default: PyPI.")
    ] = None,
    sbom: Annotated[Path | None, typer.Option(help="Folder that gets an inventory of each image.")] = None,
) -> int:
    """Build the components' images, push them, and pin them by digest in their component.yaml.

    The shared bases are built first. An image that is there already is left alone: its tag is the digest of what goes
    in. Exit status: 0 all in place, 1 a build or a push failed or --check found something, 2 bad input.
    """
    folder = directory or ROOT / "components"
    components = [recipe.component(path, ROOT) for path in component_yaml.find(folder, single=single)]
    bases = recipe.bases(components, ROOT)
    lock_folder = ROOT if directory is None else folder
    if check:
        return _check(bases, components, lock_folder)
    settings = building.Settings(
        repository=_repository(registry_) if push else None,
        base_image=base_image,
        arguments={"TORCH_INDEX": torch_index} if torch_index else {},
        jobs=jobs,
    )
    found = engine.connect(engine_.value)
    say.print(f"{found.name} at {found.address} builds {len(components)} components", highlight=False, soft_wrap=True)
    try:
        with progress.shown(say) as report:
            made = building.build(bases, components, found, settings, folder=lock_folder, report=report)
    except engine.BuildFailed as error:
        for line in error.tail:
            say.print(f"  {line}", markup=False, highlight=False, soft_wrap=True)
        raise
    if sbom is not None:
        for entry in made:
            written = inventory.write(found, entry.name, building.local(entry.name, entry.tag), sbom)
            say.print(f"wrote {written}", highlight=False, soft_wrap=True)
    return 0


def _repository(named: str | None) -> str:
    if named is None and SECRETS.exists():
        named = config.load_secrets(SECRETS).repo
    if named is None:
        raise errors.InvalidInput(
            f"registry: none is named; give --registry HOST/PREFIX, or repo in {SECRETS}, or --no-push"
        )
    return registry.require_name(named)


def _check(bases: list[recipe.Recipe], components: list[recipe.Recipe], lock_folder: Path) -> int:
    found = list(checking.faults(bases, components, lock_folder))
    for line in found:
        say.print(line, highlight=False, soft_wrap=True)
    if not found:
        say.print(f"{len(components)} components: component.yaml, lock and sources are in step", highlight=False)
    return 1 if found else 0


if __name__ == "__main__":
    typer_app.run(app)
