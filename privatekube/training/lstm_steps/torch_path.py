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
    """The steps as a loop over tensors that are laid out time first, with back-propagation written by hand.

    Everything that does not depend on the recurrence is computed for all steps at once. A step computes no more texts
    than have tokens left, where longer texts come first.
    """

    name: str = "torch"
    positions: int = feasibility.BATCH_POSITIONS >> 2

    def run(
        self, projected: torch.Tensor, weight: torch.Tensor, lengths: torch.Tensor
    ) -> tuple[torch.Tensor, path.Backpropagate]:
        """Run all steps; see `Path.run`."""
        time_first, transposed = projected.detach().transpose(0, 1), weight.detach().t().contiguous()
        steps, batch, width = time_first.shape
        size = width // 4
        active = _active(lengths, steps)
        gates = projected.new_zeros(steps, batch, width)
        hidden, cells = (projected.new_zeros(steps + 1, batch, size) for _ in range(2))
        for t, now in enumerate(active):
            activations = torch.addmm(time_first[t, :now], hidden[t, :now], transposed, out=gates[t, :now])
            activations[:, : 2 * size].sigmoid_()
            activations[:, 2 * size : 3 * size].tanh_()
            activations[:, 3 * size :].sigmoid_()
            input_gate, forget_gate, candidate, output_gate = activations.chunk(4, 1)
            cell = torch.mul(forget_gate, cells[t, :now], out=cells[t + 1, :now]).addcmul_(input_gate, candidate)
            torch.tanh(cell, out=hidden[t + 1, :now]).mul_(output_gate)
        return hidden.transpose(0, 1), lambda d_hidden: _backward(gates, cells, weight, d_hidden, active)

    def clip(self, gradients: path.LayerGradients, squares: torch.Tensor, *, max_grad_norm: float) -> path.Clipped:
        """Form the gradients of a few units at a time; see `Path.clip`."""
        units, size = gradients.units, gradients.inputs.shape[2]
        hidden = gradients.hidden[:, :-1]
        z = torch.cat([gradients.inputs.detach(), hidden, torch.ones_like(hidden[..., :1])], 2)
        z, delta = (rows.reshape(units, -1, rows.shape[2]) for rows in (z, gradients.delta))
        width, columns = delta.shape[2], z.shape[2]
        total = torch.zeros(width * columns, dtype=torch.float64, device=z.device)
        factors = torch.zeros(units, dtype=torch.float64, device=z.device)
        step = max(1, feasibility.GRADIENT_ELEMENTS // (width * columns))
        for start in range(0, units, step):
            chunk = slice(start, start + step)
            formed = torch.bmm(delta[chunk].transpose(1, 2), z[chunk]).double()
            bias = formed[:, :, -1]
            layer = _squares(formed.flatten(1)) + (gradients.biases - 1) * _squares(bias)
            factors[chunk] = path.factors_of(gradients.gain**2 * layer + squares[chunk], max_grad_norm)
            total += factors[chunk] @ finite_rows(formed.flatten(1), factors[chunk] > 0)
        inputs, recurrent, bias = (gradients.gain * total).view(width, columns).tensor_split([size, columns - 1], 1)
        return path.Clipped(inputs, recurrent, bias.squeeze(1), factors)

    def word_squares(self, delta: torch.Tensor, words: torch.Tensor, vocabulary: int) -> torch.Tensor:
        """Add up equal words of each unit; see `Path.word_squares`."""
        units = len(words)
        owner = torch.arange(units, device=words.device).unsqueeze(1)
        keys, places = torch.unique(words + owner * vocabulary, return_inverse=True)
        rows = torch.zeros(len(keys), delta.shape[2], dtype=torch.float64, device=delta.device)
        rows.index_add_(0, places.flatten(), delta.flatten(0, 1).double())
        squares = torch.zeros(units, dtype=torch.float64, device=delta.device)
        return squares.index_add_(0, keys // vocabulary, rows.square().sum(1))

    def add_words(self, total: torch.Tensor, delta: torch.Tensor, words: torch.Tensor, factors: torch.Tensor) -> None:
        """Scale and add all rows at once; see `Path.add_words`."""
        scaled = finite_rows(delta.double(), factors > 0) * factors.view(-1, 1, 1)
        total.index_add_(0, words.flatten(), scaled.flatten(0, 1))

    def gaussians(self, words: torch.Tensor) -> torch.Tensor:
        """Transform all at once; see `Path.gaussians`."""
        uniforms = _uniforms(words)
        radii = _logarithms(0.5 - uniforms[0]).mul_(-2.0).sqrt_()
        angles = uniforms[1].mul_(2.0 * math.pi)
        sums = torch.stack([torch.cos(angles).mul_(radii).sum(0), angles.sin_().mul_(radii).sum(0)])
        return sums.mul_(0.5)


TORCH = Torch()


def _backward(
    gates: torch.Tensor, cells: torch.Tensor, weight: torch.Tensor, d_hidden: torch.Tensor, active: list[int]
) -> torch.Tensor:
    """Return the gradient with respect to the pre-activations, [B, T, 4H]."""
    steps, batch, width = gates.shape
    d_output = d_hidden.transpose(0, 1)
    input_gate, forget_gate, candidate, output_gate = gates.view(steps, batch, 4, width // 4).unbind(2)
    tanh = torch.tanh(cells[1:])
    to_cell = torch.addcmul(output_gate, output_gate * tanh, tanh, value=-1)
    delta = torch.addcmul(gates, gates, gates, value=-1).view(steps, batch, 4, width // 4)
    to_input, to_forget, to_candidate, to_output = delta.unbind(2)
    to_input.mul_(candidate)
    to_forget.mul_(cells[:-1])
    torch.addcmul(input_gate, input_gate * candidate, candidate, value=-1, out=to_candidate)
    to_output.mul_(tanh)
    d_cell, d_state = gates.new_zeros(batch, width // 4), gates.new_zeros(batch, width // 4)
    for t in range(steps - 1, -1, -1):
        now = active[t]
        d_now = d_output[t + 1, :now] + d_state[:now]
        d_cell[:now].addcmul_(d_now, to_cell[t, :now])
        delta[t, :now, :3].mul_(d_cell[:now].unsqueeze(1))
        delta[t, :now, 3].mul_(d_now)
        d_cell[:now].mul_(forget_gate[t, :now])
        torch.mm(delta[t, :now].view(now, width), weight, out=d_state[:now])
    return delta.view(steps, batch, width).transpose(0, 1)


def _active(lengths: torch.Tensor, steps: int) -> list[int]:
    """Return for each step how many texts, the first ones, contain all that have tokens left."""
    longest_from = lengths.cpu().flip(0).cummax(0).values
    positions = torch.arange(1, steps + 1)
    return (len(lengths) - torch.searchsorted(longest_from.contiguous(), positions)).tolist()


def _uniforms(words: torch.Tensor) -> torch.Tensor:
    """Return multiples of 2^-53 in [-1/2, 1/2); on a processor by numpy, in a third of the time."""
    if words.device.type == "cpu":
        return torch.from_numpy((words.numpy() >> 11) * 2.0**-53)
    return (words >> 11) * 2.0**-53


def _logarithms(values: torch.Tensor) -> torch.Tensor:
    """Replace values by their logarithms; on a processor by numpy, in a third of the time."""
    if values.device.type == "cpu":
        np.log(values.numpy(), out=values.numpy())
        return values
    return values.log_()


def _squares(rows: torch.Tensor) -> torch.Tensor:
    squares: torch.Tensor = torch.linalg.vecdot(rows, rows)
    return squares


def finite_rows(rows: torch.Tensor, finite: torch.Tensor) -> torch.Tensor:
    """Return zeros in place of units whose gradient is not finite: zero times infinity would make the sum NaN."""
    if bool(finite.all()):
        return rows
    return torch.where(finite.view(-1, *[1] * (rows.dim() - 1)), rows, 0.0)
