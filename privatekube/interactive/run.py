"""A run within one Python program, with its mechanisms: each draws noise, registers, and returns the noisy value."""

from __future__ import annotations

import json
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from typing import TypeVar

from privatekube import errors
from privatekube.interactive import amounts, sums
from privatekube.interactive.lifecycle import Lifecycle
from privatekube.interactive.payment import DISCRETE_LAPLACE, EXPONENTIAL, GAUSSIAN, LAPLACE, Query
from privatekube.privacy import mechanisms
from privatekube.privacy.mechanisms import Released

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")


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
            step: name of the release, once per run; with a plan, of the step.
            labels: at most one for each record, such as a column; records with a label that is not in `keys` are not
                counted.
            keys: the public labels to count, fixed without looking at the data.
            epsilon: what it costs; None with a plan, which states it. The sensitivity is the contribution bound.

        Returns:
            A noisy count for each key, zeros included; it may be negative.

        Raises:
            InvalidInput: the data is not opened, the run has ended, an argument does not fit, or something else is
                planned.
            BudgetExceeded: the step has released before, or the run has not that much left.
        """
        public, sensitivity = amounts.public_keys(keys), self._approval.max_contribution

        def draw(scale: float) -> Released[dict[Key, int]]:
            found = amounts.occurrences(self._column(labels))
            counts = {key: found[key] for key in public}
            return mechanisms.noisy_histogram(counts, public, scale=scale, sensitivity=sensitivity)

        return self._release(Query(step, DISCRETE_LAPLACE, sensitivity, epsilon), draw, encode=_encoded_counts)

    def sum(
        self, step: str, values: Iterable[float], *, lower: float, upper: float, epsilon: float | None = None
    ) -> float:
        """Release the sum of a column, with Laplace noise.

        Args:
            step: name of the release, once per run; with a plan, of the step.
            values: one for each record. A value outside the bounds counts as the nearest one inside, and a missing one
                as the one inside that is nearest to 0.
            lower: the least value, public.
            upper: the largest value, public.
            epsilon: what it costs; None with a plan. The sensitivity is the larger magnitude of the bounds, for each
                record that a unit may have.

        Raises:
            InvalidInput: see `count`.
            BudgetExceeded: see `count`.
        """
        limits = sums.Bounds(lower, upper)
        query = Query(step, LAPLACE, limits.largest * self._approval.max_contribution, epsilon)
        return self._noisy(query, lambda: [sums.total(self._column(values), limits)], lambda noisy: noisy[0])

    def mean(
        self, step: str, values: Iterable[float], *, lower: float, upper: float, epsilon: float | None = None
    ) -> float:
        """Release the mean of a column, with Laplace noise on its sum and on the number of records.

        Args:
            step: name of the release, once per run; with a plan, of the step.
            values: one for each record; see `sum`.
            lower: the least value, public.
            upper: the largest value, public.
            epsilon: what it costs; None with a plan. The sensitivity is the difference of the bounds, for each record
                that a unit may have.

        Returns:
            The mean, within the bounds.

        Raises:
            InvalidInput: see `count`.
            BudgetExceeded: see `count`.
        """
        limits = sums.Bounds(lower, upper)
        query = Query(step, LAPLACE, 2 * limits.half_width * self._approval.max_contribution, epsilon)
        return self._noisy(
            query,
            lambda: list(sums.centred(self._column(values), limits)),
            lambda noisy: sums.mean(noisy[0], noisy[1], limits),
        )

    def laplace(
        self, step: str, values: Sequence[float], *, sensitivity: float, epsilon: float | None = None
    ) -> list[float]:
        """Release numbers that you have computed, with Laplace noise.

        Args:
            step: name of the release, once per run; with a plan, of the step.
            values: the numbers.
            sensitivity: how far one privacy unit, with all its records, moves them in sum (L1). You must have bounded
                it; the library cannot check it.
            epsilon: what it costs; None with a plan.

        Raises:
            InvalidInput: see `count`.
            BudgetExceeded: see `count`.
        """
        query = Query(step, LAPLACE, amounts.positive("sensitivity", sensitivity), epsilon)
        return self._noisy(query, lambda: amounts.numbers(values), list)

    def gaussian(
        self,
        step: str,
        values: Sequence[float],
        *,
        sensitivity: float,
        epsilon: float | None = None,
        delta: float | None = None,
    ) -> list[float]:
        """Release numbers that you have computed, with Gaussian noise.

        On blocks with Renyi budgets it needs a plan.

        Args:
            step: name of the release, once per run; with a plan, of the step.
            values: the numbers.
            sensitivity: how far one privacy unit, with all its records, moves them (L2). You must have bounded it; the
                library cannot check it.
            epsilon: what it costs; None with a plan.
            delta: likewise.

        Raises:
            InvalidInput: see `count`.
            BudgetExceeded: see `count`.
        """
        query = Query(step, GAUSSIAN, amounts.positive("sensitivity", sensitivity), epsilon, delta)
        return self._noisy(query, lambda: amounts.numbers(values), list)

    def choose(
        self, step: str, scores: Mapping[Key, float], *, sensitivity: float, epsilon: float | None = None
    ) -> Key:
        """Release which of several public options has nearly the best score, by the exponential mechanism.

        Args:
            step: name of the release, once per run; with a plan, of the step.
            scores: of each option, fixed without looking at the data. The scores themselves are not released.
            sensitivity: how far one privacy unit, with all its records, moves a single score. You must have bounded it;
                the library cannot check it.
            epsilon: what it costs; None with a plan.

        Returns:
            The option that was chosen.

        Raises:
            InvalidInput: see `count`.
            BudgetExceeded: see `count`.
        """
        if not isinstance(scores, Mapping):
            raise errors.InvalidInput(f"scores: a {type(scores).__name__} is not a mapping; give each option its score")
        query = Query(step, EXPONENTIAL, amounts.positive("sensitivity", sensitivity), epsilon)

        def draw(scale: float) -> Released[Key]:
            exact = dict(zip(scores, amounts.numbers(scores.values()), strict=True))
            return mechanisms.noisy_choice(exact, scale=scale, sensitivity=sensitivity)

        return self._release(query, draw, encode=lambda option: _encoded(repr(option)))

    def _column(self, values: Iterable[Value]) -> list[Value]:
        return amounts.column(values, number_of_records=self._number_of_records)

    def _noisy(self, query: Query, exact: Callable[[], list[float]], derive: Callable[[list[float]], Value]) -> Value:
        """Return what `derive` makes of the noisy form of the numbers that `exact` returns."""
        mechanism = _REAL_MECHANISMS[query.mechanism]

        def draw(scale: float) -> Released[Value]:
            released = mechanism(exact(), scale=scale, sensitivity=query.sensitivity)
            return Released(derive(released.value), released.event)

        return self._release(query, draw, encode=_encoded)


_REAL_MECHANISMS = {LAPLACE: mechanisms.noisy_laplace, GAUSSIAN: mechanisms.noisy_gaussian}


def _encoded_counts(counts: dict[Key, int]) -> bytes:
    """Return noisy counts as the JSON text whose digest is registered."""
    return _encoded({repr(key): count for key, count in counts.items()})


def _encoded(value: object) -> bytes:
    return json.dumps(value).encode()
