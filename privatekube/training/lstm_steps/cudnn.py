"""The steps through torch's own LSTM, which on a GPU is cuDNN's: one kernel for all steps and texts.

An LSTM whose input weights are the identity takes the projections as its input, and the gradient with respect to its
input is then the gradient with respect to the pre-activations. Products are in float32, not in TensorFloat-32.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn

from privatekube.training import feasibility
from privatekube.training.lstm_steps import path, torch_path


@dataclass(frozen=True)
class CuDnn(torch_path.Torch):
    """The steps by cuDNN; norms and sums by torch, on the same device. It runs on the CPU as well, for tests."""

    name: str = "cudnn"
    positions: int = 4 * feasibility.BATCH_POSITIONS

    def run(
        self,
        projected: torch.Tensor,
        weight: torch.Tensor,
        lengths: torch.Tensor,  # noqa: ARG002 - of the interface
    ) -> tuple[torch.Tensor, path.Backpropagate]:
        """Run all steps; see `Path.run`. Texts run on to the longest one's end; nothing flows back from there."""
        inputs = projected.detach().requires_grad_()
        with torch.enable_grad(), torch.backends.cudnn.flags(allow_tf32=False):
            outputs = _lstm(inputs, weight.detach())
        hidden = nn.functional.pad(outputs.detach(), (0, 0, 1, 0))

        def backpropagate(d_hidden: torch.Tensor) -> torch.Tensor:
            with torch.backends.cudnn.flags(allow_tf32=False):
                return torch.autograd.grad(outputs, inputs, d_hidden[:, 1:])[0]

        return hidden, backpropagate


def _lstm(inputs: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    batch, _, width = inputs.shape
    identity = torch.eye(width, dtype=inputs.dtype, device=inputs.device)
    states = inputs.new_zeros(2, 1, batch, width // 4)
    flat = [identity, weight]
    outputs, _, _ = torch.lstm(inputs, states.unbind(), flat, False, 1, 0.0, True, False, True)
    return outputs
