"""One run on this machine, from checked arguments to published results."""

from __future__ import annotations

import contextlib
import io
import os
import secrets
import shutil
import signal
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from kfp.dsl.base_component import BaseComponent
from rich.console import Console

from privatekube import entrypoint
from privatekube.client import connect
from privatekube.config import RunArguments
from privatekube.kubeflow import container_steps, kfp_local, progress, summary
from privatekube.kubeflow.step_components import StepComponents
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
    """Run `pipeline` here, show it, and return the exit status.

    Interrupted at any moment, the claim is settled as the exit task would: unopened budget returns, opened is consumed.

    Raises:
        InvalidInput: results could not be written, the store not be opened, or, `in_containers`, an image not be had:
            found before anything is claimed.
    """
    if arguments.device == "cuda":
        _require_gpu()
    engine = container_steps.prepare(components.require_images(pushed=False)) if in_containers else None
    arguments = arguments.model_copy(update={"prefix": uris.absolute(arguments.prefix)})
    uris.require_writable(arguments.prefix)
    with connect.connect() as plane:
        before = plane.list_blocks(arguments.namespace)
    run_id = f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{secrets.token_hex(3)}"
    with _work_folder() as work, progress.RunView(console, components.steps) as shown, _terminated_as_interrupted():
        try:
            failure = kfp_local.run(
                pipeline,
                arguments.model_dump(),
                run_id=run_id,
                work=work,
                components=components,
                observer=shown.observer,
                log=io.StringIO(),
                container_arguments=container_steps.arguments(
                    arguments.prefix, before, engine_=engine, gpu=arguments.device != "cpu"
                )
                if engine
                else None,
            )
        except KeyboardInterrupt:
            console.print(f"interrupted; {_settled(arguments.namespace, run_id)}", soft_wrap=True)
            return entrypoint.INTERRUPTED
        except BaseException:
            _settled(arguments.namespace, run_id)
            raise
    if failure is not None:
        _settled(arguments.namespace, run_id)  # as the exit task did, if it could
        reason = failure.line.removeprefix("error: ") or f"ended with exit status {failure.exit_status}"
        console.print(f"error: {failure.step}: {reason}", markup=False, highlight=False, soft_wrap=True)
        return failure.exit_status if failure.exit_status > 0 else 1
    with connect.connect() as plane:
        after = plane.list_blocks(arguments.namespace)
    _show(console, arguments.prefix, run_id, before, after)
    return 0


def _require_gpu() -> None:
    """Find out before anything is claimed that a GPU was asked for and there is none."""
    from privatekube.training import loop  # noqa: PLC0415 - torch takes seconds to import, and only this needs it

    loop.resolve("cuda")


def _show(
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
    """Have `latest` point at this run's results, in one step."""
    scratch = folder / f".{LATEST}.{os.getpid()}"
    scratch.unlink(missing_ok=True)
    scratch.symlink_to(run_id)
    scratch.replace(folder / LATEST)


def _settled(namespace: str, run_id: str) -> str:
    """Do what the exit task does, and say what it came to; a second Ctrl-C does not cut it short."""
    handler = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with connect.connect() as plane:
            outcome = plane.settle(f"{namespace}/{connect.claim_name(run_id)}")
    finally:
        signal.signal(signal.SIGINT, handler)
    return f"claim {connect.claim_name(run_id)}: {outcome}"


@contextlib.contextmanager
def _terminated_as_interrupted() -> Iterator[None]:
    """A polite request to end (SIGTERM) ends the run as Ctrl-C does."""
    previous = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, previous)


@contextlib.contextmanager
def _work_folder() -> Iterator[Path]:
    """A private folder for what the steps hand on; removed at the end, and so are those of runs that were killed."""
    WORK.mkdir(parents=True, exist_ok=True)
    for left in WORK.iterdir():
        owner = left.name.partition("-")[0]
        if owner.isdigit() and not _is_alive(int(owner)):
            shutil.rmtree(left, ignore_errors=True)
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
