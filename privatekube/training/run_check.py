"""The check of the shipped pipeline before a claim: what would let one of its steps fail, from public values alone.

`check: privatekube.training.run_check` in arguments.yaml names it. Nothing here loads torch.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from privatekube import errors
from privatekube.data import columns, metadata, word_vectors
from privatekube.privacy import planned_steps
from privatekube.resources import declared_data
from privatekube.runs.checked_run import CheckedRun
from privatekube.storage import local_files, uris
from privatekube.training import feasibility, public_vectors
from privatekube.training.settings import Settings

if TYPE_CHECKING:  # it imports the accountant, which takes a second; a run is checked without a demand first
    from privatekube.runs.demand import RunDemand

_COUNTING, _TRAINING = ("dp_preprocess", "dp_evaluate"), "dp_train"
"""The steps that count records, and the one that trains."""

_SEARCH = "select_from_many"

_COPIES = 3
"""How often the workspace holds the model: what the step writes, its output, and a file on the way."""


def check(run: CheckedRun) -> None:
    """Refuse a run that one of the steps would have to refuse, once the data is opened.

    Its plan must be of the steps that the pipeline has, with noise for all records of a unit where they count records;
    its model must fit the memory, the disk and the blocks' vocabulary; and its weights must stay finite: those of each
    model that a search may train.

    Raises:
        InvalidInput: names the setting, its value and the bound.
    """
    settings = Settings.of(run.arguments.settings)
    for candidate in {each.embedding_dim: each for each in settings.candidates}.values():
        if candidate.is_on_vectors:
            _require_vectors(candidate)
    for candidate in settings.candidates:
        if run.memory_bytes is not None:
            feasibility.require_memory(candidate, available_bytes=run.memory_bytes // candidate.workers)
    sizes = [declared_data.whole_number(block, metadata.VOCABULARY) for block in run.blocks]
    for size in filter(None, sizes):  # blocks that declare none are checked when they are fetched
        columns.require_vocabulary(settings.vocab_size, size)
    if run.demand is not None:
        noise = _noise(run.demand, settings)
        for candidate in settings.candidates:
            _require_finite(noise, candidate)
    if run.workspace is not None and uris.is_local(run.arguments.prefix):
        largest = max(settings.candidates, key=feasibility.checkpoint_bytes)
        _require_space(run.arguments.prefix, run.workspace, largest)


def _noise(demand: RunDemand, settings: Settings) -> Mapping[str, Any]:
    """Return the noise of a training.

    The plan must have the steps of this pipeline, each with the mechanism that its program runs.
    """
    if demand.plan is None:
        raise errors.InvalidInput("plan: demands a budget without steps; name the mechanism of each step")
    steps = {step.name: step for step in demand.plan.steps}
    if steps.keys() != {_TRAINING, *_COUNTING}:
        bound = f"are not those that this pipeline runs, {', '.join((_TRAINING, *_COUNTING))}"
        raise errors.invalid("plan: steps", ", ".join(steps), bound, "name these")
    for name in _COUNTING:
        planned_steps.require_record_counts(steps[name], max_contribution=demand.max_contribution)
    if settings.hyperparameters:
        training, _ = planned_steps.require_search(steps[_TRAINING], max_contribution=demand.max_contribution)
        return training.parameters
    if steps[_TRAINING].mechanism == _SEARCH:
        bound = f"has no values for the search that the plan says {_TRAINING} is"
        raise errors.invalid("hyperparameters", {}, bound, "list some, or set plan: pipelines/plan.yaml")
    planned_steps.require_dp_sgd(steps[_TRAINING])
    return steps[_TRAINING].parameters


def _require_vectors(settings: Settings) -> None:
    """Refuse vectors that training could not use; those in a bucket are read when they are fetched."""
    if not uris.is_local(settings.embeddings):
        uris.absolute(settings.embeddings)
        word_vectors.require_format(settings.embeddings)
        return
    if settings.embeddings != word_vectors.BUNDLED:
        _require_file(settings)
    elif settings.embeddings_digest != word_vectors.BUNDLED_DIGEST:
        bound = "is not that of the bundled vectors"
        raise errors.invalid("embeddings_digest", settings.embeddings_digest, bound, "set auto")
    elif _trains_here():
        word_vectors.require_digest(settings.embeddings, settings.embeddings_digest)
    word_vectors.require_dimension(settings.embedding_dim, word_vectors.dimension(settings.embeddings))


def _require_file(settings: Settings) -> None:
    """Refuse a file of vectors that training could not use, by reading it whole where training would."""
    word_vectors.require_digest(settings.embeddings, settings.embeddings_digest)
    if _trains_here():
        public_vectors.read(settings)


def _trains_here() -> bool:
    """Whether this is the environment of the step that trains, too, and not an image without it."""
    return importlib.util.find_spec("torch") is not None


def _require_finite(noise: Mapping[str, Any], settings: Settings) -> None:
    feasibility.require_finite(
        optimizer=settings.optimizer,
        learning_rate=settings.learning_rate,
        max_grad_norm=settings.max_grad_norm,
        noise_multiplier=noise["noise_multiplier"],
        steps=noise["steps"],
        width=max(settings.embedding_dim, settings.hidden_dim),
    )


def _require_space(prefix: str, workspace: Path, settings: Settings) -> None:
    """Refuse a run on this machine whose model does not fit the disks of its results and of its workspace."""
    published = feasibility.checkpoint_bytes(settings)
    local_files.require_space(Path(uris.absolute(prefix)), n_bytes=published)
    local_files.require_space(workspace, n_bytes=_COPIES * published)
