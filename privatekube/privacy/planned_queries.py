"""Queries that a plan can name: values or choices with the same noise on each, on all units of a part.

A sensitivity is how far one record moves the values of a query at most, when it is added or removed: a privacy unit
moves them as far as all records that it may have together. Where it is stated per unit, it is taken as it is.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from typing import ClassVar, Self

from privatekube import errors
from privatekube.privacy import events, numbers
from privatekube.privacy.events import DpEvent
from privatekube.privacy.sensitivity import Per, Sensitivity

_LARGEST_SCALE = 1e12
"""Noise beyond leaves nothing of counts, which are int64."""


@dataclass(frozen=True, slots=True)
class Queries(ABC):
    """Noise of the same scale on each of a number of queries.

    Args:
        sensitivity: how far a unit or a record moves the values of one query at most.
        queries: how many are answered; a query is one value, or several of which the sensitivity is that of all.
        per: what the sensitivity is of; a record unless it is stated, which is never too little noise.

    Raises:
        InvalidInput: the sensitivity is not positive, or there are no queries.
    """

    kind: ClassVar[str]

    sensitivity: float
    queries: int = 1
    per: Per = Per.RECORD

    def __post_init__(self) -> None:
        numbers.require_number("sensitivity", self.sensitivity, least=1e-100, most=1e100)
        numbers.require_count("queries", self.queries)
        if self.per not in tuple(Per):
            raise errors.invalid("per", self.per, f"is not one of {', '.join(Per)}", "choose one of them")

    @property
    def stated(self) -> Sensitivity:
        """The sensitivity, and what it is of."""
        return Sensitivity(self.sensitivity, Per(self.per))

    def per_unit(self, max_contribution: int) -> Self:
        """Return it with the sensitivity of a unit that has `max_contribution` records at most."""
        return replace(self, sensitivity=self.stated.of_unit(max_contribution), per=Per.UNIT)

    def with_scale(self, scale: float) -> DpEvent:
        """Return all queries with noise of that scale, where the sensitivity is that of a unit."""
        return self.event(scale / self.sensitivity)

    def pure_noise(self, epsilon: float) -> float | None:
        """Return the noise at which all queries together are `epsilon`-DP."""
        return self.queries / epsilon

    def event(self, noise: float) -> DpEvent:
        """Return all queries, with that noise in units of the sensitivity."""
        return events.repeated(self.query(noise), self.queries)

    @abstractmethod
    def query(self, noise: float) -> DpEvent:
        """Return one query, with that noise in units of the sensitivity."""

    def parameters(self, noise: float) -> dict[str, float]:
        """Return the `scale` of the noise, with the sensitivity of a unit and the number of queries."""
        return {"scale": noise * self.sensitivity, "sensitivity": self.sensitivity, "queries": self.queries}


@dataclass(frozen=True, slots=True)
class Gaussian(Queries):
    """Gaussian noise on real values: the sensitivity is in L2, the scale is the standard deviation.

    >>> Gaussian(sensitivity=2.0).parameters(3.0)
    {'scale': 6.0, 'sensitivity': 2.0, 'queries': 1}
    """

    kind = "gaussian"

    def pure_noise(self, epsilon: float) -> None:
        """Return None: Gaussian noise always needs a delta."""

    def query(self, noise: float) -> DpEvent:
        """Return one query, with that noise in units of the sensitivity."""
        return events.gaussian(noise)


@dataclass(frozen=True, slots=True)
class Laplace(Queries):
    """Laplace noise on real values: the sensitivity is in L1, the scale is the parameter b.

    >>> Laplace(sensitivity=0.5, queries=4).pure_noise(2.0)
    2.0
    """

    kind = "laplace"

    def query(self, noise: float) -> DpEvent:
        """Return one query, with that noise in units of the sensitivity."""
        return events.laplace(noise)


@dataclass(frozen=True, slots=True)
class DiscreteLaplace(Queries):
    """Discrete Laplace noise on whole numbers: the sensitivity is in L1, the scale is the parameter b.

    >>> DiscreteLaplace(sensitivity=1).per_unit(4).sensitivity
    4
    """

    kind = "discrete_laplace"

    sensitivity: int

    def __post_init__(self) -> None:
        Queries.__post_init__(self)
        numbers.require_count("sensitivity", self.sensitivity, most=2**53)

    def query(self, noise: float) -> DpEvent:
        """Return one query, with that noise in units of the sensitivity."""
        return events.discrete_laplace(noise * self.sensitivity, self.sensitivity)

    def parameters(self, noise: float) -> dict[str, float]:
        """Return the `scale` of the noise, with the sensitivity of a unit and the number of queries.

        Raises:
            InvalidInput: the scale is so large that the counts hold nothing else.
        """
        parameters = Queries.parameters(self, noise)
        if parameters["scale"] > _LARGEST_SCALE:
            bound = f"needs noise of scale {parameters['scale']:.2g}, above 1e12"
            raise errors.invalid("sensitivity", self.sensitivity, bound, "raise epsilon, or the share of the step")
        return parameters


@dataclass(frozen=True, slots=True)
class Exponential(Queries):
    """The exponential mechanism, which chooses one of several public options; the sensitivity is that of the scores.

    The probability of an option is proportional to exp(score / scale), where the scale is twice the sensitivity over
    the epsilon of a choice. Source: McSherry and Talwar, "Mechanism Design via Differential Privacy" (2007).

    >>> Exponential(sensitivity=1.0).parameters(10.0)
    {'scale': 20.0, 'sensitivity': 1.0, 'queries': 1}
    """

    kind = "exponential"

    def with_scale(self, scale: float) -> DpEvent:
        """Return all choices with scores of that scale, where the sensitivity is that of a unit."""
        return self.event(scale / (2 * self.sensitivity))

    def query(self, noise: float) -> DpEvent:
        """Return one choice, with that noise: one over its epsilon."""
        return events.pure(1 / noise)

    def parameters(self, noise: float) -> dict[str, float]:
        """Return the `scale` of the scores, with the sensitivity of a unit and the number of choices."""
        return {**Queries.parameters(self, noise), "scale": 2 * noise * self.sensitivity}
