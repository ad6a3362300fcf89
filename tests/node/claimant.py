"""A program for a pod with its own token: it claims budget, waits for the answer, and tries to write without the right.

The test runs its source text in the controller's image, which contains no tests.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import replace

from privatekube import errors
from privatekube.client import connect
from privatekube.privacy.budget import EpsilonDelta
from privatekube.resources import transitions
from privatekube.resources.requests import AllocateRequest, BudgetDemand

NAMESPACE, DATASET, NAME = "ns", "pod", "from-a-pod"
_ANSWER_SECONDS = 30


def main() -> None:
    """Print the outcome as JSON."""
    with connect.connect("kubernetes") as client:
        store = client.store
        allocate = AllocateRequest(dataset=DATASET, expected_budget=BudgetDemand(constant=EpsilonDelta(0.04)))
        claim = client.allocate(NAMESPACE, NAME, allocate, timeout_seconds=_ANSWER_SECONDS)
        (block,) = [block for block in store.list_blocks(NAMESPACE) if block.spec.dataset == DATASET]
        more = replace(claim, status=replace(claim.status, acquired={block.id: EpsilonDelta(1.0)}))
        refilled = transitions.unlock(block, EpsilonDelta(0.5))
        writes = (lambda: store.update_status(more), lambda: store.update_status(refilled), lambda: store.delete(block))
        answers = [str(response.state) for response in claim.status.responses]
        json.dump({"answers": answers, "refused": [_refusal(write) for write in writes]}, sys.stdout)


def _refusal(write: Callable[[], object]) -> str:
    try:
        write()
    except errors.InvalidInput as error:
        return str(error)
    return "it was written"


if __name__ == "__main__":
    main()
