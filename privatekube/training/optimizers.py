"""What applies the noisy gradients: SGD with momentum, or Adam. Each is an entry in `OPTIMIZERS`."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import torch
from torch import nn

from privatekube import errors
from privatekube.training import feasibility


def _sgd(parameters: Iterable[nn.Parameter], learning_rate: float) -> torch.optim.Optimizer:
    return torch.optim.SGD(parameters, lr=learning_rate, momentum=feasibility.MOMENTUM)


def _adam(parameters: Iterable[nn.Parameter], learning_rate: float) -> torch.optim.Optimizer:
    return torch.optim.Adam(parameters, lr=learning_rate)


OPTIMIZERS: dict[str, Callable[[Iterable[nn.Parameter], float], torch.optim.Optimizer]] = {"sgd": _sgd, "adam": _adam}


def build(name: str, parameters: Iterable[nn.Parameter], learning_rate: float) -> torch.optim.Optimizer:
    """Return an optimizer with a constant learning rate.

    Raises:
        InvalidInput: the name is unknown.
    """
    if name not in OPTIMIZERS:
        raise errors.invalid("optimizer", name, f"is not one of {', '.join(OPTIMIZERS)}", "choose one of them")
    return OPTIMIZERS[name](parameters, learning_rate)
