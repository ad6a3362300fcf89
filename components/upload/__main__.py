"""Publish the results of a run that has paid, with a privacy card that the control plane has signed."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated

import pydantic

from privatekube import errors, validation
from privatekube.client import connect
from privatekube.resources import summary
from privatekube.resources.statement import SignedStatement
from privatekube.steps import (
    arguments,
    card_markdown,
    card_verification,
    documents,
    interface,
    privacy_card,
    public_log,
    sealing,
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
    files, folder = _named(released, names), uris.join(prefix, paid.run_id)
    _require_paid(granted, paid, grant=grant, released=files.values())
    with tempfile.TemporaryDirectory() as scratch:
        opened = _opened(granted, files, Path(scratch) / "opened")
        results = {**opened, card_verification.RECEIPT: receipt}
        facts = privacy_card.of_run(granted, paid, results, images)
        card = privacy_card.sign(facts, _signed_statement(facts))
        document, page = Path(scratch) / "card.json", Path(scratch) / "card.md"
        local_files.write(document, card.encode())
        local_files.write(page, card_markdown.render(card).encode())
        others = {privacy_card.FILE: document, card_verification.PAGE: page}
        transfers.publish_folder({**results, **others}, folder, last=card_verification.RECEIPT)
    local_files.write(location, folder.encode(), overwrite=True)
    public_log.say("published", location=folder)


def _opened(granted: documents.Grant, files: Mapping[str, Path], folder: Path) -> dict[str, Path]:
    """Return released files in clear: opened into `folder`, with the key that the control plane gives for the payment.

    Raises:
        BudgetUnavailable: the claim has not paid.
        InvalidInput: a file is damaged, or is not of this run.
        NotFound: the claim was deleted, and its key with it.
    """
    if granted.sealing_key is None:
        return dict(files)
    with connect.connect() as client:
        key = client.opening_key(granted.claim)
    if key is None or key.public != granted.sealing_key:
        raise errors.InvalidInput(
            f"claim {granted.claim}: has not the key that the grant states, so nothing can be opened; was the claim "
            "created again?"
        )
    for name, path in files.items():
        origin = sealing.Origin(granted.claim, granted.run_id, sealing.read_header(path).step)
        sealing.open_sealed(path, folder / name, key=key, origin=origin)
    return {name: folder / name for name in files}


def _signed_statement(facts: privacy_card.RunFacts) -> SignedStatement | None:
    """Have the control plane sign the card; None if it cannot: what was paid for is published anyway."""
    with connect.connect() as client:
        try:
            return client.sign_card(facts.claim, facts.digest())
        except errors.NotFound:
            return None
        except errors.TooLarge:
            n_blocks = len(client.get_claim(facts.claim).status.committed)
            public_log.say("unsigned", blocks=summary.number_of_blocks(n_blocks))
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


def _require_paid(granted: documents.Grant, paid: documents.Receipt, *, grant: Path, released: Iterable[Path]) -> None:
    """Check that the Receipt paid for exactly these files; of a sealed one, for what it says that it holds.

    Raises:
        BudgetExceeded: it paid for something else.
    """
    outputs = frozenset(digest for spend in paid.spends for digest in spend.outputs)
    digest_of = _digest if granted.sealing_key is None else sealing.released_digest
    stated = [(grant, _digest(grant), {paid.grant}), *((path, digest_of(path), outputs) for path in released)]
    for path, digest, digests in stated:
        if digest not in digests:
            raise errors.BudgetExceeded(f"file: {path} is not what the receipt paid for; pass the files of this run")


def _digest(path: Path) -> str:
    return documents.digest(path.read_bytes())


if __name__ == "__main__":
    arguments.run_component(upload)
