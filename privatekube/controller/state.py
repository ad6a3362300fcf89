"""What one pass has read, kept in step with what it writes; every write is conditional and keeps the invariant."""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping
from dataclasses import dataclass, field, replace

from privatekube.controller import entries
from privatekube.privacy import budget
from privatekube.privacy.budget import PrivacyBudget
from privatekube.resources import moves
from privatekube.resources.block import PrivateDataBlock
from privatekube.resources.claim import (
    AllocateResponse,
    ClaimStatus,
    ConsumeResponse,
    PrivacyBudgetClaim,
    ReleaseResponse,
    Request,
    Response,
    ResponseState,
)
from privatekube.store.base import ResourceStore

Detail = AllocateResponse | ConsumeResponse | ReleaseResponse


@dataclass
class State:
    """Blocks by id and open claims by id, in order of creation."""

    store: ResourceStore
    now_ms: int
    blocks: dict[str, PrivateDataBlock] = field(default_factory=dict)
    open_claims: dict[str, PrivacyBudgetClaim] = field(default_factory=dict)

    @classmethod
    def read(cls, store: ResourceStore, now_ms: int) -> State:
        """Read all blocks and the claims that have an unanswered request."""
        blocks = {block.id: block for block in store.list_blocks()}
        claims = {claim.id: claim for claim in store.list_claims(open_only=True)}
        return cls(store, now_ms, blocks, claims)

    def claim(self, claim_id: str) -> PrivacyBudgetClaim | None:
        """The claim of that id, or None where it is gone."""
        return self.open_claims.get(claim_id) or self.store.get_claim(claim_id)

    def write_block(self, block: PrivateDataBlock) -> PrivateDataBlock:
        """Write a block's status.

        Raises:
            BudgetExceeded: its parts do not add up; nothing is written.
            Conflict: somebody else wrote it first.
        """
        written = self.store.update_status(moves.require_balance(block))
        self.blocks[block.id] = written
        return written

    def complete(self, block: PrivateDataBlock, claim: PrivacyBudgetClaim, request: str) -> None:
        """Finish what the lock of an answered request began; what is committed is entered in the ledger first."""
        entry = entries.committed(block, claim, request, self.now_ms)
        if entry is not None:
            self.store.append(entry)
        self.write_block(moves.completed(block, claim.id, request))

    def answer(
        self,
        claim: PrivacyBudgetClaim,
        index: int,
        state: ResponseState,
        *,
        error: str | None = None,
        detail: Detail | None = None,
        held: ClaimStatus | None = None,
    ) -> PrivacyBudgetClaim:
        """Write the answer to one request, with the claim's new holdings: this write is the decision."""
        status = held or claim.status
        answer = Response(claim.spec.requests[index].identifier, state, error, detail)
        responses = (*status.responses[:index], answer)
        written = self.store.update_status(replace(claim, status=replace(status, responses=responses)))
        if len(responses) == len(claim.spec.requests) and state is not ResponseState.PENDING:
            self.open_claims.pop(claim.id, None)
        else:
            self.open_claims[claim.id] = written
        return written


def current(claim: PrivacyBudgetClaim) -> tuple[int, Request] | None:
    """The first request that has no final answer, with its index; None where all are answered."""
    answered = len(claim.status.responses)
    if answered and claim.status.responses[-1].state is ResponseState.PENDING:
        answered -= 1
    if answered >= len(claim.spec.requests):
        return None
    return answered, claim.spec.requests[answered]


def response_at(claim: PrivacyBudgetClaim, index: int) -> Response | None:
    """The answer to a request, final or pending; None where there is none yet."""
    return claim.status.responses[index] if index < len(claim.status.responses) else None


def locked_by(state: State, request: str) -> Iterator[PrivateDataBlock]:
    """The blocks that have a lock of that request."""
    for block in list(state.blocks.values()):
        if block.status is not None and request in block.status.locks:
            yield block


def undo_locks(state: State, claim: PrivacyBudgetClaim, request: str, *, but_on: Container[str] = frozenset()) -> None:
    """Take back what a request began on every block, `but_on` those."""
    for block in locked_by(state, request):
        if block.id not in but_on:
            state.write_block(moves.undone(block, claim.id, request))


def plus(held: Mapping[str, PrivacyBudget], more: Mapping[str, PrivacyBudget]) -> dict[str, PrivacyBudget]:
    """Holdings by block id, with `more` added."""
    added = {key: held[key] + amount if key in held else amount for key, amount in more.items()}
    return {**held, **added}


def minus(held: Mapping[str, PrivacyBudget], less: Mapping[str, PrivacyBudget]) -> dict[str, PrivacyBudget]:
    """Holdings by block id, with `less` taken away; what is left of float rounding leaves the map."""
    left = {key: amount - less[key] if key in less else amount for key, amount in held.items()}
    return {
        key: amount
        for key, amount in left.items()
        if key not in less or not budget.is_negligible(amount, capacity=held[key])
    }
