"""The plain training loop of one planned step, for a script that has none of its own."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import torch
from opacus.data_loader import DPDataLoader
from torch import nn
from torch.utils.data import Dataset

from privatekube.integrations.opacus.engine import PlannedPrivacyEngine
from privatekube.integrations.opacus.planned import PlannedTraining
from privatekube.privacy import mechanisms


def train(
    planned: PlannedTraining,
    *,
    module: nn.Module,
    optimizer: torch.optim.Optimizer,
    dataset: Dataset[Any],
    loss: Callable[[torch.Tensor, torch.Tensor], torch.Tensor],
    expected_batch_size: float,
    max_contribution: int,
) -> mechanisms.Released[nn.Module]:
    """Train a module as planned, and return it together with the event of its training.

    Args:
        planned: what to train.
        module: the model, made of layers that Opacus supports.
        optimizer: over the parameters of the model.
        dataset: of pairs of an input and a label, one for each privacy unit.
        loss: the mean over a sample, of the outputs of the module and the labels.
        expected_batch_size: see `PlannedPrivacyEngine`.
        max_contribution: likewise.

    Raises:
        InvalidInput: something differs from the plan, or a weight is not finite at the end.
    """
    engine = PlannedPrivacyEngine(planned, expected_batch_size=expected_batch_size, max_contribution=max_contribution)
    private, stepping, loader = engine.make_private(
        module=module, optimizer=optimizer, data_loader=DPDataLoader(dataset, sample_rate=planned.sampling_rate)
    )
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Full backward hook is firing", UserWarning)  # inputs need no gradient
        while engine.steps_left:
            for inputs, labels in loader:
                stepping.zero_grad()
                torch.autograd.backward(loss(private(inputs), labels))
                stepping.step()
    return engine.released(private)
