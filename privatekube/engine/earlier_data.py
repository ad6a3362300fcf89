"""What was committed on the data of a new block before: under earlier blocks with the same records, and by its claims.

Records are recognised by `KnownData.overlap`, across names, namespaces and datasets.

A new block inherits, component by component, the largest total of all deleted blocks that may have a record in common
with it. That is enough for every privacy unit. Proof, by induction over the blocks that ever held a unit, in order of
creation: at any time at most one admitted block holds the unit, since a block that may share a record with another one
is not admitted beside it, and each cut puts a unit (a review, or a user's reviews of a day) into one block. The total
of the first block is what was committed on the unit. A later one starts at no less than the total of the block before
it, and adds what is committed while it lives. So the total of the last block is at least the sum of everything that was
committed on the unit, and that total never exceeds the initial budget.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import reduce

from privatekube.engine import ledger_entries
from privatekube.privacy import arithmetic, rounding
from privatekube.privacy.budget import PrivacyBudget
from privatekube.resources import ledger, transitions
from privatekube.resources.block import PrivateDataBlock
from privatekube.resources.claim import PrivacyBudgetClaim
from privatekube.resources.ledger import Entry
from privatekube.resources.retired_data import RetiredData


class Recorded:
    """What the ledger and claims say, by what it is looked up by: nothing looks through all of it for each block.

    Args:
        entries: of the whole ledger.
        claims: all claims.
    """

    def __init__(self, entries: Iterable[Entry], claims: Iterable[PrivacyBudgetClaim]) -> None:
        self._identities: set[str] = set()
        self._by_data: dict[tuple[str, str], list[Entry]] = {}
        self._by_block: dict[str, list[Entry]] = {}
        self._claims: dict[str, list[PrivacyBudgetClaim]] = {}
        for entry in entries:
            self.add(entry)
        for claim in claims:
            for block_id in claim.status.committed.keys() | claim.status.acquired.keys():
                self._claims.setdefault(block_id, []).append(claim)

    def add(self, entry: Entry) -> bool:
        """Add an entry; return whether it is new."""
        if entry.identity in self._identities:
            return False
        self._identities.add(entry.identity)
        self._by_data.setdefault((entry.dataset, entry.data), []).append(entry)
        self._by_block.setdefault(entry.block, []).append(entry)
        return True

    def of_data(self, block: PrivateDataBlock) -> Sequence[Entry]:
        """Return the entries under the data of a block."""
        return self._by_data.get((block.spec.dataset, ledger.data_key(block)), ())

    def of_block(self, block: PrivateDataBlock) -> Sequence[Entry]:
        """Return the entries under the name of a block."""
        return self._by_block.get(block.id, ())

    def claims_on(self, block: PrivateDataBlock) -> Sequence[PrivacyBudgetClaim]:
        """Return the claims that hold budget on a block, or have committed some."""
        return self._claims.get(block.id, ())


@dataclass(frozen=True, slots=True)
class Inheritance:
    """What a new block starts with.

    Args:
        committed: for its status: by claim id where that is known, and under `transitions.INHERITED`.
        missing: what of it is not in the ledger yet under the block's data.
        n_entries: how many entries the ledger has under the block's data.
    """

    committed: Mapping[str, PrivacyBudget] = field(default_factory=dict)
    missing: PrivacyBudget | None = None
    n_entries: int = 0

    def entry(self, block: PrivateDataBlock, time_ms: int) -> Entry | None:
        """Return the ledger entry for what is missing there; None if nothing is."""
        if self.missing is None:
            return None
        place = (block.spec.dataset, ledger.data_key(block), block.id)
        identity = f"{block.meta.uid}/{ledger.INHERITED}/{self.n_entries}"  # a status may be lost more than once
        return Entry(identity, time_ms, *place, transitions.INHERITED, None, self.missing, ledger.INHERITED)


def inherited(block: PrivateDataBlock, records: Sequence[RetiredData], own: Sequence[Entry]) -> Inheritance:
    """Return what a block without a status starts with: the larger of its records and the ledger.

    Args:
        block: a new block, or one whose status was lost.
        records: of the deleted blocks that may have records in common with it.
        own: the entries of the ledger under its data, with `lost_holdings`.

    Raises:
        InvalidBudget: they are not of the type of the block's budget.
    """
    nothing = block.spec.initial_budget * 0.0
    in_ledger = _total((entry.amount for entry in own), nothing)
    largest = reduce(_maximum, [record.total for record in records], in_ledger)
    committed = _by_claim(block, records, own, nothing)
    listed = _total(committed.values(), nothing)
    if exceeds(largest, listed):
        committed[transitions.INHERITED] = committed.get(transitions.INHERITED, nothing) + (largest - listed)
    return Inheritance(committed, largest - in_ledger if exceeds(largest, in_ledger) else None, len(own))


def was_admitted(block: PrivateDataBlock, recorded: Recorded) -> bool:
    """Return whether a block without a status had one: the ledger has an entry of it, or a claim holds budget there.

    Raises:
        InvalidBudget: a claim holds budget of another type than the block's.
    """
    is_in_ledger = any(entry.identity.startswith(f"{block.meta.uid}/") for entry in recorded.of_block(block))
    return is_in_ledger or any(lost_holdings(block, recorded, 0))


def lost_holdings(block: PrivateDataBlock, recorded: Recorded, time_ms: int) -> Iterator[Entry]:
    """Yield ledger entries for what claims hold or have committed on a block without a status that the ledger lacks.

    There is some only where the status was lost: what claims held on a deleted block is in the ledger already. It
    counts as committed, for nobody can prove that the data was not read.

    Raises:
        InvalidBudget: it is not of the type of the block's budget.
    """
    place = (block.spec.dataset, ledger.data_key(block), block.id)
    for claim in recorded.claims_on(block):
        parts = (claim.status.committed.get(block.id), claim.status.acquired.get(block.id))
        entered = [entry.amount for entry in recorded.of_block(block) if ledger_entries.is_of(entry, claim)]
        amounts = [amount for amount in parts if amount is not None]
        if not amounts:
            continue
        total, known = _total(amounts[1:], amounts[0]), _total(entered, amounts[0] * 0.0)
        if exceeds(total, known):
            identity = f"{block.meta.uid}/lost/{claim.meta.uid}/{len(entered)}"
            amount = _maximum(total - known, block.spec.initial_budget * 0.0)
            yield Entry(identity, time_ms, *place, claim.id, None, amount, ledger.UNSETTLED, claim_uid=claim.meta.uid)


def _by_claim(
    block: PrivateDataBlock, records: Sequence[RetiredData], own: Sequence[Entry], nothing: PrivacyBudget
) -> dict[str, PrivacyBudget]:
    """Return what was committed on exactly this data, by claim id.

    It is in its record; the ledger has more where a later status was lost.
    """
    by_claim: dict[str, PrivacyBudget] = {}
    for entry in own:
        by_claim[entry.claim] = by_claim.get(entry.claim, nothing) + entry.amount
    in_ledger = _total(by_claim.values(), nothing)
    for record in records:
        if (record.dataset, record.digest) == (block.spec.dataset, ledger.data_key(block)):
            return by_claim if exceeds(in_ledger, record.total) else dict(record.committed)
    return by_claim


def exceeds(left: PrivacyBudget, right: PrivacyBudget) -> bool:
    """Return whether the left amount is larger in some component or at some common order, beyond float rounding."""
    more, scale = left - right, _maximum(left, right)
    return any(
        value > rounding.RELATIVE_TOLERANCE * abs(whole) for value, whole in zip(more.values, scale.values, strict=True)
    )


def _maximum(left: PrivacyBudget, right: PrivacyBudget) -> PrivacyBudget:
    """Return the larger of both, component by component or at each common order."""
    return left + (right - right.minimum(left))


def _total(amounts: Iterable[PrivacyBudget], start: PrivacyBudget) -> PrivacyBudget:
    return arithmetic.total(amounts, start=start)
