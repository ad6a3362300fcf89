"""Files cut out of core for tests: into the declared blocks, or into one."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from privatekube.data import any_block, declare, partition, sealed_file
from privatekube.data.cutting import cut as cut_files
from privatekube.data.cutting.job import FileRecordKind, Job
from privatekube.data.cutting.limits import Limits
from privatekube.data.metadata import Cut
from privatekube.data.read_report import ReadReport
from privatekube.data.tables.schema import Schema
from privatekube.privacy.budget import EpsilonDelta
from privatekube.privacy.unit import PrivacyUnit

KEY = bytes(32)


@dataclass(frozen=True)
class Whole:
    """All records of some files, as one block has them.

    Args:
        all: the records, in the order of a block.
        cut: of the block.
        schema: of the table.
        kind: of the records.
        report, warnings: what was found.
    """

    all: Any
    cut: Cut
    schema: Schema
    kind: FileRecordKind[Any]
    report: ReadReport
    warnings: list[str]

    @property
    def content(self) -> sealed_file.Content:
        """What a block file of them holds."""
        return self.kind.content(self.all, self.cut)


def whole(
    locations: Sequence[str],
    schema: Schema,
    kind: FileRecordKind[Any],
    *,
    keep_copies: bool = False,
    show: Callable[[str, float], None] = lambda *_: None,
) -> Whole:
    """Cut files into one block of the declared days, and read it."""
    with tempfile.TemporaryDirectory() as folder:
        declaration = declaration_of(schema, folder, kind=partition.ALL_DAYS, n_buckets=1, keep_copies=keep_copies)
        declaration = replace(declaration, unit=PrivacyUnit.EVENT, max_contribution=1)
        job = Job(tuple(locations), schema, kind, (schema.days.slice,), declaration, KEY, Limits(workers=1))
        report = ReadReport()
        with cut_files.opened(job, report, show=show, home=Path(folder) / "scratch") as done:
            (block,) = done.slices[0].blocks
            read = any_block.read_block(block.spec.data_source.removeprefix("file://"))
    return Whole(read.records, read.cut, schema, kind, report, done.warnings)


def cut(
    locations: Sequence[str],
    schema: Schema,
    records: FileRecordKind[Any],
    folder: Path,
    *,
    limits: Limits | None = None,
    show: Callable[[str, float], None] = lambda *_: None,
    **declaration: Any,
) -> tuple[list[declare.DeclaredSlice], ReadReport]:
    """Cut files into the declared blocks, whose files go into a folder; return these and what was counted."""
    declared, report = declaration_of(schema, str(folder), **declaration), ReadReport()
    slices = tuple(partition.slices(declared.kind, schema.days.slice, n_buckets=declared.n_buckets))
    job = Job(tuple(locations), schema, records, slices, declared, KEY, limits or Limits(workers=1))
    with cut_files.opened(job, report, show=show, home=folder / "scratch") as done:
        return done.slices, report


def declaration_of(schema: Schema, folder: str, **changes: Any) -> declare.Declaration:
    """Return what the owner of a table states about all blocks."""
    stated: dict[str, Any] = {
        "dataset": schema.dataset,
        "namespace": "ns",
        "kind": schema.kind_of_slice,
        "n_buckets": schema.users,
        "unit": schema.unit,
        "max_contribution": schema.contribution_bound,
        "initial_budget": EpsilonDelta(10.0, 1e-7),
        "folder": folder,
    }
    return declare.Declaration(**stated | changes)
