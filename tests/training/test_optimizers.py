from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

from privatekube import errors
from privatekube.training import feasibility, optimizers

THEIRS: dict[str, Callable[[list[nn.Parameter]], Any]] = {
    "sgd": lambda parameters: torch.optim.SGD(parameters, lr=0.3, momentum=feasibility.MOMENTUM),
    "adam": lambda parameters: torch.optim.Adam(parameters, lr=0.3),
}


@pytest.mark.parametrize("name", list(optimizers.OPTIMIZERS))
def test_an_optimizer_takes_the_steps_of_that_of_torch(name: str) -> None:
    generator = torch.Generator().manual_seed(0)
    gradients = torch.randn((20, 3, 4), generator=generator, dtype=torch.float64)
    ours, theirs, untouched = (nn.Parameter(torch.ones(3, 4, dtype=torch.float64)) for _ in range(3))
    steps: tuple[Any, Any] = optimizers.build(name, [ours, untouched], 0.3), THEIRS[name]([theirs])
    for gradient in gradients:
        for parameter, optimizer in zip((ours, theirs), steps, strict=True):
            parameter.grad = gradient.clone()
            optimizer.step()
            optimizer.zero_grad()
    torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=0)
    assert bool((untouched == 1).all())


def test_an_unknown_optimizer_is_refused() -> None:
    with pytest.raises(errors.InvalidInput, match="is not one of sgd, adam"):
        optimizers.build("lion", [], 0.1)
