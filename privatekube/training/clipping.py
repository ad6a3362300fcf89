"""Exact clipping per privacy unit, for any model that is made of linear maps and embeddings.

The gradient of one example with respect to the weight of a linear map a = z W^T + b is delta^T z, where delta is the
gradient of that example's loss with respect to a. A model's forward therefore returns, beside the logits, a *tap* for
each such map: its parameters, z and a. One backward pass gives all deltas: examples do not interact inside a model, so
the gradient of the summed loss with respect to an example's a is the gradient of that example's loss.

Per-unit gradients are formed a few units at a time, so that memory does not grow with the batch. From there on, all is
in float64: in float32, the norm of a unit is off by up to 1e-4, and so is the sum of many. The gradient of a map that a
unit applies once is an outer product, whose norm is the product of two norms (Goodfellow, "Efficient Per-Example
Gradient Computations", 2015): it is never formed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import nn

from privatekube import errors
from privatekube.training import feasibility

Sums = dict[nn.Parameter, torch.Tensor]


@dataclass(frozen=True, eq=False)
class LinearTap:
    """A linear map that a forward pass applied, possibly at many positions of an example.

    Args:
        weight: [out, in].
        biases: any number of [out]; each is a parameter and counts in the norm.
        inputs: z, [B, R, in], the arguments of the map at each of R positions; not differentiated.
        outputs: a, [B, R, out], in the graph of the loss.
    """

    weight: nn.Parameter
    biases: tuple[nn.Parameter, ...]
    inputs: torch.Tensor
    outputs: torch.Tensor


@dataclass(frozen=True, eq=False)
class EmbeddingTap:
    """An embedding that a forward pass applied.

    Args:
        weight: [V, E].
        tokens: int64 or int32 [B, R].
        outputs: [B, R, E], in the graph of the loss.
    """

    weight: nn.Parameter
    tokens: torch.Tensor
    outputs: torch.Tensor


@dataclass(frozen=True, eq=False)
class BagTap:
    """A linear map of bags of words that a forward pass applied: rows of the weight, weighted and summed.

    Args:
        weight: [V, out].
        biases: any number of [out]; each is a parameter and counts in the norm.
        tokens: int64 or int32 [B, R].
        amounts: [B, R], how much each token counts; equal tokens add up.
        squared_lengths: [B], of the bags as vectors of V numbers.
        outputs: [B, 1, out], in the graph of the loss.
    """

    weight: nn.Parameter
    biases: tuple[nn.Parameter, ...]
    tokens: torch.Tensor
    amounts: torch.Tensor
    squared_lengths: torch.Tensor
    outputs: torch.Tensor


Tap = LinearTap | EmbeddingTap | BagTap


def clipped_sums(loss: torch.Tensor, taps: Sequence[Tap], *, units: int, max_grad_norm: float) -> Sums:
    """Return the sum over units of each unit's gradient, scaled down to a norm of at most `max_grad_norm`.

    The norm is over all parameters.

    Args:
        loss: the sum (not the mean) of the examples' losses.
        taps: of the forward pass that gave the loss; each parameter in one tap only.
        units: how many privacy units the B examples belong to: unit u has the B / units examples from u * B / units on,
            and its gradient is the sum of theirs.
        max_grad_norm: the clipping norm C; the factor of a unit is min(1, C / norm).

    Returns:
        For each tapped parameter the clipped sum, in the parameter's shape and in float64. A unit whose gradient is not
        finite adds nothing.

    Raises:
        InvalidInput: a parameter is in two taps; their contributions would have to be added before the norm.
    """
    parameters = [p for tap in taps for p in _parameters(tap)]
    if len(set(parameters)) != len(parameters):
        raise errors.InvalidInput("taps: a parameter is in two taps; give each parameter one tap")
    outputs = list({id(tap.outputs): tap.outputs for tap in taps}.values())
    gradients = torch.autograd.grad(loss, outputs)
    deltas = {id(output): _by_unit(delta, units) for output, delta in zip(outputs, gradients, strict=True)}
    sums = {p: zeros_for(p) for p in parameters}
    for chunk in _chunks(taps, units):
        parts = [_part(tap, deltas[id(tap.outputs)][chunk], units, chunk) for tap in taps]
        norms = torch.stack([part.squared_norms() for part in parts]).sum(0).sqrt()
        finite = norms.isfinite()
        factors = torch.where(finite, (max_grad_norm / norms).clamp(max=1.0), 0.0)
        for part in parts:
            part.add(sums, factors, finite)
    return sums


def zeros_for(parameter: nn.Parameter) -> torch.Tensor:
    """Return a sum of no gradients: float64 zeros of the parameter's shape."""
    return torch.zeros_like(parameter, dtype=torch.float64, requires_grad=False)


@dataclass(frozen=True, eq=False)
class _LinearPart:
    """Per-unit gradients of some units for one linear map: weights [U, out * in] and bias [U, out]."""

    tap: LinearTap
    weights: torch.Tensor
    bias: torch.Tensor

    def squared_norms(self) -> torch.Tensor:
        return _squares(self.weights) + len(self.tap.biases) * _squares(self.bias)

    def add(self, sums: Sums, factors: torch.Tensor, finite: torch.Tensor) -> None:
        sums[self.tap.weight] += (factors @ _finite_rows(self.weights, finite)).view_as(self.tap.weight)
        for bias in self.tap.biases:
            sums[bias] += factors @ _finite_rows(self.bias, finite)


@dataclass(frozen=True, eq=False)
class _EmbeddingPart:
    """Per-unit gradients of some units for one embedding, row by row: delta [U, R, E] at tokens [U, R]."""

    weight: nn.Parameter
    tokens: torch.Tensor
    delta: torch.Tensor

    def squared_norms(self) -> torch.Tensor:
        """Return the squared norms [U]; a token that occurs twice in a unit has one gradient row, the sum of both."""
        units, vocabulary = len(self.tokens), len(self.weight)
        owner = torch.arange(units, device=self.tokens.device).unsqueeze(1)
        keys, places = torch.unique(self.tokens + owner * vocabulary, return_inverse=True)
        rows = self.delta.new_zeros(len(keys), self.delta.shape[2])
        rows.index_add_(0, places.flatten(), self.delta.flatten(0, 1))
        return self.delta.new_zeros(units).index_add_(0, keys // vocabulary, rows.square().sum(1))

    def add(self, sums: Sums, factors: torch.Tensor, finite: torch.Tensor) -> None:
        scaled = _finite_rows(self.delta, finite) * factors.view(-1, 1, 1)
        sums[self.weight].index_add_(0, self.tokens.flatten(), scaled.flatten(0, 1))


@dataclass(frozen=True, eq=False)
class _OuterPart:
    """Gradients of units that each apply a linear map once, as delta [U, out] and inputs [U, in]; never multiplied."""

    tap: LinearTap
    delta: torch.Tensor
    inputs: torch.Tensor

    def squared_norms(self) -> torch.Tensor:
        return _squares(self.delta) * (_squares(self.inputs) + len(self.tap.biases))

    def add(self, sums: Sums, factors: torch.Tensor, finite: torch.Tensor) -> None:
        scaled = _finite_rows(self.delta, finite) * factors.unsqueeze(1)
        sums[self.tap.weight] += scaled.t() @ _finite_rows(self.inputs, finite)
        for bias in self.tap.biases:
            sums[bias] += scaled.sum(0)


@dataclass(frozen=True, eq=False)
class _BagPart:
    """Gradients of units of one bag each: delta [U, out], and tokens and their amounts [U, R]."""

    tap: BagTap
    delta: torch.Tensor
    tokens: torch.Tensor
    amounts: torch.Tensor
    squared_lengths: torch.Tensor

    def squared_norms(self) -> torch.Tensor:
        return _squares(self.delta) * (self.squared_lengths + len(self.tap.biases))

    def add(self, sums: Sums, factors: torch.Tensor, finite: torch.Tensor) -> None:
        scaled = _finite_rows(self.delta, finite) * factors.unsqueeze(1)
        rows = self.amounts.unsqueeze(2) * scaled.unsqueeze(1)
        sums[self.tap.weight].index_add_(0, self.tokens.flatten(), rows.flatten(0, 1))
        for bias in self.tap.biases:
            sums[bias] += scaled.sum(0)


@dataclass(frozen=True, eq=False)
class _BagsPart:
    """Gradients of units of several bags each: those of the weight row by row, and of each bias [U, out]."""

    rows: _EmbeddingPart
    biases: tuple[nn.Parameter, ...]
    bias: torch.Tensor

    def squared_norms(self) -> torch.Tensor:
        return self.rows.squared_norms() + len(self.biases) * _squares(self.bias)

    def add(self, sums: Sums, factors: torch.Tensor, finite: torch.Tensor) -> None:
        self.rows.add(sums, factors, finite)
        for bias in self.biases:
            sums[bias] += factors @ _finite_rows(self.bias, finite)


_Part = _LinearPart | _EmbeddingPart | _OuterPart | _BagPart | _BagsPart


def _part(tap: Tap, delta: torch.Tensor, units: int, chunk: slice) -> _Part:
    match tap:
        case EmbeddingTap():
            return _EmbeddingPart(tap.weight, _by_unit(tap.tokens, units)[chunk], delta.double())
        case BagTap():
            return _part_of_bags(tap, delta.double(), units, chunk)
    inputs = _by_unit(tap.inputs.detach(), units)[chunk]
    if delta.shape[1] == 1:
        return _OuterPart(tap, delta[:, 0].double(), inputs[:, 0].double())
    weights = torch.bmm(delta.transpose(1, 2), inputs)
    return _LinearPart(tap, weights.flatten(1).double(), delta.double().sum(1))


def _part_of_bags(tap: BagTap, delta: torch.Tensor, units: int, chunk: slice) -> _BagPart | _BagsPart:
    """Return the part of units with delta [U, M, out] of their M bags."""
    tokens, amounts = _by_unit(tap.tokens, units)[chunk], _by_unit(tap.amounts, units)[chunk].double()
    if delta.shape[1] == 1:
        return _BagPart(tap, delta[:, 0], tokens, amounts, tap.squared_lengths[chunk].double())
    rows = amounts.unsqueeze(2) * delta.repeat_interleave(tokens.shape[1] // delta.shape[1], 1)
    return _BagsPart(_EmbeddingPart(tap.weight, tokens, rows), tap.biases, delta.sum(1))


def _by_unit(rows: torch.Tensor, units: int) -> torch.Tensor:
    """Reshape [B, R, ...] to [units, B / units * R, ...]."""
    return rows.reshape(units, -1, *rows.shape[2:])


def _chunks(taps: Sequence[Tap], units: int) -> Iterator[slice]:
    formed = sum(_formed(tap, units) for tap in taps)
    step = max(1, feasibility.GRADIENT_ELEMENTS // max(1, formed))
    return (slice(start, start + step) for start in range(0, units, step))


def _formed(tap: Tap, units: int) -> int:
    """Return how many numbers are formed of each unit for a tap."""
    match tap:
        case LinearTap():
            is_once = len(tap.outputs) * tap.outputs.shape[1] == units
            return sum(tap.weight.shape) if is_once else tap.weight.numel()
        case BagTap():
            return tap.tokens.numel() // max(1, units) * tap.weight.shape[1]
    return 0


def _parameters(tap: Tap) -> tuple[nn.Parameter, ...]:
    return (tap.weight,) if isinstance(tap, EmbeddingTap) else (tap.weight, *tap.biases)


def _squares(rows: torch.Tensor) -> torch.Tensor:
    squares: torch.Tensor = torch.linalg.vecdot(rows, rows)
    return squares


def _finite_rows(rows: torch.Tensor, finite: torch.Tensor) -> torch.Tensor:
    """Return zeros in place of units whose gradient is not finite: zero times infinity would make the sum NaN."""
    if bool(finite.all()):
        return rows
    return torch.where(finite.view(-1, *[1] * (rows.dim() - 1)), rows, 0.0)


def untapped(module: nn.Module, sums: Mapping[nn.Parameter, torch.Tensor]) -> list[str]:
    """Return the names of trainable parameters in no tap: their gradient would be neither clipped nor noised."""
    return [name for name, p in module.named_parameters() if p.requires_grad and p not in sums]
