"""Count the records of a table by some columns: claim budget, open the data, draw noise, pay, and only then publish."""

from __future__ import annotations

import json
from pathlib import Path

import privatekube
from privatekube import errors, validation
from privatekube.data.tables.layout import Category
from privatekube.data.tables.table import Table
from privatekube.steps import arguments, documents, interface, public_log
from privatekube.storage import local_files, uris

PLAN = Path(__file__).with_name("plan.yaml")


def count_columns(
    *,
    dataset: validation.Name,
    namespace: validation.Name,
    epsilon: validation.Epsilon,
    delta: validation.Delta,
    prefix: validation.Text,
    counts: interface.OutputArtifact,
    receipt: interface.OutputArtifact,
) -> None:
    """Publish how many records have each key of the columns that the plan names.

    One privacy unit of the blocks added or removed moves each histogram by at most its contribution bound.

    Args:
        dataset: dataset of the blocks.
        namespace: namespace of the blocks.
        epsilon: epsilon that the run may cost.
        delta: delta that the run may cost.
        prefix: folder, gs:// or s3:// prefix; each run gets a folder of its own there.
        counts: noisy counts (JSON).
        receipt: what was paid, and for which releases (JSON).
    """
    uris.require_writable(prefix)
    with (
        privatekube.connect() as client,
        client.claim(dataset, namespace=namespace, epsilon=epsilon, delta=delta, plan=PLAN) as run,
    ):
        table = run.open().records  # from here on the budget cannot come back
        if not isinstance(table, Table):
            raise errors.invalid(
                "dataset", dataset, "is not of a table that a schema declares", "correct arguments.yaml"
            )
        columns = [step.name for step in run.plan.steps] if run.plan else []
        noisy = {
            column: run.count(column, labels(table, column), keys=public_keys(table, column)) for column in columns
        }
        paid = run.consume()  # from here on the counts may leave
    folder = uris.join(prefix, paid.run_id)
    for path, content in ((counts, json.dumps(noisy, indent=1).encode()), (receipt, documents.encode(paid))):
        local_files.write(path, content, overwrite=True)
        uris.publish(path, uris.join(folder, f"{path.name}.json"))
    public_log.say("published", location=folder)


def public_keys(table: Table, column: str) -> tuple[str, ...]:
    """Return the keys of a column of categories, which the schema declares."""
    kind = table.layout.kinds.get(column)
    if not isinstance(kind, Category):
        raise errors.invalid("column", column, "is not a category of the schema", f"correct {PLAN.name}")
    return kind.keys


def labels(table: Table, column: str) -> list[str]:
    """Return the key that each record has in a column of categories."""
    keys = public_keys(table, column)
    return [keys[index] for index in table.values[column]]


if __name__ == "__main__":
    arguments.run_component(count_columns, reads_data=True)
