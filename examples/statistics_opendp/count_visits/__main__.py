"""Release the number of visits and of nights of each ward, with measurements of OpenDP."""

from __future__ import annotations

import functools
import json
from typing import Any

import numpy as np
import opendp.prelude as dp

from privatekube.data.tables.table import Table
from privatekube.integrations import opendp
from privatekube.privacy import events
from privatekube.steps import arguments, documents, dp_step, interface, opened_blocks

WARDS = ("surgery", "medicine", "children", "births")
MOST_NIGHTS = 30  # of a visit, by schema.yaml


def count_visits(
    *,
    grant: interface.Artifact,
    workspace: interface.Workspace,
    blocks: interface.Dataset,
    visits: interface.OutputArtifact,
    nights: interface.OutputArtifact,
    spend_visits: interface.OutputArtifact,
    spend_nights: interface.OutputArtifact,
) -> None:
    """Release two noisy sums of each ward, each as the step of the plan that has its name.

    One patient, added or removed, moves the visits by at most the contribution bound, and the nights by 30 times that.

    Args:
        grant: from allocate.
        workspace: where the run has its private data.
        blocks: from download.
        visits: noisy number of visits of each ward (JSON).
        nights: noisy number of nights of each ward (JSON).
        spend_visits: what the visits cost (JSON).
        spend_nights: what the nights cost (JSON).
    """

    def release(name: str, granted: documents.Grant) -> dp_step.Release:
        table = opened_blocks.read_table(blocks, granted).table
        weights, largest = (np.ones(len(table)), 1) if name == "visits" else (table.values["nights"], MOST_NIGHTS)
        sums, sensitivity = per_ward(table, weights), granted.max_contribution * largest
        return noisy(sums, sensitivity=sensitivity, step=granted.plan.step(name))

    for name, output, spend in (("visits", visits, spend_visits), ("nights", nights, spend_nights)):
        dp_step.run(
            name, functools.partial(release, name), grant=grant, workspace=workspace, outputs=(output,), spend=spend
        )


def per_ward(table: Table, weights: np.ndarray) -> list[int]:
    """Return the exact sum of weights of each ward."""
    sums = np.bincount(table.values["ward"], weights=weights, minlength=len(WARDS))
    return [int(value) for value in sums]


def noisy(sums: list[int], *, sensitivity: int, step: documents.GrantedStep) -> dp_step.Release:
    """Return the sums with the least Laplace noise that costs what was planned.

    Args:
        sums: the exact numbers.
        sensitivity: how far a patient moves them, summed over all of them (L1).
        step: of the plan: any mechanism of pure DP that costs as much.
    """
    dp.enable_features("contrib")
    space = dp.vector_domain(dp.atom_domain(T="i64")), dp.l1_distance(T="i64")

    def with_noise(scale: float) -> Any:
        return dp.m.make_laplace(*space, scale=scale)

    scale = dp.binary_search_param(with_noise, d_in=sensitivity, d_out=step.event["noise_parameter"])
    planned = events.from_json(step.event)
    released = opendp.released(with_noise(scale), sums, d_in=sensitivity, planned=planned)
    content = json.dumps(dict(zip(WARDS, released.value, strict=True)), indent=1)
    return dp_step.Release(released.event, (content.encode(),))


if __name__ == "__main__":
    arguments.run_component(count_visits, reads_data=True)
