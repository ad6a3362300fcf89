"""A state of a store on which requests can be tried without any effect on the store."""

from __future__ import annotations

import math
import uuid
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from functools import partial

from privatekube import errors
from privatekube.client.store_client import StoreClient
from privatekube.engine import allocate_requests, outcome
from privatekube.engine.run_pass import run_pass
from privatekube.engine.world import Records, World
from privatekube.reconcile import read_world
from privatekube.resources.block import PrivateDataBlock
from privatekube.resources.claim import ClaimSpec, PrivacyBudgetClaim
from privatekube.resources.meta import ObjectMeta
from privatekube.resources.requester import Requester
from privatekube.resources.requests import AllocateRequest, Request
from privatekube.resources.responses import AllocateResponse, ResponseState
from privatekube.scheduling.policy import Policy

_IDENTIFIER = "what-if"
_NO_TIMEOUT_MS = 100 * 365 * 86_400_000
_MAX_STEPS = 256


@dataclass(frozen=True, slots=True)
class Sandbox:
    """A world and the policy of its passes; every method returns another sandbox and leaves this one as it is.

    The longest time to wait is in the claims, not in the policy, so that a request that is tried never times out.
    """

    world: World
    policy: Policy
    requester: Requester = field(default_factory=Requester)
    """Who makes the requests that are tried."""
    deadline_ms: int | None = None
    """When their results become useless, in unix milliseconds."""

    @classmethod
    def of(cls, client: StoreClient, requester: Requester, deadline_ms: int | None) -> Sandbox:
        """Return the present state of the store, after one pass."""
        store = client.store
        with store.transaction():
            blocks, claims, retired = store.list_blocks(), store.list_claims(), store.list_retired()
            quotas = store.list_quotas()
            counted = read_world.counted(quotas, store.readable_ledger()) if quotas else ((), ())
        world = World(client.clock.now_ms(), {block.id: block for block in blocks}, {}, records=Records(retired))
        world = replace(world, quotas=counted[0], charges=counted[1])
        policy = client.policy()
        timed = {claim.id: _with_timeouts(claim, partial(_wait_ms, claim, policy)) for claim in claims}
        patient = replace(policy, longest_timeout_ms=_NO_TIMEOUT_MS)
        return cls(outcome.with_claims(world, timed), patient, requester, deadline_ms).run()

    @property
    def now_ms(self) -> int:
        """The time, in unix milliseconds."""
        return self.world.now_ms

    @property
    def blocks(self) -> list[PrivateDataBlock]:
        """All blocks."""
        return list(self.world.blocks.values())

    def run(self, at_ms: int | None = None) -> Sandbox:
        """Run one pass, now or at that time."""
        world = self.world if at_ms is None else replace(self.world, now_ms=at_ms)
        return replace(self, world=outcome.after(world, run_pass(world, self.policy)))

    def with_blocks(self, blocks: Iterable[PrivateDataBlock]) -> Sandbox:
        """Replace blocks, and run a pass."""
        replaced = {**self.world.blocks, **{block.id: block for block in blocks}}
        return replace(self, world=replace(self.world, blocks=replaced)).run()

    def claim(self, claim_id: str) -> PrivacyBudgetClaim:
        """Return the claim of that id.

        Raises:
            NotFound: it does not exist.
        """
        claim = self._claims.get(claim_id)
        if claim is None:
            raise errors.NotFound(f"claim {claim_id}: it does not exist; see privatekube get claims")
        return claim

    def submit(self, namespace: str, request: AllocateRequest) -> tuple[Sandbox, str]:
        """Make a request in a new claim that never times out, and run a pass; return also the id of the claim."""
        requests = (Request(_IDENTIFIER, replace(request, timeout_ms=_NO_TIMEOUT_MS)),)
        spec = ClaimSpec(requests=requests, requester=self.requester, deadline_ms=self.deadline_ms)
        meta = ObjectMeta(f"{_IDENTIFIER}-{uuid.uuid4()}", namespace, uid=str(uuid.uuid4()))
        claim = PrivacyBudgetClaim(replace(meta, creation_time_ms=self.now_ms), spec)
        return self._with_claims({**self._claims, claim.id: claim}).run(), claim.id

    def forget(self, claim_id: str) -> Sandbox:
        """Delete a claim, and run a pass."""
        return self._with_claims({key: claim for key, claim in self._claims.items() if key != claim_id}).run()

    def granted(self, claim_id: str, index: int = 0) -> tuple[str, ...] | None:
        """Return the blocks on which a request was granted, or None."""
        response = self.claim(claim_id).response_at(index)
        if response is None or response.state is not ResponseState.SUCCESS:
            return None
        return tuple(response.detail.budgets) if isinstance(response.detail, AllocateResponse) else ()

    def refusal(self, claim_id: str) -> str | None:
        """Return why the first request of a claim failed; None if it did not."""
        response = self.claim(claim_id).response_at(0)
        return None if response is None or response.refusal is None else str(response.refusal)

    def would_grant(self, namespace: str, request: AllocateRequest) -> tuple[str, ...] | None:
        """Return the blocks that a new claim would get now, or None."""
        sandbox, claim_id = self.submit(namespace, request)
        return sandbox.granted(claim_id)

    def first(
        self, claim_id: str, index: int, *, limit: int, advance: Callable[[Sandbox, int, int], Sandbox]
    ) -> int | None:
        """Return after how many of `limit` steps a request without a timeout is granted; None if it is not.

        Above 256 steps the search is first coarse, then finer: other requests may then be granted a little later.

        Args:
            claim_id: `namespace/name`.
            index: of the request.
            limit: how many steps there are.
            advance: returns a sandbox at the step of the first number, by as many steps as the second further on.
        """
        before, low, high = self._without_timeout(claim_id), 0, limit
        while True:
            step = math.ceil((high - low) / _MAX_STEPS)
            sandbox = before
            for reached in range(low + step, high + step, step):
                before, sandbox = sandbox, advance(sandbox, reached, step)
                if sandbox.granted(claim_id, index) is not None:
                    break
            else:
                return None
            if step == 1:
                return reached
            low, high = reached - step, reached

    def _without_timeout(self, claim_id: str) -> Sandbox:
        patient_claim = _with_timeouts(self.claim(claim_id), lambda _: _NO_TIMEOUT_MS)
        return self._with_claims({**self._claims, claim_id: patient_claim})

    @property
    def _claims(self) -> dict[str, PrivacyBudgetClaim]:
        return {**self.world.closed_claims, **self.world.open_claims}

    def _with_claims(self, claims: dict[str, PrivacyBudgetClaim]) -> Sandbox:
        return replace(self, world=outcome.with_claims(self.world, claims))


def _wait_ms(claim: PrivacyBudgetClaim, policy: Policy, timeout_ms: int | None) -> int:
    """Return a timeout that ends when the request of a claim times out; 0 would stand for the default."""
    return max(1, allocate_requests.wait_ms(claim, policy, timeout_ms))


def _with_timeouts(claim: PrivacyBudgetClaim, wait_ms: Callable[[int | None], int]) -> PrivacyBudgetClaim:
    """Return the claim with the timeouts that a function returns for those of its requests."""
    requests = tuple(
        replace(request, action=replace(request.action, timeout_ms=wait_ms(request.action.timeout_ms)))
        if isinstance(request.action, AllocateRequest)
        else request
        for request in claim.spec.requests
    )
    return replace(claim, spec=replace(claim.spec, requests=requests))
