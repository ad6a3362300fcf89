"""Release a differentially private histogram of the days of some blocks, and pay for it out of their budget.

    python examples/days_histogram.py --dataset wide --epsilon 0.1

A private look at data whose days the owner does not know: declare a wide range in slices of a month, then run this. It
prints a noisy number of reviews for each day of the range, zeros included, once that is paid for.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
import secrets
import sys
from collections import Counter
from collections.abc import Sequence

from privatekube import AllocateRequest, BudgetClient, EpsilonDelta, RenyiCurve, connect, entrypoint, errors
from privatekube.client import run_demand
from privatekube.data import block_file, partition
from privatekube.privacy import accounting, events, mechanisms
from privatekube.resources.block import PrivateDataBlock
from privatekube.resources.requests import RegisterRequest
from privatekube.storage import uris

ACQUIRE_SECONDS, SETTLE_SECONDS = 60, 3600
STEP = "days_histogram"


def look(client: BudgetClient, namespace: str, dataset: str, *, epsilon: float) -> str:
    """Return lines of a day and its noisy number of reviews.

    A unit lies in one block on one day, so the histogram costs each block `epsilon` and is epsilon-DP as a whole.

    Args:
        client: access to the blocks.
        namespace: of the blocks.
        dataset: name of the dataset.
        epsilon: what to pay on each block.

    Raises:
        InvalidInput: no block of the dataset is there, or epsilon is not positive.
        BudgetUnavailable: a block has not that much left.
    """
    if not 0 < epsilon < math.inf:
        raise errors.invalid("epsilon", epsilon, "must be positive and finite", "set --epsilon 0.1")
    blocks = client.matching_blocks(namespace, run_demand.request_for(dataset, run_demand.ALL, []))
    _, sensitivity = run_demand.privacy_unit(blocks)
    planned = events.discrete_laplace(sensitivity / epsilon, sensitivity)
    name = f"days-{secrets.token_hex(6)}"
    request = _request(dataset, blocks, planned, epsilon)
    claim = client.allocate(
        namespace, name, request, timeout_seconds=ACQUIRE_SECONDS, settle_after_seconds=SETTLE_SECONDS
    )
    granted = [client.get_block(block_id) for block_id in sorted(claim.status.acquired)]
    client.mark_opened(claim.id)
    released = _histogram(granted, scale=sensitivity / epsilon, sensitivity=sensitivity)
    lines = "".join(f"{partition.date_of(day)} {count}\n" for day, count in released.value.items())
    digest = f"sha256:{hashlib.sha256(lines.encode()).hexdigest()}"
    event = json.dumps(events.to_json(released.event))
    client.register_release(claim.id, RegisterRequest(STEP, (digest,), event=event))
    client.consume(claim.id, mechanisms=[f"discrete Laplace, scale {sensitivity / epsilon:g}, on days"])
    return lines


def _request(
    dataset: str, blocks: Sequence[PrivateDataBlock], planned: events.DpEvent, epsilon: float
) -> AllocateRequest:
    """Return the request for the price of `planned` in the accounting of the blocks."""
    initial = blocks[0].spec.initial_budget
    is_renyi = isinstance(initial, RenyiCurve)
    price = accounting.renyi_cost(planned, initial.orders) if is_renyi else EpsilonDelta(epsilon, 0.0)
    return run_demand.request_for(dataset, run_demand.ALL, [], price)


def _histogram(
    blocks: Sequence[PrivateDataBlock], *, scale: float, sensitivity: int
) -> mechanisms.Released[dict[int, int]]:
    """Return noisy counts of all days that the blocks declare, and of no other."""
    contents = [
        block_file.decode(uris.read_bytes(block.spec.data_source), name=block.id, digest=block.content_digest)
        for block in blocks
    ]
    days = {day for content in contents for day in range(content.metadata.start_day, content.metadata.end_day + 1)}
    counts = Counter(day for content in contents for day in content.reviews.day.tolist())
    return mechanisms.noisy_histogram(counts, sorted(days), scale=scale, sensitivity=sensitivity)


def main() -> None:
    """Read the options, and print the histogram."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--namespace", default="privacy-example", help="of the blocks")
    parser.add_argument("--dataset", required=True, help="name of the dataset")
    parser.add_argument("--epsilon", type=float, required=True, help="what to pay on each block")
    options = parser.parse_args()
    with connect() as client:
        sys.stdout.write(look(client, options.namespace, options.dataset, epsilon=options.epsilon))


if __name__ == "__main__":
    entrypoint.run(main, scrubbed=True)
