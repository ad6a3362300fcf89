"""The check of the shipped pipeline before a claim: what would let one of its steps fail, from public values alone.

`check: privatekube.training.run_check` in arguments.yaml names it. Nothing here loads torch.
"""

from __future__ import annotations

from pathlib import Path

from privatekube.data import columns, metadata
from privatekube.privacy.planned_mechanisms import DpSgd
from privatekube.resources import declared_data
from privatekube.runs.checked_run import CheckedRun
from privatekube.storage import local_files, uris
from privatekube.training import feasibility
from privatekube.training.settings import Settings

_COPIES = 3
"""How often the workspace holds the model: what the step writes, its output, and a file on the way."""


def check(run: CheckedRun) -> None:
    """Refuse a run whose model does not fit the memory, the disk or the blocks' vocabulary, or whose weights overflow.

    Raises:
        InvalidInput: names the setting, its value and the bound.
    """
    settings = Settings.of(run.arguments.settings)
    if run.memory_bytes is not None:
        feasibility.require_memory(settings, available_bytes=run.memory_bytes)
    sizes = [declared_data.whole_number(block, metadata.VOCABULARY) for block in run.blocks]
    for size in filter(None, sizes):  # blocks that declare none are checked when they are fetched
        columns.require_vocabulary(settings.vocab_size, size)
    _require_finite(run, settings)
    if run.workspace is not None and uris.is_local(run.arguments.prefix):
        _require_space(run.arguments.prefix, run.workspace, settings)


def _require_finite(run: CheckedRun, settings: Settings) -> None:
    plan = run.demand.plan if run.demand else None
    for step in plan.steps if plan else ():
        if step.mechanism == DpSgd.kind:
            feasibility.require_finite(
                learning_rate=settings.learning_rate,
                max_grad_norm=settings.max_grad_norm,
                noise_multiplier=step.parameters["noise_multiplier"],
                steps=step.parameters["steps"],
                width=max(settings.embedding_dim, settings.hidden_dim),
            )


def _require_space(prefix: str, workspace: Path, settings: Settings) -> None:
    """Refuse a run on this machine whose model does not fit the disks of its results and of its workspace."""
    published = feasibility.checkpoint_bytes(settings)
    local_files.require_space(Path(uris.absolute(prefix)), n_bytes=published)
    local_files.require_space(workspace, n_bytes=_COPIES * published)
