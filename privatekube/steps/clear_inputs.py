"""What a step reads of what earlier steps released: the artifact is sealed, and in clear it is in the workspace alone.

A program with a workspace is given the path of the file in clear, so that it need not know that artifacts are sealed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from privatekube import errors
from privatekube.steps import documents, interface, sealing
from privatekube.steps.staged_release import StagedRelease


def of(step: Callable[..., None], arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments of a program with the file in clear in place of each sealed one.

    Args:
        step: the program.
        arguments: its arguments by name.

    Raises:
        InvalidInput: a file is sealed, and the program has no workspace to read it from.
        NotFound: what was released is not in the workspace.
        CorruptData: a sealed file is cut off or damaged.
    """
    root = interface.workspace_parameter(step)
    given = {name: arguments[name] for name in interface.released_inputs(step)}
    if root is not None:
        return {**arguments, **{name: find(arguments[root], path) for name, path in given.items()}}
    for name, path in given.items():
        if path.is_file() and sealing.is_sealed(path):
            bound, remedy = "is sealed until its claim has paid", "add a parameter workspace: interface.Workspace"
            raise errors.invalid(f"{step.__name__}: {name}", path.name, bound, remedy)
    return dict(arguments)


def find(workspace: Path, artifact: Path) -> Path:
    """Return the file in clear of what an earlier step has released; the artifact itself if it is not sealed.

    Raises:
        NotFound: it is not in the workspace.
        CorruptData: the artifact is cut off or damaged.
    """
    if not artifact.is_file() or not sealing.is_sealed(artifact):
        return artifact
    header = sealing.read_header(artifact)
    folder = StagedRelease.of(header.step, workspace).folder
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        if documents.digest(path.read_bytes()) == header.digest:
            return path
    raise errors.NotFound(
        f"workspace: what {header.step} released is gone, which a run removes when it ends; start a new run"
    )
