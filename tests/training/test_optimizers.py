from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from privatekube import errors
from privatekube.training import feasibility, optimizers

THEIRS: dict[str, Callable[[list[nn.Parameter]], Any]] = {
    "sgd": lambda parameters: torch.optim.SGD(parameters, lr=0.3, momentum=feasibility.MOMENTUM),
    "adam": lambda parameters: torch.optim.Adam(parameters, lr=0.3),
}
RATE = 0.5


def build(name: str, parameters: list[nn.Parameter]) -> optimizers.Update:
    return optimizers.build(name, parameters, learning_rate=0.3, noise_deviation=1.0)


@pytest.mark.parametrize("name", list(THEIRS))
def test_an_optimizer_takes_the_steps_of_that_of_torch(name: str) -> None:
    generator = torch.Generator().manual_seed(0)
    gradients = torch.randn((20, 3, 4), generator=generator, dtype=torch.float64)
    ours, theirs, untouched = (nn.Parameter(torch.ones(3, 4, dtype=torch.float64)) for _ in range(3))
    steps: tuple[Any, Any] = build(name, [ours, untouched]), THEIRS[name]([theirs])
    for gradient in gradients:
        for parameter, optimizer in zip((ours, theirs), steps, strict=True):
            parameter.grad = gradient.clone()
            optimizer.step()
            optimizer.zero_grad()
    torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=0)
    assert bool((untouched == 1).all())


def test_an_unknown_optimizer_is_refused() -> None:
    with pytest.raises(errors.InvalidInput, match="is not one of sgd, adam, adambc"):
        build("lion", [])


def moved(name: str, gradients: np.ndarray, *, noise_deviation: float) -> np.ndarray:
    """Return how far an optimizer has moved weights that start at 0."""
    weight = nn.Parameter(torch.zeros(gradients.shape[1], dtype=torch.float64))
    optimizer = optimizers.build(name, [weight], learning_rate=RATE, noise_deviation=noise_deviation)
    for gradient in gradients:
        weight.grad = torch.from_numpy(gradient)
        optimizer.step()
    return weight.detach().numpy()


def test_it_is_its_algorithm_computed_one_step_after_the_other() -> None:
    gradients, deviation = np.random.default_rng(1).normal(1, 2, (7, 5)), 1.5
    expected, mean, square = np.zeros(5), np.zeros(5), np.zeros(5)
    for number, gradient in enumerate(gradients, 1):
        mean, square = 0.9 * mean + 0.1 * gradient, 0.999 * square + 0.001 * gradient**2
        variance = square / (1 - 0.999**number) - deviation**2
        expected -= (
            RATE * mean / (1 - 0.9**number) / np.sqrt(np.maximum(variance, feasibility.ADAMBC_FLOOR * deviation**2))
        )
    np.testing.assert_allclose(moved("adambc", gradients, noise_deviation=deviation), expected, rtol=1e-12)


def test_without_noise_to_speak_of_it_is_adam() -> None:
    gradients = np.random.default_rng(2).normal(0, 1, (20, 3))
    almost = moved("adambc", gradients, noise_deviation=1e-9)
    np.testing.assert_allclose(almost, moved("adam", gradients, noise_deviation=1e-9), rtol=1e-6)


def test_it_moves_weights_alike_whose_signals_differ_and_whose_noise_is_the_same() -> None:
    """Adam does so without noise; with it, the smaller signal moves less."""
    signals, deviation = np.array([30.0, 6.0]), 1.0
    gradients = signals + deviation * (-1.0) ** np.arange(400)[:, None]
    large, small = moved("adambc", gradients, noise_deviation=deviation)
    assert large == pytest.approx(small, rel=1e-3)
    large, small = moved("adam", gradients, noise_deviation=deviation)
    assert large / small > 1.01


def test_a_gradient_that_noise_hides_moves_a_weight_by_the_learning_rate_in_units_of_the_noise() -> None:
    gradients, step = np.full((1, 1), 1e-4), RATE / np.sqrt(feasibility.ADAMBC_FLOOR)
    for deviation in (1e-2, 1.0):
        assert moved("adambc", gradients, noise_deviation=deviation) == pytest.approx(-step * 1e-4 / deviation)
