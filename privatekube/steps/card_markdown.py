"""The privacy card as a page in Markdown: plain sentences first, then the figures of the same document."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from privatekube import validation
from privatekube.resources.statement import ChargedBlock
from privatekube.resources.wire import common
from privatekube.steps.privacy_card import NOT_STATED, Guarantee, PrivacyCard, RunFacts, Search


def render(card: PrivacyCard) -> str:
    """Return the page."""
    run = card.run
    sections = (
        ("Privacy card", _introduction(card)),
        ("Guarantee", _guarantee(run.guarantee)),
        ("A person with several units", _groups(run.guarantee)),
        ("Mechanisms", _mechanisms(run)),
        ("Hyper-parameters", _hyperparameters(run)),
        ("Budget", _budget(card)),
        ("Files and software", _files(run)),
        ("Signature", _signature(card)),
    )
    lines = []
    for level, (title, content) in enumerate(sections):
        lines += [f"{'#' if level == 0 else '##'} {title}", "", *content, ""]
    return "\n".join(lines)


def _introduction(card: PrivacyCard) -> Iterator[str]:
    yield from card.run.summary
    yield ""
    yield from _table(
        {
            "organisation": card.run.organisation,
            "requested by": _requested_by(card),
            "team": card.run.team,
            "purpose": card.run.purpose,
            "date": _date(card),
            "run": card.run.run_id,
            "claim": card.run.claim,
        }.items()
    )


def _date(card: PrivacyCard) -> str:
    if card.statement is None:
        return NOT_STATED
    return f"{datetime.fromtimestamp(card.statement.time_ms / 1000, UTC):%Y-%m-%d}"


def _requested_by(card: PrivacyCard) -> str:
    return NOT_STATED if card.statement is None else card.statement.requested_by or NOT_STATED


def _guarantee(guarantee: Guarantee) -> Iterator[str]:
    yield from _table(
        {
            "privacy unit": f"{guarantee.unit}: {guarantee.unit_description}",
            "adjacency": guarantee.adjacency,
            "everything published here": f"epsilon {guarantee.epsilon:.6g} at delta {guarantee.delta:.3g}",
            "granted": f"epsilon {guarantee.granted_epsilon:.6g} at delta {guarantee.delta:.3g}",
            "accountant": guarantee.accountant,
        }.items()
    )


def _groups(guarantee: Guarantee) -> Iterator[str]:
    yield f"A unit is {guarantee.unit_description}. By group privacy, a person with several units in these blocks has:"
    yield ""
    rows = [
        (str(group.units), f"{group.epsilon:.6g}", "no promise" if group.delta is None else f"{group.delta:.3g}")
        for group in guarantee.groups
    ]
    yield from _table(rows, heads=("units", "epsilon", "delta"))


def _mechanisms(run: RunFacts) -> Iterator[str]:
    rows = [(step.step, step.releases, step.part, step.mechanism, step.sampling, step.noise) for step in run.mechanisms]
    yield from _table(rows, heads=("step", "releases", "units", "mechanism", "sampling", "noise"))
    yield ""
    yield (
        "Training computes in floating point. The noise covers rounding as it was measured. That the noise itself has "
        "finitely many values is a residual risk that the accountant does not count."
    )


def _hyperparameters(run: RunFacts) -> Iterator[str]:
    values = run.hyperparameters
    rows = [(name, _setting(value)) for name, value in values.settings.items()]
    yield from _table([("how they were chosen", values.chosen), *_search(values.search), *rows])


def _setting(value: validation.Scalar | validation.Grid) -> str:
    """Return a setting as text: of a grid, each name with its values."""
    if not isinstance(value, dict):
        return str(value)
    return "; ".join(f"{name} {', '.join(map(str, values))}" for name, values in value.items()) or "none"


def _search(search: Search | None) -> Iterator[tuple[str, str]]:
    """Yield what a search found, and what it cost."""
    if search is None:
        return
    found = ", ".join(f"{name} {value}" for name, value in search.found.items())
    yield f"found by the search of {search.step}", found or NOT_STATED
    yield "price of the search", f"epsilon {search.epsilon:.6g}; one trial alone {search.epsilon_of_one_trial:.6g}"


def _budget(card: PrivacyCard) -> Iterator[str]:
    if card.statement is None:
        yield "The claim was deleted before the control plane was asked, or has too many blocks for a statement."
        return
    rows = [_block_row(block) for block in card.statement.blocks]
    yield from _table(rows, heads=("block", "for its whole life", "committed by this run", "left", "ledger entry"))


def _block_row(block: ChargedBlock) -> tuple[str, ...]:
    entry = f"{block.ledger_sequence} `{block.ledger_digest}`"
    return block.block, _budget_text(block.lifetime), _budget_text(block.committed), _budget_text(block.left), entry


def _budget_text(wire: Mapping[str, Any] | None) -> str:
    amount = common.budget_from_wire(wire)
    if wire is None:
        return "the block was deleted"
    return "nothing" if amount is None else str(amount)


def _files(run: RunFacts) -> Iterator[str]:
    software = run.software
    rows = [(name, f"`{digest}`") for name, digest in run.files.items()]
    rows += [("commit", software.commit or NOT_STATED)]
    rows += [(f"image of {step}", image) for step, image in software.images.items()] or [("images", NOT_STATED)]
    rows += [("made with", ", ".join(f"{name} {version}" for name, version in software.versions.items()))]
    yield from _table(rows)


def _signature(card: PrivacyCard) -> Iterator[str]:
    if card.signature is None:
        yield "Not signed: the claim was deleted before the control plane was asked."
        return
    yield (
        "The control plane has signed the table of budgets together with the digest of this card's JSON. "
        "`privatekube verify-card privacy-card.json` checks it, and that this page says what the JSON says."
    )
    yield ""
    yield from _table({"public key": f"`{card.signature.key}`", "signature": f"`{card.signature.value}`"}.items())


def _table(rows: Iterable[Iterable[str]], heads: Iterable[str] = ("", "")) -> Iterator[str]:
    yield _row(heads)
    yield "|" + "---|" * len(tuple(heads))
    for row in rows:
        yield _row(_escaped(cell) for cell in row)


def _row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _escaped(cell: str) -> str:
    """Return the text of a cell, in which nobody can start another row, column or link."""
    text = " ".join(cell.split())
    return text.replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;").replace("[", "\\[")
