"""A control plane over any store, with a clock that tests set, and checks of what must always hold."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from privatekube.engine.changes import Change
from privatekube.engine.run_pass import run_pass
from privatekube.engine.world import World
from privatekube.privacy import arithmetic
from privatekube.privacy.budget import PrivacyBudget
from privatekube.reconcile import apply, ledger_audit, read_world, reconcile
from privatekube.reconcile.reconcile import Pass
from privatekube.resources import thresholds, transitions
from privatekube.resources.block import BlockStatus, Budgets, PrivateDataBlock
from privatekube.resources.claim import ClaimSpec, PrivacyBudgetClaim
from privatekube.resources.request_id import RequestId
from privatekube.resources.requests import AllocateRequest, ConsumeRequest, RegisterRequest, ReleaseRequest, Request
from privatekube.resources.responses import ResponseState
from privatekube.resources.thresholds import Thresholds
from privatekube.scheduling import ordering, policy, unlocking
from privatekube.scheduling.policy import Policy
from privatekube.store.base import ResourceStore
from tests import builders
from tests.clock import FakeClock

Action = AllocateRequest | ConsumeRequest | ReleaseRequest | RegisterRequest


@dataclass
class Plane:
    """A store, a policy and a clock; all names are in the namespace ns."""

    store: ResourceStore
    unlock: str = "all"
    order: str = "dpf"
    longest_timeout_ms: int = policy.DEFAULT_LONGEST_TIMEOUT_MS
    settle_within_ms: int = policy.DEFAULT_SETTLE_WITHIN_MS
    waiting_per_namespace: int = policy.DEFAULT_WAITING
    waiting_per_block: int = policy.DEFAULT_WAITING
    alarms: Thresholds = thresholds.DEFAULT
    clock: FakeClock = field(default_factory=FakeClock)
    committed: dict[tuple[str, str], PrivacyBudget] = field(default_factory=dict)

    @property
    def policy(self) -> Policy:
        """The policy, as one value."""
        return Policy(
            unlocking.parse(self.unlock),
            ordering.parse(self.order),
            default_timeout_ms=5000,
            longest_timeout_ms=self.longest_timeout_ms,
            settle_within_ms=self.settle_within_ms,
            waiting_per_namespace=self.waiting_per_namespace,
            waiting_per_block=self.waiting_per_block,
            alarms=self.alarms,
        )

    def world(self) -> World:
        """Return the present state of the store."""
        return read_world.read(self.store, self.clock.now_ms())

    def decide(self) -> tuple[Change, ...]:
        """Return the changes of a pass; nothing is written."""
        return run_pass(self.world(), self.policy)

    def write(self, changes: Iterable[Change]) -> None:
        """Write changes that were decided on the present state."""
        apply.apply(self.store, self.world(), changes)

    def run(self, *, tick: bool | None = None, completely: bool = True) -> Pass:
        """Run a pass."""
        return reconcile.reconcile(
            self.store, self.policy, now_ms=self.clock.now_ms(), tick=tick, completely=completely
        )

    def block(self, name: str, whole: PrivacyBudget | None = None) -> PrivateDataBlock:
        """Create a block, and return it as admitted."""
        self.store.create(builders.block(name, whole))
        self.run()
        return self.blocks()[f"ns/{name}"]

    def ask(self, name: str, *actions: Action) -> PrivacyBudgetClaim:
        """Create a claim with these requests, and return it after a pass."""
        self.store.create(self.claim_of(name, *actions))
        self.run()
        return self.claim(name)

    @staticmethod
    def claim_of(name: str, *actions: Action) -> PrivacyBudgetClaim:
        """Return a claim with these requests; it is not stored."""
        requests = tuple(Request(str(index), action) for index, action in enumerate(actions))
        return replace(builders.claim(name), spec=ClaimSpec(requests))

    def append(self, name: str, action: Action) -> None:
        """Append a request to a claim; it is not answered yet."""
        claim = self.claim(name)
        request = Request(str(len(claim.spec.requests)), action)
        self.store.update(replace(claim, spec=replace(claim.spec, requests=(*claim.spec.requests, request))))

    def open_data(self, name: str) -> None:
        """Mark the claim's data as opened."""
        claim = self.claim(name)
        self.store.update(replace(claim, spec=replace(claim.spec, data_opened=True)))

    def claim(self, name: str) -> PrivacyBudgetClaim:
        """Return the claim with that name."""
        claim = self.store.get_claim(f"ns/{name}")
        assert claim is not None
        return claim

    def status(self, name: str) -> BlockStatus:
        """Return the status of the block with that name."""
        return transitions.status_of(self.blocks()[f"ns/{name}"])

    def blocks(self) -> dict[str, PrivateDataBlock]:
        """Return the blocks by id."""
        return {block.id: block for block in self.store.list_blocks()}

    def states(self, name: str) -> list[str]:
        """Return the states of a claim's answers."""
        return [str(response.state) for response in self.claim(name).status.responses]

    def require_sound(self) -> None:
        """Check what must hold after every write."""
        ledger_audit.verify(self.store)
        for block in self.store.list_blocks():
            if block.status is not None:
                transitions.require_balance(block)
                require_within(block)
                self._require_committed_stays(block)

    def require_settled(self) -> None:
        """Check what must hold after a whole pass: only waiting requests have locks, and both sides agree."""
        blocks = {block.id: block for block in self.store.list_blocks() if block.status is not None}
        claims = {claim.id: claim for claim in self.store.list_claims()}
        for block in blocks.values():
            for request_id, lock in transitions.status_of(block).locks.items():
                claim = claims.get(request_id.claim)
                assert isinstance(request_id, RequestId), f"{block.id}: has a lock of {request_id}"
                response = None if claim is None else claim.response_at(request_id.index)
                assert response is not None, f"{block.id}: has a lock of {request_id}, which is not answered"
                assert response.state is ResponseState.PENDING
                assert lock.acquired is None
        for claim in claims.values():
            for block_id, block in blocks.items():
                status = transitions.status_of(block)
                _require_agreement(block_id, claim.id, claim.status.acquired, status.acquired)
                if transitions.FOLDED not in status.committed:
                    _require_agreement(block_id, claim.id, claim.status.committed, status.committed)

    def _require_committed_stays(self, block: PrivateDataBlock) -> None:
        data = block.content_digest or block.id
        committed = transitions.status_of(block).committed
        whole = {"": arithmetic.total(committed.values(), start=block.spec.initial_budget * 0.0)}
        for claim, amount in (whole if transitions.FOLDED in committed else {**whole, **committed}).items():
            before = self.committed.get((data, claim))
            if before is not None:
                pairs = zip(amount.values, before.values, strict=True)
                assert all(now >= before - 1e-12 for now, before in pairs), f"{block.id}: what {claim} committed fell"
            self.committed[data, claim] = amount


def _require_agreement(block_id: str, claim_id: str, by_block: Budgets, by_claim: Budgets) -> None:
    """Check that a claim records at most what the block records, where both record an amount."""
    if block_id in by_block and claim_id in by_claim:
        pairs = zip(by_block[block_id].values, by_claim[claim_id].values, strict=True)
        assert all(in_claim <= in_block + 1e-9 for in_claim, in_block in pairs), (claim_id, block_id)


def require_within(block: PrivateDataBlock) -> None:
    """Check that the block is within its initial budget: in every component, or at one of its orders."""
    status, initial = transitions.status_of(block), block.spec.initial_budget
    used = [*status.committed.values(), *status.acquired.values(), *transitions.amounts_in_locks(block)]
    total = arithmetic.total(used, start=initial * 0.0)
    assert not any(total.values) or initial.admits(total, capacity=initial), f"{block.id}: {total} is used of {initial}"
    floor = [-1e-9 * abs(value) for value in initial.values]
    assert all(value >= least for value, least in zip(status.pending.values, floor, strict=True)), status.pending
    fits = [value >= least for value, least in zip(status.available.values, floor, strict=True)]
    assert any(fits) if initial.orders else all(fits), status.available
