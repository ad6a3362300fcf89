"""Release a differentially private histogram of the days of some blocks, and pay for it out of their budget.

    python examples/days_histogram.py --dataset wide --epsilon 0.1

A private look at data whose days the owner does not know: declare a wide range in slices of a month, then run this. It
prints a noisy number of reviews for each day of the range, zeros included, once that is paid for.
"""

from __future__ import annotations

import argparse
import sys

from privatekube import RunClient, connect, entrypoint
from privatekube.data import partition

ACQUIRE_SECONDS, SETTLE_SECONDS = 60, 3600
STEP = "days_histogram"


def look(client: RunClient, namespace: str, dataset: str, *, epsilon: float) -> str:
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
    claimed = client.claim(
        dataset,
        epsilon=epsilon,
        delta=0,
        namespace=namespace,
        timeout_seconds=ACQUIRE_SECONDS,
        settle_after_seconds=SETTLE_SECONDS,
    )
    with claimed as run:
        data = run.open()
        declared = range(data.cut.start_day, data.cut.end_day + 1)
        counts = run.count(STEP, data.records.day, keys=declared, epsilon=epsilon)
    return "".join(f"{partition.date_of(day)} {count}\n" for day, count in counts.items())


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
