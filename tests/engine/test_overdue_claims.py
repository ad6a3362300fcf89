"""What a claim holds on blocks that record it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from privatekube.engine import overdue_claims
from privatekube.privacy.budget import EpsilonDelta, PrivacyBudget
from privatekube.resources import transitions
from privatekube.resources.block import PrivateDataBlock
from privatekube.resources.claim import ClaimStatus
from tests import builders

HELD: dict[str, PrivacyBudget] = {f"ns/{name}": EpsilonDelta(0.1) for name in ("a", "b", "c", "d")}
CLAIM = replace(builders.claim(), status=ClaimStatus(acquired=HELD))


@pytest.mark.parametrize(("recording", "n_read"), [("abcd", 1), ("cd", 3), ("", 4)])
def test_no_more_blocks_are_read_than_show_whether_a_claim_holds_budget(recording: str, n_read: int) -> None:
    """A client in a cluster asks the API server for each of them, every time that it looks for its answer."""
    read: list[str] = []

    def block_of(block_id: str) -> PrivateDataBlock | None:
        read.append(block_id)
        block = transitions.initialize_status(builders.block(block_id.removeprefix("ns/")))
        if block.meta.name not in recording:
            return block
        return replace(block, status=replace(transitions.status_of(block), acquired={CLAIM.id: EpsilonDelta(0.1)}))

    assert overdue_claims.holds_on_known_blocks(CLAIM, block_of) is bool(recording)
    assert len(read) == n_read
    assert bool(overdue_claims.held_on_known_blocks(CLAIM, block_of)) is bool(recording)
