"""How many noisy steps a training takes."""

from __future__ import annotations

import pytest

from privatekube.privacy import noisy_steps


@pytest.mark.parametrize(
    ("n_epochs", "rate", "steps"), [(1, 1.0, 1), (3, 0.05, 60), (5, 0.1, 50), (1, 0.3, 4), (7, 0.07, 100)]
)
def test_steps_are_epochs_over_rate_rounded_up(n_epochs: int, rate: float, steps: int) -> None:
    assert noisy_steps.of_epochs(n_epochs, rate) == steps
