"""A block that cannot be read keeps new blocks out that may have some of its data, and no others."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from privatekube import errors
from privatekube.privacy.budget import EpsilonDelta
from privatekube.resources.block import PrivateDataBlock
from privatekube.resources.claim import ClaimStatus
from privatekube.resources.transitions import initialize_status
from privatekube.store import kinds
from privatekube.store.quarantine import Quarantine
from privatekube.store.unreadable import Unreadable, UnreadableBlock, UnreadableClaim
from tests import builders

LOST = builders.block("lost", dataset="d", day=3)
MALFORMED: list[Any] = [None, 3, "x", [], [3], [{}], [{"attribute": ["startTime"], "numericValue": "3"}]]


def document(block: PrivateDataBlock = LOST, *, is_admitted: bool = True) -> dict[str, Any]:
    written: dict[str, Any] = json.loads(kinds.BLOCK.encode(initialize_status(block) if is_admitted else block))
    if is_admitted:
        written["status"]["acquiredBudgetMap"] = 3  # what makes it unreadable
    return written


def facts_of(item: dict[str, Any]) -> UnreadableBlock:
    error = errors.InvalidInput("a test reads only what is left")
    return UnreadableBlock.from_stored(Unreadable(kinds.name_of(LOST), json.dumps(item), error))


def is_kept_out(block: PrivateDataBlock, *unreadable: dict[str, Any]) -> bool:
    return Quarantine().usable_blocks([block], [facts_of(item) for item in unreadable], [], []) == []


@pytest.mark.parametrize(
    ("new", "is_out"),
    [
        (builders.block("renamed", dataset="other", day=3), True),
        (builders.block("elsewhere", dataset="other", day=4), False),
        (builders.block("same-name", dataset="d", day=4), True),
        (builders.block("without-days", dataset="other"), True),
    ],
    ids=lambda value: value.meta.name if isinstance(value, PrivateDataBlock) else "",
)
def test_a_new_block_waits_for_an_unreadable_one_of_its_dataset_or_of_its_days(
    new: PrivateDataBlock, is_out: bool
) -> None:
    new = replace(new, meta=replace(new.meta, namespace="another"))
    assert is_kept_out(new, document()) is is_out
    admitted = initialize_status(new)
    assert not is_kept_out(admitted, document())


@pytest.mark.parametrize("dimensions", MALFORMED, ids=str)
def test_days_that_cannot_be_read_may_be_any(dimensions: object) -> None:
    damaged = document()
    damaged["spec"]["dimensions"] = dimensions
    assert is_kept_out(builders.block("new", dataset="other", day=30), damaged)
    damaged["spec"] = None
    assert is_kept_out(builders.block("new", dataset="other", day=30), damaged)


def test_a_block_that_was_never_admitted_keeps_nothing_out() -> None:
    """Any data owner may create one, with the dataset name of others: nothing was granted on it."""
    assert not is_kept_out(builders.block("new", dataset="d", day=3), document(is_admitted=False))


@pytest.mark.parametrize("new", [builders.block("new", dataset="d", day=30), builders.block("new", dataset="e", day=3)])
def test_a_block_whose_status_was_lost_keeps_its_data_out_as_long_as_a_claim_holds_budget_there(
    new: PrivateDataBlock,
) -> None:
    facts = [facts_of(document(is_admitted=False))]
    claim = replace(builders.claim(), status=ClaimStatus(acquired={LOST.id: EpsilonDelta(0.1)}))
    assert Quarantine().usable_blocks([new], facts, [], [claim]) == []
    unreadable = UnreadableClaim("ns", json.dumps({"acquiredBudgets": {LOST.id: 3}}))
    assert Quarantine().usable_blocks([new], facts, [unreadable], []) == []


def test_a_quarantined_block_that_can_be_read_keeps_its_days_out() -> None:
    quarantine, lost = Quarantine(), initialize_status(LOST)
    quarantine.add(lost)
    renamed, later = builders.block("renamed", dataset="other", day=3), builders.block("later", dataset="other", day=4)
    assert quarantine.usable_blocks([lost, renamed, later], [], [], []) == [later]
