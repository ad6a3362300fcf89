"""Run a pipeline on this machine, from checked arguments to published results."""

from __future__ import annotations

import contextlib
import io
import os
import secrets
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from kfp.dsl.base_component import BaseComponent
from rich.console import Console

from privatekube import entrypoint
from privatekube.client import connect
from privatekube.config import RunArguments
from privatekube.kubeflow import container_steps, kfp_local, progress, summary
from privatekube.kubeflow.step_components import StepComponents
from privatekube.kubeflow.subprocess_steps import StepFailure
from privatekube.resources.block import PrivateDataBlock
from privatekube.storage import uris

WORK = Path(".privatekube") / "runs"
LATEST = "latest"


def run(
    pipeline: BaseComponent,
    arguments: RunArguments,
    components: StepComponents,
    *,
    in_containers: bool,
    console: Console,
) -> int:
    """Run `pipeline` here, show its progress and return the exit status.

    1. Check that the run can start. 2. Run the steps. 3. Settle the claim of a run that failed or was interrupted, as
    the exit task does: the budget returns if the data was not opened, else it is consumed. 4. Show the results.

    Raises:
        InvalidInput: the results cannot be written, the store cannot be opened or, `in_containers`, an image cannot be
            pulled; found before anything is claimed.
    """
    if arguments.device == "cuda":
        _require_gpu()
    engine = container_steps.prepare(components.require_images(pushed=False)) if in_containers else None
    arguments = arguments.model_copy(update={"prefix": uris.absolute(arguments.prefix)})
    uris.require_writable(arguments.prefix)
    before = _list_blocks(arguments.namespace)
    options = None
    if engine is not None:
        gpu = arguments.device != "cpu"
        options = container_steps.arguments(arguments.prefix, before, container_engine=engine, gpu=gpu)
    run_id = f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{secrets.token_hex(3)}"
    try:
        failure = _run_steps(pipeline, arguments, components, run_id=run_id, options=options, console=console)
    except KeyboardInterrupt:
        return entrypoint.INTERRUPTED
    if failure is not None:
        return _show_failure(console, failure)
    _show_results(console, arguments.prefix, run_id, before, _list_blocks(arguments.namespace))
    return 0


def _run_steps(
    pipeline: BaseComponent,
    arguments: RunArguments,
    components: StepComponents,
    *,
    run_id: str,
    options: Mapping[str, Any] | None,
    console: Console,
) -> StepFailure | None:
    """Run the steps and return the first failure; unless all succeed, settle the claim."""
    with _work_folder() as work, progress.RunView(console, components.steps) as view:
        try:
            failure = kfp_local.run(
                pipeline,
                arguments.model_dump(),
                run_id=run_id,
                work=work,
                components=components,
                observer=view.observer,
                log=io.StringIO(),
                container_arguments=options,
            )
        except KeyboardInterrupt:
            console.print(f"interrupted; {_settle_claim(arguments.namespace, run_id)}", soft_wrap=True)
            raise
        except BaseException:
            _settle_claim(arguments.namespace, run_id)
            raise
    if failure is not None:
        _settle_claim(arguments.namespace, run_id)  # the exit task may have failed too
    return failure


def _list_blocks(namespace: str) -> list[PrivateDataBlock]:
    with connect.connect() as client:
        return client.list_blocks(namespace)


def _require_gpu() -> None:
    """Raise InvalidInput if this machine has no GPU."""
    from privatekube.training import loop  # noqa: PLC0415 - torch takes seconds to import, and only this needs it

    loop.resolve("cuda")


def _show_failure(console: Console, failure: StepFailure) -> int:
    """Print why the run failed and return its exit status."""
    reason = failure.line.removeprefix("error: ") or f"ended with exit status {failure.exit_status}"
    console.print(f"error: {failure.step}: {reason}", markup=False, highlight=False, soft_wrap=True)
    return failure.exit_status if failure.exit_status > 0 else 1


def _show_results(
    console: Console,
    prefix: str,
    run_id: str,
    before: list[PrivateDataBlock],
    after: list[PrivateDataBlock],
) -> None:
    if "://" in prefix:
        console.print(f"results: {uris.join(prefix, run_id)}")
        return
    _point_latest(Path(prefix), run_id)
    summary.show(console, Path(prefix) / run_id, before, after)


def _point_latest(folder: Path, run_id: str) -> None:
    """Point the link `latest` at the results of this run, in one step."""
    scratch = folder / f".{LATEST}.{os.getpid()}"
    scratch.unlink(missing_ok=True)
    scratch.symlink_to(run_id)
    scratch.replace(folder / LATEST)


def _settle_claim(namespace: str, run_id: str) -> str:
    """Do what the exit task does, and return the outcome."""
    claim = connect.claim_name(run_id)
    with connect.connect() as client:
        outcome = client.settle(f"{namespace}/{claim}")
    return f"claim {claim}: {outcome}"


@contextlib.contextmanager
def _work_folder() -> Iterator[Path]:
    """Create a private folder for the artifacts of a run and remove it at the end; remove those of killed runs too."""
    WORK.mkdir(parents=True, exist_ok=True)
    for leftover in WORK.iterdir():
        process = leftover.name.partition("-")[0]
        if process.isdigit() and not _is_alive(int(process)):
            shutil.rmtree(leftover, ignore_errors=True)
    with tempfile.TemporaryDirectory(prefix=f"{os.getpid()}-", dir=WORK.resolve()) as folder:
        yield Path(folder)


def _is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
