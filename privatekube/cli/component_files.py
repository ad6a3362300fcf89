"""The commands `privatekube component`: write and check the interface of components, `component.yaml`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from privatekube.images.component_yaml import FILE
from privatekube.storage import local_files

STALE = 1
"""Exit status if a file does not agree with its program."""
app = typer.Typer(no_args_is_help=True, help="Write or check component.yaml, the interface of a component.")

Folders = Annotated[list[Path], typer.Argument(metavar="DIR...", help="Folders of components, each with __main__.py.")]


@app.command()
def generate(folders: Folders) -> None:
    """Write inputs, outputs and arguments of component.yaml from the program's signature; keep the rest."""
    from privatekube.steps import component_file  # noqa: PLC0415 - see the docstring of cli.app

    texts = {folder / FILE: component_file.generate(folder) for folder in folders}
    for path, text in texts.items():
        local_files.write(path, text.encode(), overwrite=True)
        typer.echo(f"wrote {path}")


@app.command()
def check(folders: Folders) -> int:
    """Check that component.yaml agrees with the program. Exit status: 0 it does, 1 it does not, 2 bad input."""
    from privatekube.steps import component_file  # noqa: PLC0415 - see the docstring of cli.app

    stale = [folder for folder in folders if not component_file.is_current(folder)]
    for folder in stale:
        typer.echo(f"{folder / FILE}: is not what the program says; privatekube component generate {folder}")
    return STALE if stale else 0
