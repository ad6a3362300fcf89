"""The steps in torch's operations, for every device and type; what the other implementations are compared with."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch

from privatekube.training import feasibility
from privatekube.training.lstm_steps import path


@dataclass(frozen=True)
class Torch:
    """The steps as a loop, with back-propagation written by hand.

    A step needs no memory but that of the gates and states, and what it computes stays in cache until it is used. It
    computes no more texts than have tokens left, where longer texts come first.

    Args:
        elements: how many elements of per-unit gradients are formed at a time.
    """

    name: str = "torch"
    positions: int = feasibility.BATCH_POSITIONS >> 2
    elements: int = feasibility.GRADIENT_ELEMENTS

    def run(
        self, projected: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor, lengths: torch.Tensor
    ) -> tuple[torch.Tensor, path.Backpropagate]:
        """Run all steps; see `Path.run`. The gates overwrite `projected`, and their gradient overwrites the gates."""
        gates = projected.data.contiguous()  # not `detach`, after which autograd notices that they are overwritten
        transposed = weight.detach().t().contiguous()
        batch, steps, width = gates.shape
        size = width // 4
        active = _active(lengths, steps)
        hidden, cells = (gates.new_zeros(batch, steps + 1, size) for _ in range(2))
        for t, now in enumerate(active):
            activations = gates[:now, t].add_(bias.detach()).addmm_(hidden[:now, t], transposed)
            activations[:, : 2 * size].sigmoid_()
            activations[:, 2 * size : 3 * size].tanh_()
            activations[:, 3 * size :].sigmoid_()
            input_gate, forget_gate, candidate, output_gate = activations.chunk(4, 1)
            cell = torch.mul(forget_gate, cells[:now, t], out=cells[:now, t + 1]).addcmul_(input_gate, candidate)
            torch.tanh(cell, out=hidden[:now, t + 1]).mul_(output_gate)
            gates[now:, t] = 0
        return hidden, lambda d_hidden: _backward(gates, cells, weight, d_hidden, active)

    def clip(self, gradients: path.LayerGradients, squares: torch.Tensor, *, max_grad_norm: float) -> path.Clipped:
        """Form the gradients of a few units at a time; see `Path.clip`."""
        units, size = gradients.units, gradients.inputs.shape[2]
        delta, inputs, hidden = (
            rows.reshape(units, -1, rows.shape[2])
            for rows in (gradients.delta, gradients.inputs.detach(), gradients.hidden[:, :-1])
        )
        width, columns = delta.shape[2], size + hidden.shape[2] + 1
        total = torch.zeros(width * columns, dtype=torch.float64, device=delta.device)
        factors = torch.zeros(units, dtype=torch.float64, device=delta.device)
        step = max(1, self.elements // (width * columns))
        memory = torch.empty(min(step, units), width, columns, dtype=torch.float64, device=delta.device)
        for start in range(0, units, step):
            chunk = slice(start, start + step)
            z = torch.cat([inputs[chunk], hidden[chunk], torch.ones_like(hidden[chunk, :, :1])], 2)
            formed = memory[: len(z)].copy_(torch.bmm(delta[chunk].transpose(1, 2), z))
            bias = formed[:, :, -1]
            layer = _squares(formed.flatten(1)) + (gradients.biases - 1) * _squares(bias)
            factors[chunk] = path.factors_of(gradients.gain**2 * layer + squares[chunk], max_grad_norm)
            total.addmv_(finite_rows(formed.flatten(1), factors[chunk] > 0).t(), factors[chunk])
        weights, recurrent, bias = (gradients.gain * total).view(width, columns).tensor_split([size, columns - 1], 1)
        return path.Clipped(weights, recurrent, bias.squeeze(1), factors)

    def word_squares(self, delta: torch.Tensor, words: torch.Tensor, vocabulary: int) -> torch.Tensor:
        """Add up equal words of each unit; see `Path.word_squares`."""
        units = len(words)
        owner = torch.arange(units, device=words.device).unsqueeze(1)
        keys, places = torch.unique(words + owner * vocabulary, return_inverse=True)
        rows = torch.zeros(len(keys), delta.shape[2], dtype=torch.float64, device=delta.device)
        rows.index_add_(0, places.flatten(), delta.flatten(0, 1).double())
        squares = torch.zeros(units, dtype=torch.float64, device=delta.device)
        return squares.index_add_(0, keys // vocabulary, _squares(rows))

    def add_words(self, total: torch.Tensor, delta: torch.Tensor, words: torch.Tensor, factors: torch.Tensor) -> None:
        """Scale and add all rows at once; see `Path.add_words`."""
        scaled = finite_rows(delta, factors > 0) * factors.view(-1, 1, 1)
        total.index_add_(0, words.flatten(), scaled.flatten(0, 1))

    def gaussians(self, words: torch.Tensor) -> torch.Tensor:
        """Transform all at once; see `Path.gaussians`."""
        uniforms, angles = _uniforms(words)
        half_radii = _logarithms(uniforms.neg_().add_(0.5)).mul_(-0.5).sqrt_()
        angles *= 2.0 * math.pi
        sums: torch.Tensor = angles.new_empty(2, words.shape[2])
        torch.sum(torch.cos(angles).mul_(half_radii), 0, out=sums[0])
        torch.sum(angles.sin_().mul_(half_radii), 0, out=sums[1])
        return sums


TORCH = Torch()


def _backward(
    gates: torch.Tensor, cells: torch.Tensor, weight: torch.Tensor, d_hidden: torch.Tensor, active: list[int]
) -> torch.Tensor:
    """Replace the gates by the gradient with respect to their pre-activations, [B, T, 4H], from the last step on."""
    batch, steps, width = gates.shape
    d_cells, d_states = (gates.new_zeros(batch, width // 4) for _ in range(2))
    for t in range(steps - 1, -1, -1):
        now = active[t]
        input_gate, forget_gate, candidate, output_gate = gates[:now, t].chunk(4, 1)
        d_state, d_cell, tanh = d_hidden[:now, t] + d_states[:now], d_cells[:now], cells[:now, t + 1].tanh()
        through_tanh = d_state * tanh
        d_cell += torch.addcmul(d_state, through_tanh, tanh, value=-1).mul_(output_gate)
        d_input, d_forget, d_candidate = d_cell * candidate, d_cell * cells[:now, t], d_cell * input_gate
        d_cell *= forget_gate
        for gate, d_gate in ((input_gate, d_input), (forget_gate, d_forget), (output_gate, through_tanh)):
            gate.addcmul_(gate, gate, value=-1).mul_(d_gate)
        torch.addcmul(d_candidate, d_candidate * candidate, candidate, value=-1, out=candidate)
        torch.mm(gates[:now, t], weight, out=d_states[:now])
    return gates


def _active(lengths: torch.Tensor, steps: int) -> list[int]:
    """Return for each step how many texts, the first ones, contain all that have tokens left."""
    longest_from = lengths.cpu().flip(0).cummax(0).values
    positions = torch.arange(1, steps + 1)
    return (len(lengths) - torch.searchsorted(longest_from.contiguous(), positions)).tolist()


def _uniforms(words: torch.Tensor) -> torch.Tensor:
    """Return multiples of 2^-53 in [-1/2, 1/2), float64; on a processor by numpy, in a third of the time."""
    words >>= 11
    if words.device.type == "cpu":
        return torch.from_numpy(words.numpy() * 2.0**-53)
    return words.double() * 2.0**-53


def _logarithms(values: torch.Tensor) -> torch.Tensor:
    """Replace values by their logarithms; on a processor by numpy, in a third of the time."""
    if values.device.type == "cpu":
        np.log(values.numpy(), out=values.numpy())
        return values
    return values.log_()


def _squares(rows: torch.Tensor) -> torch.Tensor:
    norms: torch.Tensor = torch.linalg.vector_norm(rows, dim=1)  # `vecdot` would write all products to memory first
    return norms.square()


def finite_rows(rows: torch.Tensor, finite: torch.Tensor) -> torch.Tensor:
    """Return zeros in place of units whose gradient is not finite: zero times infinity would make the sum NaN."""
    if bool(finite.all()):
        return rows
    return torch.where(finite.view(-1, *[1] * (rows.dim() - 1)), rows, 0.0)
