"""Bursts of claims on blocks of a cluster, each of which is to be granted and paid once, whatever happens meanwhile."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

import pytest

from privatekube.privacy import budget
from privatekube.privacy.budget import EpsilonDelta
from privatekube.resources import ledger, transitions
from privatekube.resources.block import PrivateDataBlock
from privatekube.resources.claim import ClaimSpec, PrivacyBudgetClaim
from privatekube.resources.requests import ConsumeRequest, Request
from privatekube.resources.responses import ResponseState
from privatekube.store.base import ResourceStore
from tests import builders
from tests.node import waiting
from tests.reconcile.harness import Plane

BUDGET, DEMAND = EpsilonDelta(10.0, 1e-6), EpsilonDelta(0.04)
_ANSWER_SECONDS = 180


@dataclass(frozen=True)
class Burst:
    """Claims for the same on all blocks of a dataset, one after another.

    Args:
        store: where they are.
        name: in all their names, and of their dataset.
        blocks: how many blocks there are.
    """

    store: ResourceStore
    name: str
    blocks: int = 3

    @property
    def block_ids(self) -> list[str]:
        """Of the blocks."""
        return [f"{builders.NAMESPACE}/{self.name}-{index}" for index in range(self.blocks)]

    def create_blocks(self) -> None:
        """Declare the blocks, and wait until the controller admitted them."""
        for each in self.block_ids:
            self.store.create(
                builders.block(each.partition("/")[2], BUDGET, dataset=self.name, digest=f"sha256:{each}")
            )
        waiting.until(
            lambda: all(each.status is not None for each in self._own_blocks()), _ANSWER_SECONDS, self._own_blocks
        )

    def create_claims(self, numbers: Sequence[int]) -> None:
        """Claim, and ask to consume what is claimed."""
        allocate = replace(builders.allocate(demand=DEMAND), dataset=self.name)
        consume = ConsumeRequest(dict.fromkeys(self.block_ids, DEMAND), "allOrNothing=true")
        requests = (Request("0", allocate), Request("1", consume))
        for number in numbers:
            self.store.create(replace(builders.claim(f"{self.name}-{number}"), spec=ClaimSpec(requests)))

    def wait(self, count: int) -> None:
        """Wait until so many claims have all their answers, and the blocks know it."""
        waiting.until(lambda: self.answered() >= count, _ANSWER_SECONDS, self.answered)
        waiting.until(lambda: not self._locks(), _ANSWER_SECONDS, self._locks)

    def answered(self) -> int:
        """How many claims have all their answers."""
        return sum(
            len(claim.status.responses) == 2 and claim.status.responses[1].state is not ResponseState.PENDING
            for claim in self._own_claims()
        )

    def require_paid_once(self, count: int) -> None:
        """Check that each of `count` claims was granted and paid once, and that blocks, claims and ledger agree."""
        claims = self._own_claims()
        assert len(claims) == count
        for claim in claims:
            assert [each.state for each in claim.status.responses] == [ResponseState.SUCCESS] * 2
            assert claim.status.committed == dict.fromkeys(self.block_ids, DEMAND)
            assert not claim.status.acquired
        for block in self._own_blocks():
            committed = budget.total(transitions.status_of(block).committed.values(), start=BUDGET * 0.0)
            assert committed.values == pytest.approx((DEMAND * count).values)
        entries = ledger.require_chain(self.store.ledger())
        paid = Counter((each.claim, each.block) for each in entries if each.block in self.block_ids)
        assert paid == {(claim.id, block): 1 for claim in claims for block in self.block_ids}
        plane = Plane(self.store)
        plane.require_sound()  # audit of the ledger included
        plane.require_settled()

    def _locks(self) -> list[str]:
        return [request for block in self._own_blocks() for request in transitions.status_of(block).locks]

    def _own_blocks(self) -> list[PrivateDataBlock]:
        return [each for each in self.store.list_blocks() if each.id in self.block_ids]

    def _own_claims(self) -> list[PrivacyBudgetClaim]:
        return [each for each in self.store.list_claims() if each.meta.name.startswith(f"{self.name}-")]
