"""Modules that a planned training may have: no layer mixes units, and nothing but noisy steps changes the state."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

import torch
from torch import nn, optim
from torch.nn.modules.batchnorm import _NormBase
from torch.nn.modules.instancenorm import _InstanceNorm
from torch.nn.parallel import DistributedDataParallel

from privatekube import errors

_ON_STATISTICS = "has statistics of several units, which get no noise"


def require_parameters(module: nn.Module, optimizer: optim.Optimizer) -> None:
    """Check that an optimizer is of a module that is not distributed.

    Raises:
        InvalidInput: it is of another one.
    """
    if isinstance(module, DistributedDataParallel):
        raise errors.invalid("module", type(module).__name__, "is distributed, which is not planned", "unwrap it")
    known = set(module.parameters())
    if any(parameter not in known for parameter in _parameters(optimizer)):
        raise errors.InvalidInput("optimizer: has parameters that the module has not; make it from the module's")


def require_no_statistics(module: nn.Module) -> None:
    """Check that no layer normalises a unit by others, trainable or not: Opacus looks at trainable ones alone.

    Raises:
        InvalidInput: one does.
    """
    for layer in module.modules():
        is_within_unit = isinstance(layer, _InstanceNorm) and not layer.track_running_stats
        if isinstance(layer, _NormBase) and not is_within_unit:
            name = type(layer).__name__
            raise errors.invalid("module", name, _ON_STATISTICS, "use GroupNorm or LayerNorm")


class UntrainedState:
    """What a module has beside the parameters that a planned training changes: buffers and frozen parameters.

    A forward pass may write the data into a buffer, and another optimizer may change parameters without noise.

    Args:
        module: before its training.
        optimizer: over the parameters that are trained.
    """

    def __init__(self, module: nn.Module, optimizer: optim.Optimizer) -> None:
        self._module = module
        self._trained = set(_parameters(optimizer))
        self._digests = self._current()

    def require_unchanged(self) -> None:
        """Check that the training has changed nothing of it.

        Raises:
            InvalidInput: it has; the message does not quote the values.
        """
        for name, digest in self._current().items():
            if self._digests.get(name) != digest:
                remedy = (
                    "release a module that keeps no state, and train its parameters with the planned optimizer only"
                )
                raise errors.invalid("module", name, "was changed without noise", remedy)

    def _current(self) -> dict[str, bytes]:
        named = (*self._module.named_parameters(), *self._module.named_buffers())
        return {name: _digest(value) for name, value in named if value not in self._trained}


def _parameters(optimizer: optim.Optimizer) -> Iterable[nn.Parameter]:
    return (parameter for group in optimizer.param_groups for parameter in group["params"])


def _digest(value: torch.Tensor) -> bytes:
    plain = value.detach().cpu().contiguous().reshape(-1)
    return hashlib.sha256(plain.view(torch.uint8).numpy().tobytes()).digest()
