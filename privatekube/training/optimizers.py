"""What applies the noisy gradients: SGD with momentum, or Adam. Each is an entry in `OPTIMIZERS`."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import nn

from privatekube import errors
from privatekube.training import feasibility

FIRST_DECAY, SECOND_DECAY, SMALL = 0.9, 0.999, 1e-8
"""Of Adam: how much of the moments is kept, and what is added to the root of the second; those of torch."""


class Update:
    """What is done with the gradients, with as much of a torch optimizer's interface as `dpsgd` uses.

    torch's own optimizers compute the same. Their first step imports its compiler, which takes two seconds.

    Args:
        parameters: what is trained.
        learning_rate: constant.
    """

    def __init__(self, parameters: Iterable[nn.Parameter], learning_rate: float) -> None:
        self.param_groups = [{"params": list(parameters)}]
        self._learning_rate, self._steps = learning_rate, 0

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

    def _direction(self, parameter: nn.Parameter, gradient: torch.Tensor) -> torch.Tensor:
        """Return the direction for a gradient; the parameter moves against it."""
        raise NotImplementedError


class Momentum(Update):
    """SGD with momentum."""

    def __init__(self, parameters: Iterable[nn.Parameter], learning_rate: float) -> None:
        super().__init__(parameters, learning_rate)
        self._velocity: dict[nn.Parameter, torch.Tensor] = {}

    def _direction(self, parameter: nn.Parameter, gradient: torch.Tensor) -> torch.Tensor:
        velocity = self._velocity.setdefault(parameter, torch.zeros_like(parameter))
        return velocity.mul_(feasibility.MOMENTUM).add_(gradient)


class Adam(Update):
    """Adam (Kingma and Ba, 2015)."""

    def __init__(self, parameters: Iterable[nn.Parameter], learning_rate: float) -> None:
        super().__init__(parameters, learning_rate)
        self._moments: dict[nn.Parameter, tuple[torch.Tensor, torch.Tensor]] = {}

    def _direction(self, parameter: nn.Parameter, gradient: torch.Tensor) -> torch.Tensor:
        zeros = torch.zeros_like(parameter)
        first, second = self._moments.setdefault(parameter, (zeros, zeros.clone()))
        first.mul_(FIRST_DECAY).add_(gradient, alpha=1 - FIRST_DECAY)
        second.mul_(SECOND_DECAY).addcmul_(gradient, gradient, value=1 - SECOND_DECAY)
        root = (second / (1 - SECOND_DECAY**self._steps)).sqrt()
        return first / (1 - FIRST_DECAY**self._steps) / (root + SMALL)


OPTIMIZERS: dict[str, type[Update]] = {"sgd": Momentum, "adam": Adam}


def build(name: str, parameters: Iterable[nn.Parameter], learning_rate: float) -> Update:
    """Return an optimizer with a constant learning rate.

    Raises:
        InvalidInput: the name is unknown.
    """
    if name not in OPTIMIZERS:
        raise errors.invalid("optimizer", name, f"is not one of {', '.join(OPTIMIZERS)}", "choose one of them")
    return OPTIMIZERS[name](parameters, learning_rate)
