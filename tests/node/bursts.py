"""Bursts of claims on blocks of a cluster; each claim must be granted and consumed once, whatever happens meanwhile."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

import pytest

from privatekube.privacy import arithmetic
from privatekube.privacy.budget import EpsilonDelta
from privatekube.resources import ledger, transitions
from privatekube.resources.block import PrivateDataBlock
from privatekube.resources.claim import ClaimSpec, PrivacyBudgetClaim
from privatekube.resources.request_id import LockId
from privatekube.resources.requests import ConsumeRequest, Request
from privatekube.resources.responses import ResponseState
from privatekube.store.base import ResourceStore
from tests import builders, waiting
from tests.reconcile.harness import Plane

BUDGET, DEMAND = EpsilonDelta(10.0, 1e-6), EpsilonDelta(0.04)
_ANSWER_SECONDS = 180


@dataclass(frozen=True)
class Burst:
    """Claims for the same budget on all blocks of a dataset, one after another.

    Args:
        store: store of the claims and blocks.
        name: prefix of all their names, and the name of their dataset.
        blocks: number of blocks.
    """

    store: ResourceStore
    name: str
    blocks: int = 3

    @property
    def block_ids(self) -> list[str]:
        """Ids of the blocks."""
        return [f"{builders.NAMESPACE}/{self.name}-{index}" for index in range(self.blocks)]

    def create_blocks(self) -> None:
        """Declare the blocks, and wait until the controller has admitted them."""
        for block_id in self.block_ids:
            self.store.create(
                builders.block(block_id.partition("/")[2], BUDGET, dataset=self.name, digest=f"sha256:{block_id}")
            )
        waiting.until(
            lambda: all(block.status is not None for block in self._blocks()), self._blocks, seconds=_ANSWER_SECONDS
        )

    def create_claims(self, numbers: Sequence[int]) -> None:
        """Create claims that request budget and then its consumption."""
        allocate = replace(builders.allocate(demand=DEMAND), dataset=self.name)
        consume = ConsumeRequest(dict.fromkeys(self.block_ids, DEMAND), "allOrNothing=true")
        requests = (Request("0", allocate), Request("1", consume))
        for number in numbers:
            self.store.create(replace(builders.claim(f"{self.name}-{number}"), spec=ClaimSpec(requests)))

    def wait(self, count: int) -> None:
        """Wait until `count` claims have all their responses and no block has a lock."""
        waiting.until(lambda: self.answered() >= count, self.answered, seconds=_ANSWER_SECONDS)
        waiting.until(lambda: not self._locks(), self._locks, seconds=_ANSWER_SECONDS)

    def answered(self) -> int:
        """Return the number of claims that have all their responses."""
        return sum(
            len(claim.status.responses) == 2 and claim.status.responses[1].state is not ResponseState.PENDING
            for claim in self._claims()
        )

    def require_paid_once(self, count: int) -> None:
        """Check that each of `count` claims was granted and consumed once, and that blocks, claims and ledger agree."""
        claims = self._claims()
        assert len(claims) == count
        for claim in claims:
            assert [response.state for response in claim.status.responses] == [ResponseState.SUCCESS] * 2
            assert claim.status.committed == dict.fromkeys(self.block_ids, DEMAND)
            assert not claim.status.acquired
        for block in self._blocks():
            committed = arithmetic.total(transitions.status_of(block).committed.values(), start=BUDGET * 0.0)
            assert committed.values == pytest.approx((DEMAND * count).values)
        entries = ledger.amounts(ledger.require_chain(self.store.ledger()))
        paid = Counter((entry.claim, entry.block) for entry in entries if entry.block in self.block_ids)
        assert paid == {(claim.id, block): 1 for claim in claims for block in self.block_ids}
        plane = Plane(self.store)
        plane.require_sound()  # audit of the ledger included
        plane.require_settled()

    def _locks(self) -> list[LockId]:
        return [request for block in self._blocks() for request in transitions.status_of(block).locks]

    def _blocks(self) -> list[PrivateDataBlock]:
        return [block for block in self.store.list_blocks() if block.id in self.block_ids]

    def _claims(self) -> list[PrivacyBudgetClaim]:
        return [claim for claim in self.store.list_claims() if claim.meta.name.startswith(f"{self.name}-")]
