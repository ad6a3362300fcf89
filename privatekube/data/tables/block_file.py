"""The block file of a table: its columns in a sealed file, see `sealed_file`.

The HDF5 datasets are `user` and `time` (int64 [N]), `values/<column>` ([N], float64, int64, or int32 indices into the
keys), `text/<column>/ids` (int32 [sum of lengths]) and `text/<column>/offsets` (int64 [N + 1]). The attributes are
those of `metadata.Cut`, and `layout`: the columns with their public ranges, keys and vocabularies, as JSON.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pydantic

from privatekube import errors
from privatekube.data import partition, sealed_file
from privatekube.data.metadata import Cut
from privatekube.data.tables.layout import FORMAT, Category, Layout
from privatekube.data.tables.table import Table, Tokens
from privatekube.privacy.unit import PrivacyUnit

_LAYOUT = "layout"
_OF_ONE_KIND = ("dataset", "partition_key_id", "unit", "max_contribution")
"""What blocks that are merged have in common, besides their layout."""


@dataclass(frozen=True, eq=False)
class TableBlock:
    """The content of a block file of a table.

    Args:
        table: its records.
        cut: which part of the dataset it is.
        digest: the commitment to the content, see `sealed_file`.
    """

    table: Table
    cut: Cut
    digest: str

    @property
    def records(self) -> Table:
        """Its records, whatever kind of block it is."""
        return self.table

    @property
    def content(self) -> sealed_file.Content:
        """What its file holds."""
        return content(self.table, self.cut)


def content(table: Table, cut: Cut) -> sealed_file.Content:
    """Return what the file of a part of a table holds, after checking it.

    Raises:
        InvalidInput: a record outside the declared days, or a value outside its range or keys.
    """
    _require_consistent(table, cut)
    columns: dict[str, npt.NDArray[Any]] = {"user": table.user.astype("<i8"), "time": table.time.astype("<i8")}
    columns |= {f"values/{name}": table.values[name] for name in table.layout.kinds}
    for name in table.layout.texts:
        columns[f"text/{name}/ids"] = table.texts[name].ids.astype("<i4", copy=False)
        columns[f"text/{name}/offsets"] = table.texts[name].offsets.astype("<i8", copy=False)
    public = {**asdict(cut), "unit": cut.unit.value, _LAYOUT: table.layout.model_dump(mode="json")}
    return sealed_file.Content(FORMAT, public, columns)


def decode(data: bytes, *, name: str, digest: str | None = None) -> TableBlock:
    """Read a block file of a table from its bytes, and check it.

    Args:
        data: the file.
        name: what to call the file in messages.
        digest: what the block's resource states about the content.

    Raises:
        CorruptData: truncated, in another format, or of another content than the digest says.
    """
    with sealed_file.opened(data, name=name) as file:
        if sealed_file.format_of(file) != FORMAT:
            raise errors.CorruptData(f"block: {name} is not a {FORMAT} file; read it as what it is")
        sealed = sealed_file.sealed(file)
        table, cut = table_of(sealed), cut_of(sealed)
        held = content(table, cut)
    block = TableBlock(table, cut, sealed.digest_of(held))
    sealed_file.require_digest(name, {block.digest, held.digest}, digest, sealed.digest)
    return block


def merge(blocks: Sequence[TableBlock]) -> TableBlock:
    """Return one block with the records of all `blocks`, in their order; the days span those of all.

    Raises:
        InvalidInput: no blocks, or blocks that differ in dataset, layout, unit or bound, or in their days where the
            unit is a user over all days.
    """
    require_one_kind(blocks)
    first = blocks[0].cut
    buckets = {(block.cut.bucket, block.cut.n_buckets) for block in blocks}
    bucket, n_buckets = buckets.pop() if len(buckets) == 1 else (0, 1)
    cut = replace(
        first,
        start_day=min(block.cut.start_day for block in blocks),
        end_day=max(block.cut.end_day for block in blocks),
        bucket=bucket,
        n_buckets=n_buckets,
    )
    table = Table.concatenate(blocks[0].table.layout, [block.table for block in blocks])
    return TableBlock(table, cut, content(table, cut).digest)


def require_one_kind(blocks: Sequence[TableBlock]) -> None:
    """Check that blocks can be merged, by what is declared of them.

    Raises:
        InvalidInput: see `merge`.
    """
    if not blocks:
        raise errors.InvalidInput("blocks: none to merge; give at least one")
    first = blocks[0]
    for other in blocks:
        if other.table.layout != first.table.layout:
            raise errors.InvalidInput("blocks: their columns differ; merge blocks of one schema")
        for name in _OF_ONE_KIND:
            values = getattr(first.cut, name), getattr(other.cut, name)
            if values[0] != values[1]:
                raise errors.InvalidInput(f"blocks: {name} differs: {values[0]} and {values[1]}; merge one kind")
    partition.require_one_range(first.cut.unit, [(block.cut.start_day, block.cut.end_day) for block in blocks])


def require_bound(block: TableBlock) -> None:
    """Check that no privacy unit has more records in a block, which may be merged, than it declares.

    Raises:
        CorruptData: a unit has more; the message does not say which one.
    """
    partition.require_bound(block.table, unit=block.cut.unit, max_contribution=block.cut.max_contribution)


def _require_consistent(table: Table, cut: Cut) -> None:
    faults = {
        f"column {name} has a value outside what is declared": _outside(table, name) for name in table.layout.kinds
    }
    for name, words in table.layout.texts.items():
        ids = table.texts[name].ids
        ends = np.array([ids.min(initial=0), ids.max(initial=0)])
        faults[f"column {name} has a token outside the vocabulary"] = (ends < 0) | (ends >= words.ids)
    if table.layout.has_time:
        faults["a record lies outside the declared days"] = (table.day < cut.start_day) | (table.day > cut.end_day)
    for fault, rows in faults.items():
        if bool(rows.any()):
            raise errors.InvalidInput(f"table: {fault}; check what wrote it")


def _outside(table: Table, name: str) -> npt.NDArray[np.bool_]:
    kind, values = table.layout.kinds[name], table.values[name]
    low, high = (0, len(kind.keys) - 1) if isinstance(kind, Category) else kind.range
    return ~((values >= low) & (values <= high))  # which includes values that are not numbers


def cut_of(sealed: sealed_file.Sealed) -> Cut:
    """Return which part of a dataset a file says that it is."""
    values = {field.name: sealed.attributes[field.name] for field in fields(Cut)}
    unit = PrivacyUnit.parse(values.pop("unit"))
    plain = {name: value if isinstance(value, str) else int(value) for name, value in values.items()}
    return Cut(**plain, unit=unit)  # type: ignore[arg-type]  # checked there


def table_of(sealed: sealed_file.Sealed) -> Table:
    """Return the records of a file, whose values are not checked."""
    try:
        layout = Layout.model_validate(json.loads(sealed.attributes[_LAYOUT]))
    except pydantic.ValidationError as error:
        raise ValueError("has no layout") from error
    columns = sealed.columns
    texts = {name: Tokens(columns[f"text/{name}/ids"], columns[f"text/{name}/offsets"]) for name in layout.texts}
    values = {name: columns[f"values/{name}"] for name in layout.kinds}
    table = Table(layout, columns["user"], columns["time"], values, texts)
    for name, tokens in texts.items():
        if tokens.offsets[0] != 0 or tokens.offsets[-1] != len(tokens.ids) or bool((tokens.lengths < 0).any()):
            raise ValueError(f"offsets of {name} do not fit its tokens")
    return table
