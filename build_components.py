"""Build the components' images, push them, and pin them by digest in their component.yaml."""

from __future__ import annotations

import enum
import os
from pathlib import Path
from typing import Annotated

from privatekube import entrypoint, errors

with entrypoint.imports_of("images"):
    import typer

    from privatekube.cli import console, typer_app
    from privatekube.images import building, checking, component_yaml, engine, progress, recipe, registry, sbom

ROOT = Path(__file__).resolve().parent
SECRETS = Path("client_secrets.yaml")
app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
terminal = console.console(stderr=True)


class EngineChoice(enum.StrEnum):
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
    repository: Annotated[
        str | None, typer.Option("--registry", help="HOST/PREFIX to push to. Default: repo in client_secrets.yaml.")
    ] = None,
    push: Annotated[bool, typer.Option("--push/--no-push", help="--no-push: for this machine only.")] = True,
    check: Annotated[
        bool, typer.Option("--check", help="Only check whether component.yaml, lock and sources agree.")
    ] = False,
    jobs: Annotated[int, typer.Option(min=1, help="Number of images built in parallel.")] = min(4, os.cpu_count() or 1),
    engine_choice: Annotated[
        EngineChoice, typer.Option("--engine", help="What builds; DOCKER_HOST may name it.")
    ] = EngineChoice.AUTO,
    base_image: Annotated[
        str | None, typer.Option(help="Image that the shared bases start from. Default: python:3.11-slim.")
    ] = None,
    torch_index: Annotated[
        str | None, typer.Option(help="Package index with another build of torch, e.g. for CPU only. Default: PyPI.")
    ] = None,
    sbom_folder: Annotated[
        Path | None, typer.Option("--sbom", help="Folder to write an inventory of each image to.")
    ] = None,
) -> int:
    """Build the components' images, push them, and pin them by digest in their component.yaml.

    The shared bases are built first. An image that exists is not built again: its tag is the digest of its ingredients.
    Exit status: 0 success, 1 a build or a push failed or --check found a fault, 2 bad input.
    """
    folder = directory or ROOT / "components"
    components = [recipe.component(path, ROOT) for path in component_yaml.find(folder, single=single)]
    bases = recipe.bases(components, ROOT)
    lock_folder = ROOT if directory is None else folder
    if check:
        return _check(bases, components, lock_folder)
    settings = building.Settings(
        repository=_repository(repository) if push else None,
        base_image=base_image,
        arguments={"TORCH_INDEX": torch_index} if torch_index else {},
        jobs=jobs,
    )
    connected = engine.connect(engine_choice.value)
    terminal.print(
        f"{connected.name} at {connected.address} builds {len(components)} components", highlight=False, soft_wrap=True
    )
    try:
        with progress.show(terminal) as report:
            entries = building.build(bases, components, connected, settings, folder=lock_folder, report=report)
    except engine.BuildFailed as error:
        for line in error.tail:
            terminal.print(f"  {line}", markup=False, highlight=False, soft_wrap=True)
        raise
    if sbom_folder is not None:
        for entry in entries:
            path = sbom.write(connected, entry.name, building.local(entry.name, entry.tag), sbom_folder)
            terminal.print(f"wrote {path}", highlight=False, soft_wrap=True)
    return 0


def _repository(option: str | None) -> str:
    """Return the registry and prefix to push to, from --registry or client_secrets.yaml."""
    repository = option
    if repository is None and SECRETS.exists():
        from privatekube.kubeflow import cluster_file  # noqa: PLC0415 - only this needs what signs in to a cluster

        repository = cluster_file.load(SECRETS).repo
    if repository is None:
        raise errors.InvalidInput(
            f"registry: is not given; give --registry HOST/PREFIX, repo in {SECRETS}, or --no-push"
        )
    return registry.require_name(repository)


def _check(bases: list[recipe.Recipe], components: list[recipe.Recipe], lock_folder: Path) -> int:
    """Print what is out of date and return the exit status."""
    faults = list(checking.faults(bases, components, lock_folder))
    for fault in faults:
        terminal.print(fault, highlight=False, soft_wrap=True)
    if not faults:
        terminal.print(f"{len(components)} components: component.yaml, lock and sources agree", highlight=False)
    return 1 if faults else 0


if __name__ == "__main__":
    typer_app.run(app, extra="images")
