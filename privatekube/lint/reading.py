"""Read a compiled pipeline and tell what each of its steps does: what the rules check."""

from __future__ import annotations

from pathlib import Path

from privatekube import errors
from privatekube.lint import flattening, package, roles
from privatekube.lint.roles import Roles


def read(path: Path) -> Roles:
    """Read a package that kfp 2 compiled.

    Raises:
        InvalidInput: the file cannot be read, is not such a package, has no step, or a step states an unknown role.
    """
    graph = flattening.flatten(package.read(path))
    if not graph.steps:
        raise errors.InvalidInput(f"{path.name}: has no step, so there is nothing to check; compile a whole pipeline")
    return roles.read(graph)
