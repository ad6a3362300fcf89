"""The frame of a DP step: release once, register the release with the claim, and only then let the outputs leave.

A component of your own gives its mechanism as a function of the Grant, and need not know about the registration:

    def my_component(*, grant: Path, workspace: Path, checkpoint: Path, metrics: Path, spend: Path) -> None:
        def release(granted: documents.Grant) -> dp_step.Release:
            noisy = mechanisms.noisy_histogram(...)
            return dp_step.Release(noisy.event, (documents.Metrics(...),))

        dp_step.run(
            "dp_evaluate",
            release,
            grant=grant,
            workspace=workspace,
            noisy_inputs=(checkpoint,),
            outputs=(metrics,),
            spend=spend,
        )
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from privatekube import errors
from privatekube.client import connect
from privatekube.privacy import events
from privatekube.steps import documents, paid_releases, public_log, sealing
from privatekube.steps.staged_release import StagedRelease
from privatekube.storage import local_files, private_files


@dataclass(frozen=True)
class Release:
    """What a step releases.

    Args:
        event: the DpEvent that the mechanism returned together with its noisy value.
        contents: what to write to each output, in the order of `outputs`.
        private: what to write to each private output: un-noised data for later steps, which stays in the workspace. A
            path is of a folder there, whose files are handed on without a copy.
    """

    event: events.DpEvent
    contents: tuple[documents.Document | bytes, ...]
    private: tuple[bytes | Path, ...] = ()


def run(
    name: str,
    release: Callable[[documents.Grant], Release],
    *,
    grant: Path,
    workspace: Path,
    noisy_inputs: Sequence[Path] = (),
    outputs: Sequence[Path],
    private_outputs: Sequence[Path] = (),
    spend: Path,
) -> None:
    """Run a DP step, unless its Spend shows that it finished before.

    1. Check that the claim can pay for the step. 2. Draw the noise, and keep the release in the workspace. 3. Register
    it with the claim. 4. Write the outputs, sealed to the key of the claim, then the Spend. A step that is run again,
    on whatever machine, goes on with the release that it kept.

    Args:
        name: the step of the Grant's plan, which says on which units it runs; any name where the Grant has no steps.
        release: draws the noise that the Grant planned. It is called at most once.
        grant: path of the Grant.
        workspace: where the run keeps what must not leave it yet.
        noisy_inputs: released values of earlier steps that this one reads. Never private data: their digests are
            published.
        outputs: where to write what is released, each file whole or not at all. It can be opened once the claim has
            paid; until then it is in clear in the workspace alone, where the later steps read it.
        private_outputs: where to write un-noised data for later steps; nothing about it is registered.
        spend: where to write the Spend, after all outputs: a step that was interrupted before has not finished.

    Raises:
        BudgetExceeded: the step has released something else under the claim, or an input was not released under it.
        BudgetUnavailable: the claim does not hold what it was granted.
        InvalidInput: the Grant does not fit, an output cannot be written, or `release` has another number of contents.
    """
    granted = documents.read(documents.Grant, grant)
    part = granted.plan.part(name)
    inputs = tuple(documents.digest(path.read_bytes()) for path in (grant, *noisy_inputs))
    if is_finished(spend, claim=granted.claim, inputs=inputs, outputs=(*outputs, *private_outputs)):
        public_log.say("kept")
        return
    staged = StagedRelease.of(name, workspace)
    used = _kept_spend(staged, step=name, claim=granted.claim, inputs=inputs)
    if used is None:
        _require_payable(granted, name, inputs)
        released = release(granted)
        contents = _contents(released, count=len(outputs))
        _write_private(released, private_outputs)
        used = documents.Spend(
            step=name,
            claim=granted.claim,
            part=part,
            event=events.to_json(released.event),
            inputs=inputs,
            outputs=tuple(map(documents.digest, contents)),
        )
        staged.write(contents, used)
    _require_kept(private_outputs, step=name)
    _register(staged, used)
    staged.hand_over(outputs, spend, write=_sealing(granted, name))


def is_finished(spend: Path, *, claim: str, inputs: tuple[str, ...], outputs: Sequence[Path]) -> bool:
    """Whether the Spend shows that this step finished before, for this claim with these inputs.

    A repeated DP step must keep its first output: a second noisy release would not be paid for.

    Args:
        spend: path of the Spend.
        claim: id of the claim.
        inputs: the digest of the Grant, then of the noisy inputs.
        outputs: what the step writes, the released files first.

    Raises:
        BudgetExceeded: the step released before for this claim, from other inputs or with an output that is gone.
    """
    if not spend.is_file() or not spend.stat().st_size:
        return False
    earlier = documents.read(documents.Spend, spend)
    if earlier.claim != claim:
        return False
    if earlier.inputs != inputs or not all(output.exists() for output in outputs) or not _is_kept(earlier, outputs):
        raise errors.BudgetExceeded(
            f"spend {spend.name}: {earlier.step} has released already for claim {claim}, from other inputs or another "
            "output; a second release would not be paid for: start a new run"
        )
    return True


def _is_kept(spend: documents.Spend, outputs: Sequence[Path]) -> bool:
    released = outputs[: len(spend.outputs)]
    return spend.outputs == tuple(map(sealing.released_digest, released))


def _kept_spend(staged: StagedRelease, *, step: str, claim: str, inputs: tuple[str, ...]) -> documents.Spend | None:
    """Return the Spend of a release that this step drew before and may not have handed over; None if there is none."""
    spend = staged.spend()
    return spend if spend and (spend.step, spend.claim, spend.inputs) == (step, claim, inputs) else None


def _require_kept(private_outputs: Sequence[Path], *, step: str) -> None:
    """Check that the data of an earlier release is there: data that is made again might not be what was released."""
    for path in private_outputs:
        if not path.exists():
            raise errors.BudgetExceeded(
                f"workspace: {step} has released already, and its private output {path.name} is gone; start a new run"
            )


def _sealing(granted: documents.Grant, step: str) -> Callable[[Path, Path], None]:
    """Return what writes a released file to an output: sealed to the key of the claim, if the claim has one."""
    if granted.sealing_key is None:
        return lambda source, target: local_files.write(target, source.read_bytes(), overwrite=True)
    origin = sealing.Origin(granted.claim, granted.run_id, step)
    return partial(sealing.seal, key=granted.sealing_key, origin=origin)


def _require_payable(granted: documents.Grant, step: str, inputs: tuple[str, ...]) -> None:
    with connect.connect() as client:
        claim = client.get_claim(granted.claim)
    paid_releases.require_first_release(claim, step)
    paid_releases.require_known_inputs(claim, inputs)
    paid_releases.require_key_of_claim(granted, claim)


def _contents(released: Release, *, count: int) -> list[bytes]:
    if len(released.contents) != count:
        raise errors.invalid("contents", len(released.contents), f"must be {count}", "give one for each output")
    return [item if isinstance(item, bytes) else documents.encode(item) for item in released.contents]


def _write_private(released: Release, outputs: Sequence[Path]) -> None:
    if len(released.private) != len(outputs):
        raise errors.invalid("private", len(released.private), f"must be {len(outputs)}", "give one for each output")
    for path, content in zip(outputs, released.private, strict=True):
        if isinstance(content, Path):
            private_files.link_folder(content, path)
        else:
            local_files.write(path, content, overwrite=True)


def _register(staged: StagedRelease, used: documents.Spend) -> None:
    """Register a release; one that is refused is removed, because it must not leave the step."""
    try:
        with connect.connect() as client:
            client.register_release(used.claim, paid_releases.registration(used))
    except (errors.BudgetExceeded, errors.BudgetUnavailable):
        staged.remove()
        raise
