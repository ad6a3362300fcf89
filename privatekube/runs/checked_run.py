"""What is known of a run before its claim, which the check of its pipeline is given."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from privatekube.resources.block import PrivateDataBlock
from privatekube.runs.run_arguments import RunArguments

if TYPE_CHECKING:  # it imports the accountant, which takes a second; a run is checked without a demand first
    from privatekube.runs.demand import RunDemand


@dataclass(frozen=True, slots=True)
class CheckedRun:
    """What is known of a run before its claim.

    Args:
        arguments: the run's, with the settings of its pipeline.
        memory_bytes: what the step that needs most memory has; None where this is unknown.
        workspace: folder of this machine that the steps write their outputs to; None where this is unknown.
        blocks: those that match now; none where the control plane was not asked yet.
        demand: the mechanisms with their noise, and their price; None likewise.
    """

    arguments: RunArguments
    memory_bytes: int | None = None
    workspace: Path | None = None
    blocks: tuple[PrivateDataBlock, ...] = ()
    demand: RunDemand | None = None
