"""One planned step of DP-SGD, and the comparison of what a training did with it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from privatekube import errors
from privatekube.privacy import events
from privatekube.privacy.events import DpEvent

_OF_PLAN = ("noise_multiplier", "sampling_rate", "steps")


@dataclass(frozen=True, slots=True)
class PlannedTraining:
    """DP-SGD as it was planned and claimed.

    Neighbouring data sets differ by one privacy unit added or removed.

    Args:
        noise_multiplier: standard deviation of the noise, in units of `max_grad_norm`.
        sampling_rate: probability with which each unit is in the sample of a step, independently of the others.
        steps: the number of noisy steps.
        max_grad_norm: the L2 norm that the gradient of each unit is clipped to.

    Raises:
        InvalidInput: a number is out of its range.

    Example:
        >>> planned = PlannedTraining(noise_multiplier=1.1, sampling_rate=0.01, steps=500, max_grad_norm=1.0)
        >>> planned.event == planned.event_of([(1.1, 0.01, 500)])
        True
    """

    noise_multiplier: float
    sampling_rate: float
    steps: int
    max_grad_norm: float

    def __post_init__(self) -> None:
        _ = self.event  # checks its own numbers
        if not 0 < self.max_grad_norm < math.inf:
            raise errors.invalid("max_grad_norm", self.max_grad_norm, "must be positive and finite", "correct it")

    @classmethod
    def of(cls, parameters: Mapping[str, Any], *, max_grad_norm: float) -> PlannedTraining:
        """Return the training that a plan's step, or a trial of one, has the parameters of.

        Args:
            parameters: with `noise_multiplier`, `sampling_rate` and `steps`.
            max_grad_norm: the clipping norm, which costs nothing by itself.

        Raises:
            InvalidInput: they are not those of DP-SGD.

        >>> PlannedTraining.of({"noise_multiplier": 2.0, "sampling_rate": 0.5, "steps": 4}, max_grad_norm=1.0).steps
        4
        """
        missing = [name for name in _OF_PLAN if name not in parameters]
        if missing:
            raise errors.invalid("parameters", dict(parameters), f"have no {missing[0]}", "choose a step of DP-SGD")
        return cls(**{name: parameters[name] for name in _OF_PLAN}, max_grad_norm=max_grad_norm)

    @property
    def event(self) -> DpEvent:
        """The event of all planned steps."""
        return events.poisson_gaussian(self.sampling_rate, self.noise_multiplier, self.steps)

    def event_of(self, history: Iterable[tuple[float, float, int]]) -> DpEvent:
        """Return the event of the steps that a training took, which are the planned ones or the first of them.

        Args:
            history: noise multiplier, sampling rate and number of steps, as an Opacus accountant records them.

        Raises:
            InvalidInput: no step was taken, or more steps or other ones than were planned.
        """
        taken = 0
        for noise_multiplier, sampling_rate, steps in history:
            self.require_same("noise_multiplier", noise_multiplier)
            self.require_same("sampling_rate", sampling_rate)
            taken += steps
        if not 1 <= taken <= self.steps:
            raise errors.invalid("steps", taken, f"must be from 1 to the {self.steps} of the plan", "train as planned")
        return events.poisson_gaussian(self.sampling_rate, self.noise_multiplier, taken)

    def require_same(self, name: str, value: float) -> None:
        """Check that a number is the one of the field `name`.

        Raises:
            InvalidInput: it is another one.
        """
        planned = getattr(self, name)
        if value != planned:
            raise errors.invalid(name, value, f"must be the {planned} of the plan", "leave it out, or plan it")
