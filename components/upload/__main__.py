"""Publish the results of a run that has paid, with a privacy card that the control plane has signed."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated

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
from privatekube.storage import local_files, transfers, uris

OWN_FILES = (card_verification.RECEIPT, privacy_card.FILE, card_verification.PAGE)
"""What every run publishes besides what it released."""

FileName = Annotated[str, pydantic.Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=100)]
"""A file's name that means the same on every disk and in every bucket."""


def upload(
    *,
    grant: interface.Artifact,
    receipt: interface.Artifact,
    released: interface.Artifacts,
    names: pydantic.Json[list[FileName]],
    images: pydantic.Json[dict[str, str]],
    prefix: validation.Text,
    location: interface.OutputString,
) -> None:
    """Write what a run released to a folder of its own below `prefix`, with its Receipt and its privacy card.

    The Receipt is an input, so that publishing before paying cannot be wired, and only what it names is published,
    never over another run's files. The same files may be published again, and below another prefix as well.

    Args:
        grant: from allocate.
        receipt: from consume: proves that the run has paid.
        released: what the steps of the plan released; given once for each file.
        names: what each of these files is called where it is published, in the same order.
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
    files = _named(released, names)
    _require_paid(paid, grant=grant, released=files.values())
    folder = uris.join(prefix, paid.run_id)
    results = {**files, card_verification.RECEIPT: receipt}
    facts = privacy_card.of_run(granted, paid, results, images)
    card = privacy_card.sign(facts, _signed_statement(facts))
    with tempfile.TemporaryDirectory() as scratch:
        document, page = Path(scratch) / "card.json", Path(scratch) / "card.md"
        local_files.write(document, card.encode())
        local_files.write(page, card_markdown.render(card).encode())
        others = {privacy_card.FILE: document, card_verification.PAGE: page}
        transfers.publish_folder({**results, **others}, folder, last=card_verification.RECEIPT)
    local_files.write(location, folder.encode(), overwrite=True)
    public_log.say("published", location=folder)


def _signed_statement(facts: privacy_card.RunFacts) -> SignedStatement | None:
    """Have the control plane sign the card; None if the claim was deleted: what was paid for is published anyway."""
    with connect.connect() as client:
        try:
            return client.sign_card(facts.claim, facts.digest())
        except errors.NotFound:
            return None


def _named(released: Sequence[Path], names: Sequence[str]) -> dict[str, Path]:
    """Return the files by the names under which they are published.

    Raises:
        InvalidInput: a name is missing, given twice, or that of a file that the run publishes besides.
    """
    if len(names) != len(released):
        raise errors.invalid("names", len(names), f"must be {len(released)}", "name each released file")
    for name in names:
        if names.count(name) > 1 or name in OWN_FILES:
            raise errors.invalid("names", name, "is the name of another published file", "choose another name")
    return dict(zip(names, released, strict=True))


def _require_paid(paid: documents.Receipt, *, grant: Path, released: Iterable[Path]) -> None:
    """Check that the Receipt paid for exactly these files.

    Raises:
        BudgetExceeded: it paid for something else.
    """
    outputs = frozenset(digest for spend in paid.spends for digest in spend.outputs)
    for path, digests in [(grant, {paid.grant}), *((path, outputs) for path in released)]:
        if documents.digest(path.read_bytes()) not in digests:
            raise errors.BudgetExceeded(f"file: {path} is not what the receipt paid for; pass the files of this run")


if __name__ == "__main__":
    arguments.run_component(upload)
