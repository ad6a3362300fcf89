"""A copy of a store on which requests can be tried without any effect on the store."""

from __future__ import annotations

import math
import uuid
from collections.abc import Callable
from dataclasses import dataclass, replace

from privatekube import errors
from privatekube.client.control_plane import ControlPlane
from privatekube.reconcile import reconcile
from privatekube.resources.block import PrivateDataBlock
from privatekube.resources.claim import ClaimSpec, PrivacyBudgetClaim
from privatekube.resources.meta import ObjectMeta
from privatekube.resources.requests import AllocateRequest, Request
from privatekube.resources.responses import AllocateResponse, ResponseState
from privatekube.scheduling.policy import Policy
from privatekube.store import kinds, memory
from privatekube.store.memory import MemoryStore

_IDENTIFIER = "what-if"
_NO_TIMEOUT_MS = 100 * 365 * 86_400_000
_MAX_STEPS = 256


@dataclass(frozen=True, slots=True)
class Sandbox:
    """A copy of a store, with the policy and the time of the original; `now_ms` is in unix milliseconds."""

    store: MemoryStore
    policy: Policy
    now_ms: int

    @classmethod
    def of(cls, client: ControlPlane) -> Sandbox:
        """Return a copy of the present state of the store, after one pass."""
        sandbox = cls(memory.copy_of(client.store), client.policy(), client.clock.now_ms())
        sandbox.run()
        return sandbox

    def copy(self) -> Sandbox:
        """Return a copy of this sandbox."""
        return replace(self, store=self.store.copy())

    def run(self, at_ms: int | None = None) -> None:
        """Run one pass, now or at that time."""
        reconcile.reconcile(self.store, self.policy, now_ms=self.now_ms if at_ms is None else at_ms)

    def blocks(self) -> list[PrivateDataBlock]:
        """Return all blocks; they are admitted."""
        return self.store.list_blocks()

    def claim(self, claim_id: str) -> PrivacyBudgetClaim:
        """Return the claim of that id.

        Raises:
            NotFound: it does not exist.
        """
        claim = self.store.get_claim(claim_id)
        if claim is None:
            raise errors.NotFound(f"claim {claim_id}: it does not exist; see privatekube get claims")
        return claim

    def submit(self, namespace: str, request: AllocateRequest) -> str:
        """Make a request in a new claim that never times out; return the id of the claim."""
        spec = ClaimSpec(requests=(Request(_IDENTIFIER, replace(request, timeout_ms=_NO_TIMEOUT_MS)),))
        claim = self.store.create(PrivacyBudgetClaim(ObjectMeta(f"what-if-{uuid.uuid4()}", namespace), spec))
        self.run()
        return claim.id

    def forget(self, claim_id: str) -> None:
        """Delete a claim, and run a pass."""
        self.store.delete(self.claim(claim_id))
        self.run()

    def granted(self, claim_id: str, index: int = 0) -> tuple[str, ...] | None:
        """Return the blocks on which a request was granted, or None."""
        response = self.claim(claim_id).response_at(index)
        if response is None or response.state is not ResponseState.SUCCESS:
            return None
        return tuple(response.detail.budgets) if isinstance(response.detail, AllocateResponse) else ()

    def would_grant(self, namespace: str, request: AllocateRequest) -> tuple[str, ...] | None:
        """Return the blocks that a new claim would get now, or None."""
        copy = self.copy()
        return copy.granted(copy.submit(namespace, request))

    def first(
        self, claim_id: str, index: int, *, limit: int, advance: Callable[[Sandbox, int, int], None]
    ) -> int | None:
        """Return after how many of `limit` steps a request without a timeout is granted; None if it is not.

        Above 256 steps the search is first coarse, then finer: other requests may then be granted a little later.

        Args:
            claim_id: `namespace/name`.
            index: of the request.
            limit: how many steps there are.
            advance: takes a sandbox to the step of the first number, by as many steps as the second.
        """
        last = self.copy()
        last._remove_timeout(claim_id)
        low, high = 0, limit
        while True:
            step = math.ceil((high - low) / _MAX_STEPS)
            sandbox = last.copy()
            for reached in range(low + step, high + step, step):
                last = sandbox.copy()
                advance(sandbox, reached, step)
                if sandbox.granted(claim_id, index) is not None:
                    break
            else:
                return None
            if step == 1:
                return reached
            low, high = reached - step, reached

    def _remove_timeout(self, claim_id: str) -> None:
        claim = self.claim(claim_id)
        requests = tuple(
            replace(request, action=replace(request.action, timeout_ms=_NO_TIMEOUT_MS))
            if isinstance(request.action, AllocateRequest)
            else request
            for request in claim.spec.requests
        )
        waiting = replace(claim, spec=replace(claim.spec, requests=requests))
        self.store.resources[kinds.name_of(waiting)] = waiting  # a store lets nobody change a request, except in a copy
