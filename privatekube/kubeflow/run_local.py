"""Run a pipeline on this machine, from checked arguments to published results; go on with a run that was cut off.

What was paid for is kept until it is published: the folder of a run (`run_folder`) is removed when its results are out,
or when nothing of it can be published any more.
"""

from __future__ import annotations

import contextlib
import io
import os
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from kfp import compiler
from kfp import components as kfp_components
from kfp.dsl.base_component import BaseComponent
from rich.console import Console

from privatekube import entrypoint, errors
from privatekube.client import connect
from privatekube.kubeflow import container_steps, kept_runs, kfp_local, progress, run_graph, summary
from privatekube.kubeflow.run_folder import RunFolder, RunRecord
from privatekube.kubeflow.step_components import StepComponents
from privatekube.kubeflow.subprocess_steps import Observer, StepFailure
from privatekube.page import report
from privatekube.privacy.budget import PrivacyBudget
from privatekube.resources import summary as block_summary
from privatekube.resources.block import PrivateDataBlock
from privatekube.runs import run_arguments
from privatekube.runs.run_arguments import RunArguments
from privatekube.storage import uris

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
    the exit task does: the budget returns if the data was not opened, else it is consumed. 4. Keep what was paid for
    and is not published yet. 5. Show the results.

    Raises:
        InvalidInput: the results cannot be written, the store cannot be opened or, `in_containers`, an image cannot be
            pulled; found before anything is claimed.
    """
    if arguments.device == "cuda":
        _require_gpu()
    arguments = arguments.model_copy(update={"prefix": _checked_prefix(arguments.prefix)})
    graph = run_graph.read(pipeline.pipeline_spec, components.step_of)
    run_id = f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{secrets.token_hex(3)}"
    record = RunRecord(
        run_id=run_id,
        claim=f"{arguments.namespace}/{connect.claim_name(run_id)}",
        store=kept_runs.store(),
        arguments=arguments.model_dump(mode="json"),
        project=components.project,
        folders=dict(components.folders),
        in_containers=in_containers,
        steps=graph.steps,
        paying=graph.paying,
        kept=graph.kept,
        last_readers=graph.last_readers,
    )
    session = _Session.of(record, arguments, console)
    with kept_runs.created(record) as folder:
        compiler.Compiler().compile(pipeline, str(folder.pipeline))
        return _follow(folder, session)


def resume(run_id: str, *, console: Console, output_dir: str | None = None) -> int:
    """Go on with a run from the first step that did not end, with its claim and its outputs; return the exit status.

    Args:
        run_id: id of the run.
        console: where to show its progress.
        output_dir: where to publish, in place of the prefix that the run was started with.

    Raises:
        NotFound: no such run is kept here.
        InvalidInput: it is running, or the results cannot be written.
        BudgetUnavailable: its claim was settled before the run had computed all, so it cannot go on.
    """
    location = kept_runs.published().get(run_id)
    if location is not None:
        console.print(f"run {run_id}: is published already in {location}", soft_wrap=True)
        return 0
    with kept_runs.opened(run_id) as folder:
        record = folder.record
        os.environ[connect.STORE] = record.store  # the steps connect to it too
        prefix = _checked_prefix(output_dir or record.arguments["prefix"])
        arguments = run_arguments.of_kept_run({**record.arguments, "prefix": prefix})
        if not folder.is_computed:
            with connect.connect() as client:
                client.postpone_settling(record.claim)
        return _follow(folder, _Session.of(record, arguments, console))


@dataclass(frozen=True, slots=True)
class _Session:
    """One process that works on a run.

    Args:
        arguments: the pipeline's parameters.
        components: the steps and their components.
        console: where to show progress.
        before: what was left of each block of the namespace before this run took any of it, by block id.
        container_options: how to run containers; None to run the steps in this Python.
    """

    arguments: RunArguments
    components: StepComponents
    console: Console
    before: Mapping[str, PrivacyBudget]
    container_options: Mapping[str, Any] | None

    @classmethod
    def of(cls, record: RunRecord, arguments: RunArguments, console: Console) -> _Session:
        """Check the engine and the images, if they are needed, and list the blocks."""
        components = StepComponents(record.project, record.folders)
        engine = container_steps.prepare(components.require_images(pushed=False)) if record.in_containers else None
        blocks, options = _list_blocks(arguments.namespace), None
        if engine is not None:
            gpu = arguments.device != "cpu"
            options = container_steps.arguments(arguments.prefix, blocks, container_engine=engine, gpu=gpu)
        return cls(arguments, components, console, _left_without(record.claim, blocks), options)

    def say(self, line: str) -> None:
        """Print a line as it is."""
        self.console.print(line, markup=False, highlight=False, soft_wrap=True)


def _follow(folder: RunFolder, session: _Session) -> int:
    """Run the steps that have not ended, settle the claim unless all do, and return the exit status."""
    try:
        failure = _run_steps(folder, session)
    except BaseException as error:
        outcome = _settle_and_keep(folder, session, failure=None)
        if not isinstance(error, KeyboardInterrupt):
            raise
        session.say(f"interrupted; {outcome}")
        return entrypoint.INTERRUPTED
    if failure is not None:
        status = _show_failure(session, failure)
        _settle_and_keep(folder, session, failure=failure)  # the exit task may have failed too
        return status
    kept_runs.record_published(folder, uris.join(session.arguments.prefix, folder.record.run_id))
    _show_results(session, folder.record.run_id)
    return 0


def _run_steps(folder: RunFolder, session: _Session) -> StepFailure | None:
    """Run the steps that have not ended yet and return the first failure."""
    components = session.components
    with progress.RunView(session.console, components.steps) as view:
        return kfp_local.run(
            kfp_components.load_component_from_file(str(folder.pipeline)),
            session.arguments.model_dump(mode="json"),
            run_id=folder.record.run_id,
            work=folder.work,
            workspace=folder.workspace,
            components=components,
            observer=_recording(folder, view.observer),
            log=io.StringIO(),
            ended=folder.ended_steps,
            container_arguments=session.container_options,
        )


def _recording(folder: RunFolder, observer: Observer) -> Observer:
    """Return an observer that also records in the folder which steps have ended."""

    def on_end(step: str, exit_status: int) -> None:
        if step in folder.record.steps:
            folder.record_end(step, exit_status)
        observer.on_end(step, exit_status)

    return replace(observer, on_end=on_end)


def _settle_and_keep(folder: RunFolder, session: _Session, *, failure: StepFailure | None) -> str:
    """Settle the claim as the exit task does, keep what can still be published, and return the outcome."""
    record = folder.record
    try:
        with connect.connect() as client:
            outcome = client.settle(record.claim)
    finally:
        if folder.is_computed and not _is_refused_payment(folder, failure):
            folder.remove_unkept()
            session.say(
                f"run {record.run_id}: its outputs are kept in {folder.path} until they are published: "
                f"privatekube publish {record.run_id}"
            )
        else:
            folder.remove()
    return f"claim {record.claim.rpartition('/')[2]}: {outcome}"


def _is_refused_payment(folder: RunFolder, failure: StepFailure | None) -> bool:
    """Whether the paying step found that the run must not be published; repeating it could not help."""
    refused = {error.exit_status for error in (errors.InvalidInput, errors.BudgetUnavailable, errors.BudgetExceeded)}
    return failure is not None and failure.step == folder.record.paying and failure.exit_status in refused


def _checked_prefix(prefix: str) -> str:
    """Return where to publish as an absolute URI.

    Raises:
        InvalidInput: it cannot be written, or what is called `latest` there is not a link.
    """
    absolute = uris.absolute(prefix)
    uris.require_writable(absolute)
    latest = Path(absolute) / LATEST
    if "://" not in absolute and latest.exists() and not latest.is_symlink():
        raise errors.invalid(
            "prefix", str(latest), "must be a link to the latest run", "move it, or choose another prefix"
        )
    return absolute


def _list_blocks(namespace: str) -> list[PrivateDataBlock]:
    with connect.connect() as client:
        return client.list_blocks(namespace)


def _left_without(claim_id: str, blocks: Iterable[PrivateDataBlock]) -> dict[str, PrivacyBudget]:
    """Return what would be left of each block without a claim: a run that goes on holds or has paid its budget."""
    left = {block.id: block_summary.left_amount(block) for block in blocks}
    with connect.connect() as client, contextlib.suppress(errors.NotFound):
        status = client.get_claim(claim_id).status
        for block_id, amount in [*status.acquired.items(), *status.committed.items()]:
            if block_id in left:
                left[block_id] += amount
    return left


def _require_gpu() -> None:
    """Raise InvalidInput if this machine has no GPU."""
    from privatekube.training import devices  # noqa: PLC0415 - torch takes seconds to import, and only this needs it

    devices.resolve("cuda")


def _show_failure(session: _Session, failure: StepFailure) -> int:
    """Print why the run failed and return its exit status."""
    reason = failure.line.removeprefix("error: ") or f"ended with exit status {failure.exit_status}"
    session.say(f"error: {failure.step}: {reason}")
    return failure.exit_status if failure.exit_status > 0 else 1


def _show_results(session: _Session, run_id: str) -> None:
    prefix = session.arguments.prefix
    if "://" in prefix:
        session.console.print(f"results: {uris.join(prefix, run_id)}")
        return
    shown, folder = Path(prefix) / LATEST, Path(prefix) / run_id
    try:
        _point_latest(Path(prefix), run_id)
    except OSError as error:  # the results are out: a link that cannot be made is not a failure of the run
        session.say(f"warning: {shown} does not lead to this run: {(error.strerror or '').lower()}")
        shown = folder
    blocks = _list_blocks(session.arguments.namespace)
    after = {block.id: block_summary.left_amount(block) for block in blocks}
    summary.show(session.console, folder, session.before, after)
    try:
        session.say(f"report: {shown / report.write(folder, blocks).name}")
    except errors.PrivateKubeError as error:  # nor is a report
        session.say(f"warning: no report was written: {error}")


def _point_latest(folder: Path, run_id: str) -> None:
    """Point the link `latest` at the results of this run, in one step."""
    scratch = folder / f".{LATEST}.{secrets.token_hex(6)}"
    scratch.symlink_to(run_id)
    try:
        scratch.replace(folder / LATEST)
    finally:
        scratch.unlink(missing_ok=True)
