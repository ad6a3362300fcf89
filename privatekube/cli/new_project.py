"""The command `privatekube init`: write a small project that runs at once."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from privatekube.starter import writing


def init(
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="Folder of the project; it is created.")],
) -> None:
    """Write a small project: a table with its schema, a plan, one component, a pipeline. Then run make demo in it."""
    for path in writing.write(directory):
        typer.echo(f"wrote {path}")
