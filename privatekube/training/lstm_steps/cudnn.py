"""The steps through torch's own LSTM, which on a GPU is cuDNN's: one kernel for all steps and texts.

An LSTM whose input weights are the identity takes the projections as its input, and the gradient with respect to its
input is then the gradient with respect to the pre-activations. Products are in float32, not in TensorFloat-32.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
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
    elements: int = 32 * feasibility.GRADIENT_ELEMENTS

    def run(
        self,
        projected: torch.Tensor,
        weight: torch.Tensor,
        bias: torch.Tensor,
        lengths: torch.Tensor,  # noqa: ARG002 - of the interface
    ) -> tuple[torch.Tensor, path.Backpropagate]:
        """Run all steps; see `Path.run`. Texts run on to the longest one's end; nothing flows back from there."""
        inputs = (projected.detach() + bias.detach()).requires_grad_()
        layer = _reading_identity(weight)
        with torch.enable_grad(), _cudnn_in_full_precision():
            outputs, _ = layer(inputs)
        hidden = nn.functional.pad(outputs.detach(), (0, 0, 1, 0))

        def backpropagate(d_hidden: torch.Tensor) -> torch.Tensor:
            with _cudnn_in_full_precision():
                return torch.autograd.grad(outputs, inputs, d_hidden)[0]

        return hidden, backpropagate


def _cudnn_in_full_precision() -> AbstractContextManager[None]:
    """Return a context with cuDNN and without TensorFloat-32; `flags` alone would switch off cuDNN, too."""
    return torch.backends.cudnn.flags(enabled=True, allow_tf32=False)


@torch.no_grad()
def _reading_identity(weight: torch.Tensor) -> nn.LSTM:
    """Return an LSTM with these recurrent weights; its weights are in one piece of memory, as cuDNN wants them."""
    width, size = weight.shape
    layer = nn.LSTM(width, size, bias=False, batch_first=True, device=weight.device, dtype=weight.dtype)
    of_inputs, recurrent = layer.parameters()
    nn.init.eye_(of_inputs)
    recurrent.copy_(weight)
    return layer.requires_grad_(False)
