"""Publish what a run within one Python program released, with its Receipt and a privacy card that is signed."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Mapping
from pathlib import Path

from privatekube import errors
from privatekube.client.client import BudgetClient
from privatekube.interactive.approval import Approval
from privatekube.resources.statement import SignedStatement
from privatekube.steps import card_markdown, card_verification, documents, privacy_card
from privatekube.steps.privacy_card import PrivacyCard
from privatekube.storage import local_files, transfers

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_OWN = (card_verification.RECEIPT, card_verification.PAGE, privacy_card.FILE)


def publish(
    client: BudgetClient,
    approval: Approval,
    receipt: documents.Receipt,
    *,
    files: Mapping[str, bytes],
    folder: str,
    declared: documents.Declarations,
) -> PrivacyCard:
    """Write the files, the Receipt and the card to a folder, or to a prefix of a bucket; return the card.

    Args:
        client: of the store of the claim, which signs the card.
        approval: of the run.
        receipt: what it paid, and for which releases.
        files: content by name: of what was released, as it was registered.
        folder: path or URI.
        declared: what the card says about the run.

    Raises:
        InvalidInput: a name is not a file's name, or is that of a file which every run publishes.
        BudgetExceeded: the run did not pay for a file.
        AlreadyExists: the folder has other content under one of the names.
        NotFound: the claim was deleted.
    """
    paid = {digest for spend in receipt.spends for digest in spend.outputs}
    for name, content in files.items():
        if not _NAME.fullmatch(name) or name in _OWN:
            raise errors.invalid("files", name, "is not the name of a file of its own", "use letters and digits")
        if documents.digest(content) not in paid:
            raise errors.BudgetExceeded(f"files: {name} is not what a step of the run registered; publish that")
    with tempfile.TemporaryDirectory() as scratch:
        written = {name: Path(scratch) / name for name in (*files, *_OWN)}
        for name, content in {**files, card_verification.RECEIPT: documents.encode(receipt)}.items():
            local_files.write(written[name], content)
        results = {name: written[name] for name in (*files, card_verification.RECEIPT)}
        facts = privacy_card.of_run(_grant(approval, declared), receipt, results, {})
        card = privacy_card.sign(facts, _statement(client, facts))
        local_files.write(written[privacy_card.FILE], card.encode())
        local_files.write(written[card_verification.PAGE], card_markdown.render(card).encode())
        transfers.publish_folder(written, folder, last=card_verification.RECEIPT)
    return card


def _statement(client: BudgetClient, facts: privacy_card.RunFacts) -> SignedStatement | None:
    """Have the card signed; None if the claim has too many blocks, which the card then says."""
    try:
        return client.sign_card(facts.claim, facts.digest())
    except errors.TooLarge:
        return None


def _grant(approval: Approval, declared: documents.Declarations) -> documents.Grant:
    """Return the approval of a run as the card reads it."""
    fields = {name: getattr(approval, name) for name in type(approval).model_fields if name != "plan"}
    plan = approval.plan or documents.GrantedPlan(steps=())
    return documents.Grant(**fields, plan=plan, settings={}, declared=declared)
