"""The options of commands that create blocks, and what they print."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.progress import Progress, TaskID

from privatekube import errors
from privatekube.client import connect
from privatekube.privacy.budget import EpsilonDelta
from privatekube.resources import summary
from privatekube.storage import private_files, uris

if TYPE_CHECKING:
    from privatekube.client.client import BudgetClient
    from privatekube.data.declare import Declaration, DeclaredSlice

FOLDER = f"{private_files.HOME}/blocks"
NAMESPACE = "privacy-example"
NAME = re.compile(r"[a-z0-9]([-a-z0-9]{0,40}[a-z0-9])?")

Namespace = Annotated[str, typer.Option(help="Kubernetes namespace of the blocks.")]
Epsilon = Annotated[float, typer.Option(help="Epsilon of each block's lifetime budget.")]
Delta = Annotated[float, typer.Option(help="Delta of each block's lifetime budget.")]
Accounting = Annotated[str, typer.Option(help="How the budget is kept: renyi (many more runs fit) or epsdel.")]
DataDir = Annotated[
    str | None,
    typer.Option(
        help="Where to write the files: a folder, gs:// or s3:// prefix. Default: .privatekube/blocks, or for a budget "
        "in a cluster `data` of client_secrets.yaml."
    ),
]
KeepCopies = Annotated[
    bool,
    typer.Option(
        "--keep-copies",
        help="Keep exact copies of a record. The promise for one record then covers only one of its copies.",
    ),
]
Report = Annotated[
    str | None,
    typer.Option(help="Local file for exact numbers of what was read and left out. Private: for its owner alone."),
]
Memory = Annotated[
    str,
    typer.Option(
        help="Memory for cutting files, of all processes together (of Spark: of a task), besides the program's own."
    ),
]
Workers = Annotated[int | None, typer.Option(help="Processes that cut files. Default: one a core.")]
Engine = Annotated[
    str, typer.Option(help="What cuts files: local, the processes of this machine, or spark, a cluster. Same blocks.")
]
Master = Annotated[
    str | None,
    typer.Option(
        help="Master of Spark, such as spark://HOST:7077. Default: what spark-submit or SPARK_CONF_DIR says, or else "
        "local[*]."
    ),
]
ExistOk = Annotated[bool, typer.Option("--exist-ok", help="Succeed if all the blocks exist already.")]

LocalFiles = Annotated[
    bool,
    typer.Option(
        "--local-files",
        help="Write to a folder of this machine although the budget is in a cluster: for runs on this machine, or a "
        "folder that its pods mount at the same path.",
    ),
]


def data_dir_of(stated: str | None, *, local_files: bool) -> str:
    """Return where to write the files, after checking that the steps of a run will be able to read them.

    Args:
        stated: where the owner wants them; None for the default.
        local_files: whether the owner knows that a folder of this machine will do.

    Raises:
        InvalidInput: the budget is in a cluster, and the folder on this machine.
    """
    is_for_pods = connect.is_cluster() and not local_files
    data_dir = stated or (_data_of_cluster() if is_for_pods else None) or FOLDER
    if is_for_pods and uris.is_local(data_dir):
        bound = "is a folder of this machine, which no pod of the cluster can read"
        remedy = "name a gs:// or s3:// prefix, here or as data in client_secrets.yaml, or add --local-files for runs "
        raise errors.invalid("data-dir", data_dir, bound, f"{remedy}on this machine")
    return data_dir


def _data_of_cluster() -> str | None:
    from privatekube.kubeflow import cluster_file  # noqa: PLC0415 - only for a cluster

    return cluster_file.load().data if cluster_file.FILE.exists() else None


def require_name(option: str, value: str) -> None:
    """Check a name that begins the names of blocks.

    Raises:
        InvalidInput: it is not one.
    """
    if not NAME.fullmatch(value):
        bound = "must be at most 42 lower-case letters, digits and '-'"
        raise errors.invalid(option, value, bound, "choose another name")


def report_file(report: str | None) -> Path | None:
    """Return where to write the exact numbers.

    Raises:
        InvalidInput: not a local file.
    """
    if report is not None and "://" in report:
        raise errors.invalid("report", report, "is not a local file", "name a file on this machine")
    return None if report is None else Path(report)


def show_on(progress: Progress) -> Callable[[str, float], None]:
    """Return what shows how much of each stage of the work is done."""
    stages: dict[str, TaskID] = {}

    def show(stage: str, share: float) -> None:
        if stage not in stages:
            stages[stage] = progress.add_task(stage, total=1.0)
        progress.update(stages[stage], completed=share)

    return show


def register(
    client: BudgetClient,
    written: Sequence[DeclaredSlice],
    declaration: Declaration,
    *,
    whole: EpsilonDelta,
    exist_ok: bool,
) -> str:
    """Register the blocks of some slices, and return what to say of it.

    Args:
        client: of the control plane.
        written: the slices, whose files are written.
        declaration: what the owner states about all blocks.
        whole: the budget of each for its whole life.
        exist_ok: whether all of them may exist already.

    Raises:
        AlreadyExists: some of the data is registered already.
    """
    from privatekube.client import register_blocks  # noqa: PLC0415 - `--help` needs no extra

    done = register_blocks.register(client, written, exist_ok=exist_ok)
    unchanged = f"; {done.existing} existed already and are unchanged" if done.existing else ""
    accounting = "" if isinstance(declaration.initial_budget, EpsilonDelta) else " in Renyi accounting"
    number = summary.number_of_blocks(done.created)
    return f"created {number} of {whole}{accounting} in {declaration.namespace}{unchanged}"
