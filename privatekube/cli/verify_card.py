"""The command `privatekube verify-card`: check a published privacy card, one line for each check."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from privatekube import errors
from privatekube.client import connect
from privatekube.resources import signature
from privatekube.resources.ledger import AnyEntry
from privatekube.steps import card_verification, privacy_card
from privatekube.steps.card_verification import Check
from privatekube.steps.privacy_card import PrivacyCard
from privatekube.storage import uris


def verify(file: Path, *, page: Path, released: Path | None, public_key: Path | None) -> Iterator[Check]:
    """Yield the outcome of each check; a file that is not a card as it was published is the only one.

    Args:
        file: the card.
        page: the page that was published beside it.
        released: a published file that is elsewhere; None for all files beside the card.
        public_key: file with the public key of the store; None for that of the store that is connected to.

    Raises:
        InvalidInput: a file cannot be read, or that of the key is malformed.
        NotFound: the card does not exist.
    """
    given_key = None if public_key is None else _read_key(public_key)
    content = uris.read_bytes(str(file))
    try:
        card = privacy_card.decode(content)
    except errors.InvalidInput as error:
        yield Check("card", str(error), is_passed=False)
        return
    try:
        stored_key, entries = _read_store()
    except errors.PrivateKubeError as error:
        stored_key, ledger = None, Check("ledger", f"not checked: {error}")
    else:
        ledger = card_verification.check_ledger(card, entries)
    yield card_verification.check_signature(card, given_key or stored_key)
    yield card_verification.check_page(card, page)
    yield (
        card_verification.check_files(card, file.parent)
        if released is None
        else card_verification.check_file(card, released)
    )
    yield card_verification.check_releases(card)
    yield _check_epsilon(card)
    yield ledger


def _check_epsilon(card: PrivacyCard) -> Check:
    """Check the card's epsilon where the packages for it are installed."""
    try:
        with errors.naming_extra("accounting"):
            from privatekube.steps import card_accounting  # noqa: PLC0415 - needs the extra `accounting`
    except errors.MissingExtra as missing:
        return Check("epsilon", f"not checked: {missing}")
    return card_accounting.check_epsilon(card)


def _read_store() -> tuple[str | None, Sequence[AnyEntry]]:
    """Return the public key and the ledger of the store.

    Raises:
        PrivateKubeError: there is no store, or it cannot be reached.
    """
    connect.require_existing_store()
    with connect.connect() as client:
        return client.card_public_key(), client.ledger()


def _read_key(path: Path) -> str:
    try:
        return signature.require_key(path.read_text(encoding="utf-8").strip())
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "is not text"
        raise errors.invalid("--public-key", str(path), f"cannot be read ({reason})", "name another file") from error
