"""A table as a dataset of torch."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch.utils.data import TensorDataset

from privatekube.data.tables import features
from privatekube.data.tables.table import Table


def dataset(table: Table, *, texts: Mapping[str, int] | None = None) -> TensorDataset:
    """Return the records of a table as tensors: features, then texts, then the label if the table has one.

    Each item is a record. Where the privacy unit is a user or a user-day, an optimizer that clips each item bounds a
    record and not the unit: use a `max_contribution` of 1, or clip the records of a unit together.

    Args:
        table: the records.
        texts: how many tokens to read of each text, by column.

    Returns:
        Of N records: float32 [N, F] as `features.matrix`, int64 [N, length] as `features.padded` for each of `texts`,
        int64 [N] as `features.labels`.

    Raises:
        InvalidInput: no such text, or a length below 1.
    """
    tokens = [features.padded(table, column, length=length) for column, length in (texts or {}).items()]
    label = [] if table.layout.label is None else [features.labels(table)]
    return TensorDataset(*map(torch.from_numpy, (features.matrix(table), *tokens, *label)))
