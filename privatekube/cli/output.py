"""Print blocks, claims and forecasts: as tables for people, or as the JSON and YAML that kubectl prints."""

from __future__ import annotations

import enum
import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import yaml
from rich.table import Table

from privatekube.cli import console, plan_text, tables
from privatekube.forecast import text
from privatekube.resources import summary
from privatekube.resources.block import PrivateDataBlock
from privatekube.resources.claim import PrivacyBudgetClaim
from privatekube.resources.wire import blocks, claims, common

if TYPE_CHECKING:  # these import numpy, which `privatekube --help` does without
    from privatekube.forecast.forecast import Forecast
    from privatekube.kubeflow.cluster_run import ClusterRun
    from privatekube.kubeflow.kept_runs import KeptRun
    from privatekube.kubeflow.stuck_pods import StuckPod
    from privatekube.runs.demand import RunDemand
    from privatekube.simulation.replay import Replay
    from privatekube.simulation.scenario import Scenario

Resource = PrivateDataBlock | PrivacyBudgetClaim
R = TypeVar("R", PrivateDataBlock, PrivacyBudgetClaim)


class Format(enum.StrEnum):
    """How to print."""

    TABLE = "table"
    JSON = "json"
    YAML = "yaml"


def show(resource: Resource, output_format: Format) -> None:
    """Print one object in full."""
    if output_format is not Format.TABLE:
        write(to_wire(resource), output_format)
    elif isinstance(resource, PrivateDataBlock):
        _print(*tables.block_details(resource))
    else:
        _print(*tables.claim_details(resource))


def show_replay(scenario: Scenario, result: Replay, policy: Mapping[str, str], output_format: Format) -> None:
    """Print what the replay of a scenario granted."""
    if output_format is Format.TABLE:
        _print(*tables.replay_result(scenario, result, policy))
        return
    per_block = {
        str(block.id): {"used": common.budget_to_wire(used), "used_share": share, "unlocked_share": unlocked}
        for block, used, share, unlocked in zip(
            scenario.blocks, result.used, result.used_share, result.unlocked_share, strict=True
        )
    }
    granted = {"granted_count": len(result.granted), "granted": list(result.granted)}
    times = {"grant_time": list(result.grant_seconds), "wall_seconds": result.wall_seconds}
    write({"scenario": scenario.name, **policy, **granted, **times, "blocks": per_block}, output_format)


def show_forecast(forecast: Forecast, output_format: Format) -> None:
    """Print what would happen to a request, and how many such requests fit."""
    lines = [*text.lines(forecast), *text.fitting(forecast, "request")]
    _show_document(text.to_json(forecast), lines, output_format)


def show_plan(
    demand: RunDemand,
    settings: Mapping[str, Any],
    forecast: Forecast,
    blocks: Sequence[PrivateDataBlock],
    output_format: Format,
) -> None:
    """Print what a run would do and cost, what would happen to its request, what is left, and how many such runs fit.

    Args:
        demand: of the run.
        settings: of its pipeline, also those that its arguments leave to the pipeline.
        forecast: for its request.
        blocks: the blocks of the forecast.
        output_format: how to print.
    """
    lines = [
        *text.lines(forecast),
        *plan_text.lines(demand, settings, blocks),
        *text.fitting(forecast, "run"),
    ]
    _show_document(text.to_json(forecast) | plan_text.to_json(demand, settings, blocks), lines, output_format)


def show_explanation(
    claim: PrivacyBudgetClaim, forecast: Forecast | None, pods: Sequence[StuckPod], output_format: Format
) -> None:
    """Print why a claim waits or was refused, and which pods of its run do not start."""
    state = summary.state(claim)
    document = {} if forecast is None else text.to_json(forecast)
    if pods:
        document["pendingPods"] = [common.present({"name": pod.name, "reason": pod.reason}) for pod in pods]
    lines = [*text.explanation(claim, state, forecast), *map(str, pods)]
    _show_document({"claim": claim.id, "state": str(state), **document}, lines, output_format)


def show_runs(runs: Sequence[KeptRun], in_cluster: Sequence[ClusterRun], output_format: Format) -> None:
    """Print the local runs that are not published, and the runs of the cluster."""
    rows = [*map(tables.run_fields, runs), *map(tables.cluster_run_fields, in_cluster)]
    if output_format is Format.TABLE:
        _print(tables.run_list(rows))
        return
    write({"runs": rows}, output_format)


def write(document: Mapping[str, Any], output_format: Format) -> None:
    """Print a document as JSON or YAML."""
    if output_format is Format.JSON:
        sys.stdout.write(json.dumps(document, indent=2) + "\n")
    else:
        yaml.safe_dump(dict(document), sys.stdout, sort_keys=False, allow_unicode=True)


def to_wire(resource: Resource) -> dict[str, Any]:
    """Return an object as PrivateKube's JSON."""
    return blocks.to_wire(resource) if isinstance(resource, PrivateDataBlock) else claims.to_wire(resource)


def _show_document(document: Mapping[str, Any], lines: Iterable[str], output_format: Format) -> None:
    if output_format is not Format.TABLE:
        write(document, output_format)
        return
    for line in lines:
        console.console().print(line, soft_wrap=True, highlight=False, markup=False)


def show_table(table: Table) -> None:
    """Print a table."""
    _print(table)


def _print(*printed: Table) -> None:
    for table in printed:
        console.console().print(table)
