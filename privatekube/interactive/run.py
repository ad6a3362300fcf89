"""A run within one Python program, with its mechanisms: each draws noise, registers, and returns the noisy value."""

from __future__ import annotations

import json
from collections.abc import Hashable, Iterable, Sequence
from typing import TypeVar

from privatekube.interactive import amounts
from privatekube.interactive.lifecycle import Lifecycle
from privatekube.privacy import events, mechanisms
from privatekube.privacy.mechanisms import Released

Key = TypeVar("Key", bound=Hashable)


class Run(Lifecycle):
    """A run within one Python program; `RunClient.claim` returns it, to be used in a `with` statement.

    Entering it claims the budget. Leaving it normally pays for what was released, and `receipt` states that. An
    exception before `open` gives the budget back; after it the budget is spent, because nothing can prove that none of
    the data leaked. A run that never opened its data gives its budget back in any case.

    Neighbouring data sets differ by adding or removing one privacy unit of the blocks.

    Example:
        >>> import tempfile
        >>> import numpy as np
        >>> import privatekube as pk
        >>> from privatekube.data import block_file, columns
        >>> from privatekube.privacy.unit import PrivacyUnit
        >>> reviews = columns.Reviews(
        ...     user=np.arange(4),
        ...     product=np.zeros(4, np.int64),
        ...     time=np.full(4, columns.FIRST_DAY_SECONDS),
        ...     category=np.zeros(4, np.int16),
        ...     stars=np.array([1, 5, 5, 5], np.int8),
        ...     summary_length=np.zeros(4, np.int32),
        ...     tokens=np.empty(0, np.int32),
        ...     offsets=np.zeros(5, np.int64),
        ... )
        >>> declared = ("reviews", 0, 0, 0, 1, "key", "words", 100, "words", PrivacyUnit.EVENT, 1, ("books",))
        >>> with tempfile.TemporaryDirectory() as folder, pk.connect(f"sqlite:///{folder}/state.db") as client:
        ...     digest = block_file.write(f"{folder}/monday.h5", reviews, block_file.Metadata(*declared))
        ...     spec = pk.BlockSpec(pk.EpsilonDelta(10.0, 1e-7), "reviews", f"{folder}/monday.h5")
        ...     created = client.create_blocks([pk.PrivateDataBlock(pk.ObjectMeta("monday", "team"), spec)])
        ...     with client.claim("reviews", epsilon=1.0, delta=1e-9, namespace="team") as run:
        ...         data = run.open()
        ...         counts = run.count("statistics", data.reviews.stars, keys=range(1, 6), epsilon=0.5)
        >>> list(counts), run.receipt.epsilon
        ([1, 2, 3, 4, 5], 0.5)
    """

    def count(
        self, step: str, labels: Iterable[Key], *, keys: Sequence[Key], epsilon: float | None = None
    ) -> dict[Key, int]:
        """Release how many records have each label, with discrete Laplace noise.

        Args:
            step: name of the release, once per run.
            labels: one for each record, such as a column; records with a label that is not in `keys` are not counted.
            keys: the public labels to count, fixed without looking at the data.
            epsilon: what it costs; the noise has the scale of the contribution bound over epsilon.

        Returns:
            A noisy count for each key, zeros included; it may be negative.

        Raises:
            InvalidInput: the data is not opened, the run has ended, or an argument does not fit.
            BudgetExceeded: the step has released before, or the run has not that much left.
        """
        public = amounts.public_keys(keys)
        sensitivity = self._approval.max_contribution
        scale = sensitivity / amounts.positive("epsilon", epsilon)

        def draw() -> Released[dict[Key, int]]:
            found = amounts.occurrences(labels)
            return mechanisms.noisy_histogram(
                {key: found[key] for key in public}, public, scale=scale, sensitivity=sensitivity
            )

        return self._release(
            step, events.discrete_laplace(scale, sensitivity), delta=0.0, draw=draw, encode=_encoded_counts
        )


def _encoded_counts(counts: dict[Key, int]) -> bytes:
    """Return noisy counts as the JSON text whose digest is registered."""
    return json.dumps({repr(key): count for key, count in counts.items()}).encode()
