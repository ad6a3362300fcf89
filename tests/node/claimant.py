"""What a pod does with its own token: it claims, waits for the answer, and tries to write what only others may.

It runs as text in the controller's image, which has no tests; see test_controller.py.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from dataclasses import replace

from privatekube import errors
from privatekube.privacy.budget import EpsilonDelta
from privatekube.resources import moves
from privatekube.resources.claim import AllocateRequest, BudgetDemand, ClaimSpec, PrivacyBudgetClaim, Request
from privatekube.resources.meta import ObjectMeta
from privatekube.store import clusterlogin
from privatekube.store.cluster import Cluster
from privatekube.store.coreobjects import CoreObjects
from privatekube.store.kubernetes import KubernetesStore

NAMESPACE, DATASET, NAME = "ns", "pod", "from-a-pod"
_ANSWER_SECONDS = 30


def main() -> None:
    """Say what came of it, as JSON."""
    api = clusterlogin.log_in(in_cluster=True)
    store = KubernetesStore(Cluster(api), CoreObjects(api))
    allocate = AllocateRequest(dataset=DATASET, expected_budget=BudgetDemand(constant=EpsilonDelta(0.04)))
    store.create(PrivacyBudgetClaim(ObjectMeta(NAME, NAMESPACE), ClaimSpec((Request("0", allocate),))))
    claim = _answered(store)
    (block,) = [each for each in store.list_blocks(NAMESPACE) if each.spec.dataset == DATASET]
    more = replace(claim, status=replace(claim.status, acquired={block.id: EpsilonDelta(1.0)}))
    refilled = moves.unlocked(block, EpsilonDelta(0.5))
    forbidden = [lambda: store.update_status(more), lambda: store.update_status(refilled), lambda: store.delete(block)]
    said = {
        "answers": [str(each.state) for each in claim.status.responses],
        "refused": [_refusal(f) for f in forbidden],
    }
    json.dump(said, sys.stdout)


def _answered(store: KubernetesStore) -> PrivacyBudgetClaim:
    end = time.monotonic() + _ANSWER_SECONDS
    while time.monotonic() < end:
        claim = store.get_claim(f"{NAMESPACE}/{NAME}")
        if claim is not None and claim.status.responses:
            return claim
        time.sleep(0.05)
    raise errors.DeadlineExceeded(f"claim {NAME}: no answer within {_ANSWER_SECONDS} s")


def _refusal(write: Callable[[], object]) -> str:
    try:
        write()
    except errors.InvalidInput as error:
        return str(error)
    return "it was written"


if __name__ == "__main__":
    main()
