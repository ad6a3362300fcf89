"""An LSTM that gives per-example gradients in one backward pass; `lstm_steps` says in what time.

Same parameters, names and gate order (input, forget, cell, output) as `torch.nn.LSTM` of one layer, so its state
loads there. The input projection of all steps is one matrix product.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from privatekube.training import clipping
from privatekube.training.lstm_steps import path, torch_path


class LSTM(nn.Module):
    """One layer, one direction, zero initial state.

    Args:
        input_size: E.
        hidden_size: H.
        gain: what the parameters are multiplied by where they act. A gain below 1 makes their share of a unit's
            gradient smaller by as much, and the noise that reaches the gates; a layer with another gain than 1 loads
            into `torch.nn.LSTM` once its parameters are multiplied by it.

    Attributes:
        steps: the implementation of the recurrence.
    """

    steps: path.Path

    def __init__(self, input_size: int, hidden_size: int, *, gain: float = 1.0) -> None:
        super().__init__()
        self.hidden_size = hidden_size
        self.gain = gain
        self.steps = torch_path.TORCH
        self.weight_ih_l0 = nn.Parameter(torch.empty(4 * hidden_size, input_size))
        self.weight_hh_l0 = nn.Parameter(torch.empty(4 * hidden_size, hidden_size))
        self.bias_ih_l0 = nn.Parameter(torch.empty(4 * hidden_size))
        self.bias_hh_l0 = nn.Parameter(torch.empty(4 * hidden_size))

    def forward(self, inputs: torch.Tensor, lengths: torch.Tensor) -> tuple[torch.Tensor, list[clipping.Tap]]:
        """Run the layer on a batch.

        Gradients of this layer's parameters are available through the tap alone: `backward()` reaches the inputs, but
        not the recurrent weights.

        Args:
            inputs: [B, T, E].
            lengths: int64 [B], tokens of each text, 1 to T; fastest where longer texts come first.

        Returns:
            Hidden states [B, T, H], which mean nothing beyond a text's end and must not be used there, and the tap.
        """
        gates = nn.functional.linear(inputs, self.gain * self.weight_ih_l0)
        recurrent, bias = self.gain * self.weight_hh_l0, self.gain * (self.bias_ih_l0 + self.bias_hh_l0)
        hidden, backpropagate = self.steps.run(gates, recurrent, bias, lengths)
        states: torch.Tensor = _Recurrence.apply(gates, hidden[:, 1:], backpropagate)  # type: ignore[no-untyped-call]
        tap = clipping.RecurrentTap(
            self.weight_ih_l0,
            self.weight_hh_l0,
            (self.bias_ih_l0, self.bias_hh_l0),
            inputs,
            hidden,
            lengths,
            self.gain,
            gates,
            self.steps,
        )
        return states, [tap]


class _Recurrence(torch.autograd.Function):
    """Hidden states [B, T, H] in the graph of the projections [B, T, 4H] that they were computed from."""

    @staticmethod
    def forward(
        ctx: Any,
        projected: torch.Tensor,  # noqa: ARG004 - what is differentiated with respect to
        states: torch.Tensor,
        backpropagate: path.Backpropagate,
    ) -> torch.Tensor:
        """Return the states, and keep what the backward pass needs."""
        ctx.backpropagate = backpropagate
        return states

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        """Return the gradient with respect to the pre-activations, [B, T, 4H]; None for all others."""
        backpropagate, ctx.backpropagate = ctx.backpropagate, None
        if backpropagate is None:
            raise RuntimeError("an LSTM's states can be differentiated once: its memory is used again")
        return backpropagate(gradients[0]), None, None
