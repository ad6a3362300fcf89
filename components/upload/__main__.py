"""Publish the results of a run that has paid."""

from __future__ import annotations

import tempfile
from pathlib import Path

from privatekube import errors, validation
from privatekube.steps import arguments, documents, privacy_card, public_log
from privatekube.storage import local_files, uris


def upload(
    *,
    grant: Path,
    receipt: Path,
    statistics: Path,
    checkpoint: Path,
    metrics: Path,
    prefix: validation.Text,
    location: Path,
) -> None:
    """Write the five published files to a folder of the run below `prefix`, never over another run's.

    The Receipt is an input, so that publishing before paying cannot be wired. Writes the folder's URI to `location`.
    """
    granted = documents.read(documents.Grant, grant)
    paid = documents.read(documents.Receipt, receipt)
    if (paid.run_id, paid.claim) != (granted.run_id, granted.claim):
        raise errors.InvalidInput(
            f"receipt: is for run {paid.run_id}, the grant for {granted.run_id}; pass the receipt of this run"
        )
    folder = uris.join(prefix, paid.run_id)
    with tempfile.TemporaryDirectory() as scratch:
        card = Path(scratch) / "privacy-card.md"
        local_files.write(card, privacy_card.render(granted, paid).encode())
        files = {
            "statistics.json": statistics,
            "model.pt": checkpoint,
            "metrics.json": metrics,
            "privacy-card.md": card,
            "receipt.json": receipt,  # last: a folder with a receipt is complete
        }
        for name, path in files.items():
            uris.publish(path, uris.join(folder, name))
    local_files.write(location, folder.encode(), overwrite=True)
    public_log.say("published", location=folder)


if __name__ == "__main__":
    arguments.run_component(upload)
