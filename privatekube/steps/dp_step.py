"""The frame of a DP step: release once, write the outputs, then state in the Spend what the release cost.

A component of your own gives its mechanism as a function of the Grant:

    def my_component(*, grant: Path, checkpoint: Path, metrics: Path, spend: Path) -> None:
        def release(granted: documents.Grant) -> dp_step.Release:
            noisy = mechanisms.noisy_histogram(...)
            return dp_step.Release(noisy.event, (documents.Metrics(...),))

        dp_step.run("dp_evaluate", release, grant=grant, noisy_inputs=(checkpoint,), outputs=(metrics,), spend=spend)
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from privatekube import errors
from privatekube.privacy import events
from privatekube.steps import documents, public_log
from privatekube.storage import local_files


@dataclass(frozen=True)
class Release:
    """What a step releases.

    Args:
        event: the DpEvent that the mechanism returned together with its noisy value.
        contents: what to write to each output, in the order of `outputs`.
    """

    event: events.DpEvent
    contents: tuple[documents.Document | bytes, ...]


def run(
    name: documents.StepName,
    release: Callable[[documents.Grant], Release],
    *,
    grant: Path,
    noisy_inputs: Sequence[Path] = (),
    outputs: Sequence[Path],
    spend: Path,
) -> None:
    """Run a DP step, unless its Spend shows that it finished before.

    Args:
        name: the step, or the one that this component replaces; it says which units the step runs on.
        release: draws the noise that the Grant planned. It is called at most once.
        grant: path of the Grant.
        noisy_inputs: released values of earlier steps that this one reads. Never private data: their digest is
            published.
        outputs: where to write what is released, each file whole or not at all.
        spend: where to write the Spend, after all outputs: a step that was interrupted before has not finished.

    Raises:
        BudgetExceeded: the step released before, from other inputs.
        InvalidInput: the Grant does not fit, an output cannot be written, or `release` has another number of contents.
    """
    granted = documents.read(documents.Grant, grant)
    inputs = digest(grant, *noisy_inputs)
    if is_finished(spend, claim=granted.claim, inputs=inputs, outputs=outputs):
        public_log.say("kept")
        return
    released = release(granted)
    if len(released.contents) != len(outputs):
        raise errors.invalid("contents", len(released.contents), f"must be {len(outputs)}", "give one for each output")
    for path, content in zip(outputs, released.contents, strict=True):
        data = content if isinstance(content, bytes) else documents.encode(content)
        local_files.write(path, data, overwrite=True)
    event = events.to_json(released.event)
    used = documents.Spend(step=name, claim=granted.claim, part=documents.PARTS[name], event=event, inputs=inputs)
    documents.write(used, spend)


def is_finished(spend: Path, *, claim: str, inputs: str, outputs: Sequence[Path]) -> bool:
    """Whether the Spend shows that this step finished before, for this claim with these inputs.

    A repeated DP step must keep its first output: a second noisy release would not be paid for.

    Raises:
        BudgetExceeded: the step released before for this claim, from other inputs or with an output that is gone.
    """
    if not spend.is_file() or not spend.stat().st_size:
        return False
    earlier = documents.read(documents.Spend, spend)
    if earlier.claim != claim:
        return False
    if earlier.inputs != inputs or not all(output.exists() for output in outputs):
        raise errors.BudgetExceeded(
            f"spend {spend.name}: {earlier.step} has released already for claim {claim} from other inputs; "
            "a second release would not be paid for: start a new run"
        )
    return True


def digest(*paths: Path) -> str:
    """Return the digest of the content of files, in their order; for documents and noisy outputs, not private data."""
    digests = (hashlib.sha256(path.read_bytes()).digest() for path in paths)
    return f"sha256:{hashlib.sha256(b''.join(digests)).hexdigest()}"
