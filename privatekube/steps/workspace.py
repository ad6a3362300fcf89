"""The workspace of a run: the folder in which its steps hand on data that carries no noise, and that ends with the run.

What a step writes as a `Dataset` never enters an artifact store: the data is below the workspace, and the artifact is a
document that says where. On a cluster the workspace is a volume of the run, on this machine a private folder of it.

    <workspace>/data/<program>-<digest of the artifact's path>/<output>   private data
    <workspace>/releases/<step>/                                          what a step released, see `staged_release`
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from privatekube import errors
from privatekube.steps import documents, interface
from privatekube.storage import local_files, private_files

DATA, RELEASES = "data", "releases"
_LONGEST_DOCUMENT = 4096
"""Bytes; a longer file is not a `Place`."""


class Place(documents.Document):
    """Where the data of an artifact is.

    Args:
        workspace_path: path below the workspace.
    """

    workspace_path: str


@dataclass(frozen=True, slots=True)
class Handover:
    """The private data of one execution of a program.

    Args:
        arguments: of the program: each private input and output is the path of its data below the workspace.
        written: the artifact that will name each private output, by that path below the workspace.
    """

    arguments: dict[str, Any]
    written: dict[str, Path]

    @classmethod
    def of(cls, step: Callable[..., None], given: dict[str, Any]) -> Handover:
        """Return the arguments of `step` with the places of its private data, which are checked to be inside.

        Args:
            step: the program.
            given: its arguments as the command line has them: each private input and output is an artifact.

        Raises:
            InvalidInput: there is no workspace, it cannot be written, or an input names a place outside of it.
            NotFound: the data of an input is gone.
        """
        private, root = interface.private_data(step), interface.workspace_parameter(step)
        if not private.inputs and not private.outputs:
            return cls(given, {})
        folder = require(given[root or ""])
        arguments = given | {name: find(folder, given[name]) for name in private.inputs}
        written = {}
        for name in private.outputs:
            tag = hashlib.sha256(str(given[name]).encode()).hexdigest()[:12]
            path = f"{DATA}/{step.__name__}-{tag}/{name}"
            written[path] = given[name]
            arguments[name] = folder / path
            private_files.make_folder(arguments[name].parent)
        return cls(arguments, written)

    def finish(self) -> None:
        """Write the artifacts that name what was written."""
        for path, artifact in self.written.items():
            local_files.write(artifact, documents.encode(Place(workspace_path=path)), overwrite=True)


def require(folder: Path) -> Path:
    """Return a workspace as an absolute path, after checking that it is a folder that can be written.

    Raises:
        InvalidInput: it is not.
    """
    if not folder.is_dir():
        remedy = "pass dsl.WORKSPACE_PATH_PLACEHOLDER, and give the pipeline a workspace"
        raise errors.invalid("workspace", str(folder), "is not a folder", remedy)
    if not os.access(folder, os.W_OK | os.X_OK):
        remedy = "have its volume mounted for this group (fsGroup), see docs/kubeflow.md"
        raise errors.invalid("workspace", str(folder), f"cannot be written by user {os.getuid()}", remedy)
    return folder.resolve()


def find(workspace: Path, artifact: Path) -> Path:
    """Return the path of the data that an artifact names.

    Raises:
        InvalidInput: it names a place outside of the workspace, or is not such a document.
        NotFound: the data is gone.
    """
    path = _named(workspace, artifact)
    if not path.exists():
        raise errors.NotFound(
            f"workspace: the data of {artifact.name} is gone, which a run removes when it ends; start a new run"
        )
    return path


def discard(workspace: Path, artifact: Path) -> None:
    """Remove the data that an artifact names, if it names any."""
    with contextlib.suppress(errors.PrivateKubeError, OSError):
        if artifact.stat().st_size <= _LONGEST_DOCUMENT:
            _remove(_named(workspace, artifact))


def erase(workspace: Path) -> None:
    """Remove everything in a workspace, which itself may be a volume and stays.

    Raises:
        InvalidInput: a file is left.
    """
    if not workspace.is_dir():
        return
    for path in workspace.iterdir():
        if path.name != "lost+found":  # of the volume's file system
            _remove(path)
    left = [path.name for path in workspace.iterdir() if path.name != "lost+found"]
    if left:
        raise errors.invalid("workspace", str(workspace), f"still has {left[0]}", "delete its volume")


def _named(workspace: Path, artifact: Path) -> Path:
    root, named = workspace.resolve(), documents.read(Place, artifact).workspace_path
    path = (root / named).resolve()
    if Path(named).is_absolute() or path == root or not path.is_relative_to(root):
        raise errors.invalid(
            "workspace_path", named, "is not below the workspace", "pass what the step before has written"
        )
    return path


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
