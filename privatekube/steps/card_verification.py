"""Check a published privacy card: who signed it, whether the files are those it names, and what the ledger says."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from privatekube import errors
from privatekube.privacy import arithmetic
from privatekube.resources import ledger
from privatekube.resources.ledger import AnyEntry, Entry
from privatekube.resources.statement import ChargedBlock
from privatekube.resources.wire import common
from privatekube.steps import card_markdown, privacy_card
from privatekube.steps.privacy_card import PrivacyCard
from privatekube.storage import local_files

PAGE, RECEIPT = "privacy-card.md", "receipt.json"


@dataclass(frozen=True, slots=True)
class Check:
    """The outcome of one check.

    Args:
        name: what was checked.
        result: what was found, in one line.
        is_passed: whether it is as the card says.
    """

    name: str
    result: str
    is_passed: bool = True


def check_signature(card: PrivacyCard, trusted_key: str | None) -> Check:
    """Check that the owner of the trusted key signed a statement about this card and its claim.

    Args:
        card: the card.
        trusted_key: the public key of the store that the run used; None if it is not known, which fails the check: a
            card that names its own key proves nothing.
    """
    statement, signature = card.statement, card.signature
    fault = None
    if statement is None or signature is None:
        fault = "the card is not signed; its claim was deleted before, or has too many blocks"
    elif not signature.is_of(statement.to_text()):
        fault = "it is not of this statement; the card was changed"
    elif (statement.card, statement.claim) != (card.run.digest(), card.run.claim):
        fault = "the statement is about another card; the card was changed"
    elif trusted_key is None:
        fault = f"nothing says whose key {signature.key} is; name the store with --store, or its key with --public-key"
    elif signature.key != trusted_key:
        fault = f"it is by {signature.key}, not by {trusted_key}"
    if fault is not None:
        return Check("signature", fault, is_passed=False)
    return Check("signature", f"valid, by {trusted_key}")


def check_page(card: PrivacyCard, page: Path) -> Check:
    """Check that a file is the page of the card, byte for byte."""
    try:
        content = page.read_bytes()
    except OSError as error:
        return Check("page", str(local_files.translation(error, page)), is_passed=False)
    try:
        expected = card_markdown.render(card).encode()
    except (errors.PrivateKubeError, ValueError, OverflowError, OSError):  # the date or a budget of a forged card
        return Check("page", "no page can be made of this card; the card was changed", is_passed=False)
    if content != expected:
        return Check("page", f"{page} does not say what the card says; read the card", is_passed=False)
    return Check("page", f"{page} says what the card says")


def check_files(card: PrivacyCard, folder: Path) -> Check:
    """Check that the folder has each file that the card names, as it was published."""
    names = list(card.run.files)
    for name in names:
        if Path(name).name != name:
            return Check("files", f"the card names {name!r}, which is not a file's name", is_passed=False)
        fault = _difference(folder / name, {card.run.files[name]})
        if fault is not None:
            return Check("files", fault, is_passed=False)
    return Check("files", f"{', '.join(names)}: as the card names them")


def check_file(card: PrivacyCard, path: Path) -> Check:
    """Check that a file, whatever it is called now, is one that the card names."""
    fault = _difference(path, set(card.run.files.values()))
    return Check("files", fault or f"{path} is one that the card names", is_passed=fault is None)


def _difference(path: Path, expected: set[str]) -> str | None:
    """Return how a file differs from what the card names; None if it does not."""
    try:
        digest = privacy_card.file_digest(path)
    except errors.PrivateKubeError as error:
        return str(error)
    return None if digest in expected else f"{path} has digest {digest}, the card names {', '.join(sorted(expected))}"


def check_releases(card: PrivacyCard) -> Check:
    """Check that each published file was registered as what a step released: a claim pays for these alone."""
    releases = () if card.statement is None else card.statement.releases
    registered = {digest for release in releases for digest in release.outputs}
    for name, digest in card.run.files.items():
        if name != RECEIPT and digest not in registered:
            fault = f"{name} is not what a step registered under claim {card.run.claim}"
            return Check("releases", fault, is_passed=False)
    return Check("releases", f"the files are those that were registered under claim {card.run.claim}")


def check_ledger(card: PrivacyCard, entries: Sequence[AnyEntry]) -> Check:
    """Check that a ledger is unchanged and has each charge that the card states.

    Args:
        card: the card.
        entries: the whole ledger.
    """
    statement = card.statement
    if statement is None:
        return Check("ledger", "the card states no charge", is_passed=False)
    try:
        chained = list(ledger.require_chain(entries))
    except errors.CorruptData as error:
        return Check("ledger", str(error), is_passed=False)
    for charged in statement.blocks:
        if not _is_entered(charged, statement.claim, chained):
            fault = f"has no entry {charged.ledger_sequence} of claim {statement.claim} on {charged.block} as stated"
            return Check("ledger", fault, is_passed=False)
    n_blocks = len(statement.blocks)
    return Check("ledger", f"has the entries of claim {statement.claim} on {n_blocks} block{'s' * (n_blocks != 1)}")


def _is_entered(charged: ChargedBlock, claim: str, entries: Sequence[AnyEntry]) -> bool:
    entry = next(iter(entries[charged.ledger_sequence - 1 : charged.ledger_sequence]), None)
    amount = common.budget_from_wire(charged.committed)
    return (
        isinstance(entry, Entry)
        and amount is not None
        and (entry.digest, entry.block, entry.claim) == (charged.ledger_digest, charged.block, claim)
        and arithmetic.is_close(entry.amount, amount)
    )
