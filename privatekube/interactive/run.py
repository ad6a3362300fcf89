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
