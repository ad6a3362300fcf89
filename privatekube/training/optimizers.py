"""What applies the noisy gradients: SGD with momentum, Adam, or DP-AdamBC. Each is an entry in `OPTIMIZERS`."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable

import torch
from torch import nn

from privatekube import errors
from privatekube.training import feasibility

FIRST_DECAY, SECOND_DECAY, SMALL = 0.9, 0.999, 1e-8
"""Of Adam: how much of the moments is kept, and what is added to the root of the second; those of torch."""


class Update(ABC):
    """What is done with the gradients, with as much of a torch optimizer's interface as `dpsgd` uses.

    torch's own optimizers compute the same. Their first step imports its compiler, which takes two seconds.

    Args:
        parameters: what is trained.
        learning_rate: constant.
        noise_deviation: standard deviation of the noise in each coordinate of a gradient; public.
    """

    def __init__(self, parameters: Iterable[nn.Parameter], learning_rate: float, *, noise_deviation: float) -> None:
        self.param_groups = [{"params": list(parameters)}]
        self._learning_rate, self._noise_variance, self._steps = learning_rate, noise_deviation**2, 0

    @torch.no_grad()
    def step(self) -> None:
        """Move each parameter that has a gradient."""
        self._steps += 1
        for parameter in self.param_groups[0]["params"]:
            if parameter.grad is not None:
                parameter.sub_(self._direction(parameter, parameter.grad), alpha=self._learning_rate)

    def zero_grad(self) -> None:
        """Forget the gradients."""
        for parameter in self.param_groups[0]["params"]:
            parameter.grad = None

    @abstractmethod
    def _direction(self, parameter: nn.Parameter, gradient: torch.Tensor) -> torch.Tensor:
        """Return the direction for a gradient; the parameter moves against it."""


class Momentum(Update):
    """SGD with momentum."""

    def __init__(self, parameters: Iterable[nn.Parameter], learning_rate: float, *, noise_deviation: float) -> None:
        super().__init__(parameters, learning_rate, noise_deviation=noise_deviation)
        self._velocity: dict[nn.Parameter, torch.Tensor] = {}

    def _direction(self, parameter: nn.Parameter, gradient: torch.Tensor) -> torch.Tensor:
        velocity = self._velocity.setdefault(parameter, torch.zeros_like(parameter))
        return velocity.mul_(feasibility.MOMENTUM).add_(gradient)


class Adam(Update):
    """Adam (Kingma and Ba, 2015)."""

    def __init__(self, parameters: Iterable[nn.Parameter], learning_rate: float, *, noise_deviation: float) -> None:
        super().__init__(parameters, learning_rate, noise_deviation=noise_deviation)
        self._moments: dict[nn.Parameter, tuple[torch.Tensor, torch.Tensor]] = {}

    def _direction(self, parameter: nn.Parameter, gradient: torch.Tensor) -> torch.Tensor:
        zeros = torch.zeros_like(parameter)
        first, second = self._moments.setdefault(parameter, (zeros, zeros.clone()))
        first.mul_(FIRST_DECAY).add_(gradient, alpha=1 - FIRST_DECAY)
        second.mul_(SECOND_DECAY).addcmul_(gradient, gradient, value=1 - SECOND_DECAY)
        return first / (1 - FIRST_DECAY**self._steps) / self._scale(second / (1 - SECOND_DECAY**self._steps))

    def _scale(self, square: torch.Tensor) -> torch.Tensor:
        """Return by what the average gradient is divided, from the average of its squares."""
        return square.sqrt() + SMALL


class AdamBC(Adam):
    """Adam with the variance of the DP noise taken from its average of squared gradients.

    The noise makes all squares alike, so that Adam hardly scales gradients.

    Source: Tang, Shpilevskiy and Lecuyer, "DP-AdamBC: Your DP-Adam Is Actually DP-SGD (Unless You Apply Bias
    Correction)" (2023), arXiv:2312.14334, algorithm 1; `feasibility.ADAMBC_FLOOR` gives its gamma.
    """

    def _scale(self, square: torch.Tensor) -> torch.Tensor:
        floor = feasibility.ADAMBC_FLOOR * self._noise_variance
        return (square - self._noise_variance).clamp_(min=floor).sqrt_()


OPTIMIZERS: dict[str, type[Update]] = {"sgd": Momentum, "adam": Adam, "adambc": AdamBC}


def build(name: str, parameters: Iterable[nn.Parameter], *, learning_rate: float, noise_deviation: float) -> Update:
    """Return an optimizer with a constant learning rate.

    Args:
        name: a key of `OPTIMIZERS`.
        parameters: to train.
        learning_rate: of the optimizer.
        noise_deviation: standard deviation of the noise in each coordinate of a gradient; public.

    Raises:
        InvalidInput: the name is unknown.
    """
    if name not in OPTIMIZERS:
        raise errors.invalid("optimizer", name, f"is not one of {', '.join(OPTIMIZERS)}", "choose one of them")
    return OPTIMIZERS[name](parameters, learning_rate, noise_deviation=noise_deviation)
