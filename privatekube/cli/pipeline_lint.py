"""The command `privatekube lint`: check a compiled pipeline against the rules of docs/lint.md."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from privatekube.cli import console, output
from privatekube.lint import reading, roles, rules
from privatekube.resources import summary

FOUND = 1
"""Exit status if a rule is broken."""


def lint(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The compiled pipeline (YAML of Kubeflow Pipelines 2).")],
    output_format: Annotated[
        output.Format, typer.Option("--output", "-o", help="Output format.")
    ] = output.Format.TABLE,
) -> int:
    """Check a compiled pipeline: caching, retries, what leaves before it is paid for, exact metrics, image tags.

    docs/lint.md explains each rule. Exit status: 0 nothing found, 1 a rule is broken, 2 the file cannot be read.
    """
    pipeline = reading.read(file)
    findings = rules.check(pipeline)
    if output_format is output.Format.TABLE:
        for line in _lines(pipeline, findings):
            console.console().print(line, soft_wrap=True, highlight=False, markup=False)
    else:
        output.write(_document(pipeline, findings), output_format)
    return FOUND if findings else 0


def _lines(pipeline: roles.Roles, findings: Sequence[rules.Finding]) -> Iterator[str]:
    yield from map(str, findings)
    for role in roles.Role:
        names = [step.name for step in pipeline.steps(role)]
        yield f"{role.replace('-', ' ')}: {', '.join(names) or 'no step'}"
    number = summary.number_of(len(pipeline.graph.steps), "step", "steps")
    yield f"{number}, {summary.number_of(len(findings), 'finding', 'findings')}"


def _document(pipeline: roles.Roles, findings: Sequence[rules.Finding]) -> dict[str, Any]:
    return {
        "steps": [{"name": name, "roles": sorted(found)} for name, found in pipeline.of.items()],
        "findings": [
            {
                "rule": finding.rule,
                "step": finding.step,
                "fault": finding.fault,
                "remedy": finding.remedy,
                "page": finding.page,
            }
            for finding in findings
        ],
    }
