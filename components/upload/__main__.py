"""Publish the results of a run that has paid, with a privacy card that the control plane has signed."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path

import pydantic

from privatekube import errors, validation
from privatekube.client import connect
from privatekube.resources.statement import SignedStatement
from privatekube.steps import (
    arguments,
    card_markdown,
    card_verification,
    documents,
    interface,
    privacy_card,
    public_log,
)
from privatekube.storage import local_files, uris


def upload(
    *,
    grant: interface.Artifact,
    receipt: interface.Artifact,
    statistics: interface.Artifact,
    checkpoint: interface.Model,
    metrics: interface.Artifact,
    images: pydantic.Json[dict[str, str]],
    prefix: validation.Text,
    location: interface.OutputString,
) -> None:
    """Write the six published files to a folder of the run below `prefix`, never over another run's.

    The Receipt is an input, so that publishing before paying cannot be wired, and only what it names is published. The
    same files may be published again, and below another prefix as well.

    Args:
        grant: from allocate.
        receipt: from consume: proves that the run has paid.
        statistics: from dp_preprocess.
        checkpoint: from dp_train.
        metrics: from dp_evaluate.
        images: image of each step, for the privacy card; empty if none was used.
        prefix: directory, gs:// or s3:// prefix; each run gets its own folder there.
        location: URI of the run's folder.
    """
    granted = documents.read(documents.Grant, grant)
    paid = documents.read(documents.Receipt, receipt)
    if (paid.run_id, paid.claim) != (granted.run_id, granted.claim):
        raise errors.InvalidInput(
            f"receipt: is for run {paid.run_id}, the grant for {granted.run_id}; pass the receipt of this run"
        )
    _require_paid(
        paid, grant=grant, released={"dp_preprocess": statistics, "dp_train": checkpoint, "dp_evaluate": metrics}
    )
    folder = uris.join(prefix, paid.run_id)
    results = {"statistics.json": statistics, "model.pt": checkpoint, "metrics.json": metrics, "receipt.json": receipt}
    facts = privacy_card.of_run(granted, paid, results, images)
    card = privacy_card.sign(facts, _signed_statement(facts))
    with tempfile.TemporaryDirectory() as scratch:
        document, page = Path(scratch) / "card.json", Path(scratch) / "card.md"
        local_files.write(document, card.encode())
        local_files.write(page, card_markdown.render(card).encode())
        last = results.pop("receipt.json")  # a folder with a receipt is complete
        files = {**results, privacy_card.FILE: document, card_verification.PAGE: page, "receipt.json": last}
        for name, path in files.items():
            uris.publish(path, uris.join(folder, name))
    local_files.write(location, folder.encode(), overwrite=True)
    public_log.say("published", location=folder)


def _signed_statement(facts: privacy_card.RunFacts) -> SignedStatement | None:
    """Have the control plane sign the card; None if the claim was deleted: what was paid for is published anyway."""
    with connect.connect() as client:
        try:
            return client.sign_card(facts.claim, facts.digest())
        except errors.NotFound:
            return None


def _require_paid(paid: documents.Receipt, released: Mapping[str, Path], *, grant: Path) -> None:
    """Check that the Receipt paid for exactly these files.

    Raises:
        BudgetExceeded: it paid for something else.
    """
    outputs = {spend.step: spend.outputs for spend in paid.spends}
    expected = [(grant, (paid.grant,)), *((path, outputs.get(step, ())) for step, path in released.items())]
    for path, digests in expected:
        if (documents.digest(path.read_bytes()),) != digests:
            raise errors.BudgetExceeded(f"file: {path} is not what the receipt paid for; pass the files of this run")


if __name__ == "__main__":
    arguments.run_component(upload)
