"""The report of a run: one HTML file that opens anywhere, beside the results that it is about."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from privatekube import errors
from privatekube.page import rendering
from privatekube.page.views import run_views, wording
from privatekube.privacy import budget_text
from privatekube.resources import remaining, summary
from privatekube.resources.block import PrivateDataBlock
from privatekube.resources.remaining import Remaining
from privatekube.resources.wire import common
from privatekube.steps import documents
from privatekube.storage import local_files

FILE = "report.html"
MOST_BLOCKS = 1000
"""How many blocks the report lists."""
_STYLE = Path(__file__).parent / "static" / "page.css"


@dataclass(frozen=True, slots=True)
class PaidBlock:
    """A block that the run paid on: its days, what was committed, and what is left now; None if it is gone."""

    id: str
    days: str
    committed: str
    left: Remaining | None


def write(folder: Path, blocks: Sequence[PrivateDataBlock]) -> Path:
    """Write the report of the run that published into a folder; return the file.

    Args:
        folder: of the run alone.
        blocks: as they are now; those that the run did not pay on are left out.

    Raises:
        InvalidInput: the folder has no receipt, or cannot be written to.
    """
    run = run_views.read(folder)
    if run is None:
        raise errors.invalid("folder", str(folder), "has no receipt that can be read", "name the folder of a run")
    receipt = documents.read(documents.Receipt, folder / "receipt.json")
    paid = list(_paid(receipt, {block.id: block for block in blocks}))
    page = rendering.environment().get_template(FILE)
    text = page.render(
        run=run,
        paid=paid[:MOST_BLOCKS],
        n_hidden=max(0, len(paid) - MOST_BLOCKS),
        style=_STYLE.read_text(encoding="utf-8"),
    )
    local_files.write(folder / FILE, text.encode(), overwrite=True)
    return folder / FILE


def _paid(receipt: documents.Receipt, blocks: dict[str, PrivateDataBlock]) -> Iterator[PaidBlock]:
    for block_id, wire in sorted(receipt.committed.items()):
        price, block = common.budget_from_wire(wire), blocks.get(block_id)
        if block is None or price is None:
            yield PaidBlock(block_id, "", "nothing" if price is None else str(price), None)
            continue
        committed = budget_text.at_best_order(price, price=price, left=summary.left_amount(block))
        yield PaidBlock(block_id, wording.days_of(block), committed, remaining.of_block(block))
