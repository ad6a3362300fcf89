"""A table as a pandas DataFrame."""

from __future__ import annotations

from typing import TYPE_CHECKING

from privatekube import errors
from privatekube.data.tables.layout import Category
from privatekube.data.tables.table import Table

if TYPE_CHECKING:
    import pandas as pd


def frame(table: Table) -> pd.DataFrame:
    """Return the records as a DataFrame, one row each.

    The columns are those of the schema, and `user`, the keyed hash of the user's id. Categories and the label are
    categorical over all their public keys; texts are arrays of token ids; `time`, if there is one, is in UTC. A column
    of the schema that is called `user` or `time` takes the place of these.

    Raises:
        MissingExtra: pandas is not installed.
    """
    with errors.naming_extra():
        import pandas as pd  # noqa: PLC0415 - an extra of its own
    time = {"time": pd.to_datetime(table.time, unit="s", utc=True)} if table.layout.has_time else {}
    values = {
        name: pd.Categorical.from_codes(table.values[name], list(kind.keys))
        if isinstance(kind, Category)
        else table.values[name]
        for name, kind in table.layout.kinds.items()
    }
    texts = {
        name: [tokens.ids[start:end] for start, end in zip(tokens.offsets, tokens.offsets[1:], strict=False)]
        for name, tokens in table.texts.items()
    }
    return pd.DataFrame({"user": table.user, **time, **values, **texts})
