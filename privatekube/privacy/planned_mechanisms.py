"""The mechanisms that a plan can name: all that is fixed of each, but for its noise.

The noise is one number, which `privacy.solving` finds: in units of the sensitivity, so that more noise costs less for
every mechanism. A mechanism of your own: one class with the methods of `Mechanism`, and an entry in `MECHANISMS`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar, Protocol

from privatekube import errors
from privatekube.privacy import event_checks, events, noisy_steps, numbers, planned_queries
from privatekube.privacy.events import DpEvent
from privatekube.privacy.sensitivity import Sensitivity

Parameters = dict[str, Any]
"""What a step must know to run a mechanism: numbers by name, as JSON."""


class Mechanism(Protocol):
    """A mechanism whose noise is not known yet."""

    kind: ClassVar[str]

    @property
    def stated(self) -> Sensitivity | None:
        """The sensitivity that the plan states for it; None where it states none."""

    def per_unit(self, max_contribution: int) -> Mechanism:
        """Return the mechanism with its sensitivity per privacy unit, of which each has so many records at most."""

    def pure_noise(self, epsilon: float) -> float | None:
        """Return the noise at which it is `epsilon`-DP, without a delta; None if no noise does."""

    def event(self, noise: float) -> DpEvent:
        """Return what runs with that noise, in units of the sensitivity."""

    def parameters(self, noise: float) -> Parameters:
        """Return what a step must know to run it with that noise."""


@dataclass(frozen=True, slots=True)
class DpSgd:
    """DP-SGD: Gaussian noise on clipped gradients of Poisson samples of the units.

    Args:
        sampling_rate: the probability with which each unit joins a step, independently of the others; public.
        epochs: expected passes over the units, rounded up to whole steps; or else `steps`.
        steps: the number of noisy steps.

    Raises:
        InvalidInput: the rate is not in (0, 1], or not exactly one of epochs and steps is given and in range.
    """

    kind: ClassVar[str] = "dp_sgd"

    sampling_rate: float
    epochs: float | None = None
    steps: int | None = None

    def __post_init__(self) -> None:
        numbers.require_number("sampling_rate", self.sampling_rate, least=1e-6, most=1)
        if (self.epochs is None) == (self.steps is None):
            raise errors.InvalidInput("epochs, steps: give one of them, so that the number of noisy steps is fixed")
        if self.epochs is not None:
            numbers.require_number("epochs", self.epochs, least=1e-6, most=noisy_steps.MOST_STEPS)
        numbers.require_count("steps", self.n_steps)

    @property
    def n_steps(self) -> int:
        """The number of noisy steps."""
        return noisy_steps.of_epochs(self.epochs, self.sampling_rate) if self.epochs is not None else self.steps or 0

    @property
    def stated(self) -> None:
        """None: the clipping norm is that of a whole unit."""

    def per_unit(self, max_contribution: int) -> DpSgd:  # noqa: ARG002 - the gradient of a whole unit is clipped
        """Return itself: the gradient of a whole unit is clipped."""
        return self

    def pure_noise(self, epsilon: float) -> None:
        """Return None: Gaussian noise always needs a delta."""

    def event(self, noise: float) -> DpEvent:
        """Return the steps; the noise is the standard deviation over the clipping norm."""
        return events.poisson_gaussian(self.sampling_rate, noise, self.n_steps)

    def parameters(self, noise: float) -> Parameters:
        """Return the sampling rate, the steps and the noise multiplier."""
        return {"sampling_rate": self.sampling_rate, "steps": self.n_steps, "noise_multiplier": noise}


@dataclass(frozen=True, slots=True)
class SelectFromMany:
    """Trials of which only the best one is released, such as a whole hyper-parameter search; see `events`.

    Args:
        trial: what each trial runs, one mechanism after the other, the score by which it is compared included; all get
            the same noise in units of their sensitivities.
        mean_trials: the mean of the number of trials, which is drawn before the first one.
        shape: of its truncated negative binomial distribution: 1 is geometric, 0 logarithmic.

    Raises:
        InvalidInput: there is no mechanism, or a number is out of range.
    """

    kind: ClassVar[str] = "select_from_many"

    trial: tuple[Mechanism, ...]
    mean_trials: float
    shape: float = 1.0

    def __post_init__(self) -> None:
        if not self.trial:
            raise errors.InvalidInput("trial: has no mechanism; name what each trial runs")
        for mechanism in self.trial:
            if isinstance(mechanism, SelectFromMany | Event):
                raise errors.invalid("trial", mechanism.kind, "cannot be one trial", "name a mechanism with noise")
        numbers.require_number("mean_trials", self.mean_trials, least=1, most=1e6)
        numbers.require_number("shape", self.shape, least=0, most=1e3)

    @property
    def stated(self) -> None:
        """None: each mechanism of a trial states its own."""

    def per_unit(self, max_contribution: int) -> SelectFromMany:
        """Return it with the sensitivities of a unit."""
        return replace(self, trial=tuple(mechanism.per_unit(max_contribution) for mechanism in self.trial))

    def pure_noise(self, epsilon: float) -> None:
        """Return None: its cost is known as a Renyi curve alone."""

    def event(self, noise: float) -> DpEvent:
        """Return the whole search, with that noise in each trial."""
        parts = [mechanism.event(noise) for mechanism in self.trial]
        trial = parts[0] if len(parts) == 1 else events.composition(*parts)
        return events.select_from_many(trial, mean_trials=self.mean_trials, shape=self.shape)

    def parameters(self, noise: float) -> Parameters:
        """Return the distribution of the number of trials, and what each trial runs."""
        trial = [{"mechanism": mechanism.kind, **mechanism.parameters(noise)} for mechanism in self.trial]
        return {"mean_trials": self.mean_trials, "shape": self.shape, "trial": trial}


@dataclass(frozen=True, slots=True)
class Event:
    """A mechanism with its noise, as a DpEvent of any library; its cost is fixed.

    Args:
        fixed: what runs.

    Raises:
        InvalidInput: the event has no mechanism, a number of it is out of range, or this library does not know it.
    """

    kind: ClassVar[str] = "event"

    fixed: DpEvent

    def __post_init__(self) -> None:
        event_checks.require_mechanism(self.fixed)

    @property
    def stated(self) -> None:
        """None: an event is of a unit."""

    def per_unit(self, max_contribution: int) -> Event:  # noqa: ARG002 - an event is already of a unit
        """Return itself: an event states what a privacy unit costs."""
        return self

    def pure_noise(self, epsilon: float) -> None:
        """Return None: its noise is fixed."""

    def event(self, noise: float) -> DpEvent:  # noqa: ARG002 - it has its noise
        """Return the event, whatever the noise."""
        return self.fixed

    def parameters(self, noise: float) -> Parameters:  # noqa: ARG002 - it has its noise
        """Return nothing: all is in the event."""
        return {}


MECHANISMS: dict[str, type[Mechanism]] = {
    kind.kind: kind
    for kind in (
        DpSgd,
        planned_queries.Gaussian,
        planned_queries.Laplace,
        planned_queries.DiscreteLaplace,
        planned_queries.Exponential,
        SelectFromMany,
        Event,
    )
}
"""Every mechanism by the name that a plan gives it."""
