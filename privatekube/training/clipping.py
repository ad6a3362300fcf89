"""Exact clipping per privacy unit, for any model that is made of linear maps and embeddings.

The gradient of one example with respect to the weight of a linear map a = z W^T + b is delta^T z, where delta is the
gradient of that example's loss with respect to a. A model's forward therefore returns, beside the logits, a *tap* for
each such map: its parameters, z and a. One backward pass gives all deltas: examples do not interact inside a model, so
the gradient of the summed loss with respect to an example's a is the gradient of that example's loss.

Per-unit gradients are formed a few units at a time, so that memory does not grow with the batch. From there on, all is
in float64: in float32, the norm of a unit is off by up to 1e-4, and so is the sum of many. The gradient of a map that a
unit applies once is an outer product, whose norm is the product of two norms (Goodfellow, "Efficient Per-Example
Gradient Computations", 2015): it is never formed. Those of an LSTM are most of the work; they are formed, clipped and
added in one pass, after the norms of all others are known, by one of the implementations of `lstm_steps`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import nn

from privatekube import errors
from privatekube.training import feasibility
from privatekube.training.lstm_steps import path, torch_path

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
        steps: forms its norms and sums.
    """

    weight: nn.Parameter
    tokens: torch.Tensor
    outputs: torch.Tensor
    steps: path.Path = torch_path.TORCH


@dataclass(frozen=True, eq=False)
class RecurrentTap:
    """An LSTM that a forward pass applied; a model has at most one.

    Args:
        input_weight: [4H, E].
        recurrent_weight: [4H, H].
        biases: any number of [4H]; each is a parameter and counts in the norm.
        inputs: [B, T, E]; not differentiated.
        hidden: [B, 1 + T, H], the states before and after each step; not differentiated.
        lengths: int64 [B], tokens of each text.
        gain: what the parameters are multiplied by where they act.
        outputs: [B, T, 4H], the pre-activations, in the graph of the loss.
        steps: forms its norms and sums.
    """

    input_weight: nn.Parameter
    recurrent_weight: nn.Parameter
    biases: tuple[nn.Parameter, ...]
    inputs: torch.Tensor
    hidden: torch.Tensor
    lengths: torch.Tensor
    gain: float
    outputs: torch.Tensor
    steps: path.Path


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


_Simple = LinearTap | EmbeddingTap | BagTap
Tap = _Simple | RecurrentTap


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
        InvalidInput: a parameter is in two taps, whose contributions would have to be added before the norm; or two
            taps are recurrent.
    """
    parameters = [p for tap in taps for p in _parameters(tap)]
    if len(set(parameters)) != len(parameters):
        raise errors.InvalidInput("taps: a parameter is in two taps; give each parameter one tap")
    sums = {p: zeros_for(p) for p in parameters}
    if units == 0:
        return sums
    simple = [tap for tap in taps if not isinstance(tap, RecurrentTap)]
    recurrent = _at_most_one([tap for tap in taps if isinstance(tap, RecurrentTap)])
    outputs = list({id(tap.outputs): tap.outputs for tap in taps}.values())
    gradients = torch.autograd.grad(loss, outputs)
    deltas = {id(output): delta for output, delta in zip(outputs, gradients, strict=True)}
    for chunk in _chunks(simple, units):
        parts = [_part(tap, _by_unit(deltas[id(tap.outputs)], units)[chunk], units, chunk) for tap in simple]
        squares = sum((part.squared_norms() for part in parts), loss.new_zeros((), dtype=torch.float64))
        if recurrent is None:
            factors = path.factors_of(squares, max_grad_norm)
        else:
            layer = _layer(recurrent, deltas[id(recurrent.outputs)], units, chunk)
            factors = _add_clipped(sums, recurrent, layer, squares, max_grad_norm)
        for part in parts:
            part.add(sums, factors)
    return sums


def _at_most_one(taps: list[RecurrentTap]) -> RecurrentTap | None:
    if len(taps) > 1:
        raise errors.InvalidInput(f"taps: {len(taps)} are recurrent; a model may have one LSTM")
    return taps[0] if taps else None


def _layer(tap: RecurrentTap, delta: torch.Tensor, units: int, chunk: slice) -> path.LayerGradients:
    each = len(delta) // units
    texts = slice(chunk.start * each, min(chunk.stop, units) * each)
    return path.LayerGradients(
        delta[texts],
        tap.inputs.detach()[texts],
        tap.hidden.detach()[texts],
        tap.lengths[texts],
        units=(texts.stop - texts.start) // each,
        biases=len(tap.biases),
        gain=tap.gain,
    )


def _add_clipped(
    sums: Sums, tap: RecurrentTap, layer: path.LayerGradients, squares: torch.Tensor, max_grad_norm: float
) -> torch.Tensor:
    """Add the clipped gradients of an LSTM, and return the units' factors, which hold for all parameters."""
    clipped = tap.steps.clip(layer, squares.expand(layer.units), max_grad_norm=max_grad_norm)
    sums[tap.input_weight] += clipped.inputs
    sums[tap.recurrent_weight] += clipped.hidden
    for bias in tap.biases:
        sums[bias] += clipped.bias
    return clipped.factors


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

    def add(self, sums: Sums, factors: torch.Tensor) -> None:
        sums[self.tap.weight] += (factors @ torch_path.finite_rows(self.weights, factors > 0)).view_as(self.tap.weight)
        for bias in self.tap.biases:
            sums[bias] += factors @ torch_path.finite_rows(self.bias, factors > 0)


@dataclass(frozen=True, eq=False)
class _EmbeddingPart:
    """Per-unit gradients of some units for one embedding, row by row: delta [U, R, E] at tokens [U, R]."""

    weight: nn.Parameter
    tokens: torch.Tensor
    delta: torch.Tensor
    steps: path.Path

    def squared_norms(self) -> torch.Tensor:
        """Return the squared norms [U]; a token that occurs twice in a unit has one gradient row, the sum of both."""
        return self.steps.word_squares(self.delta, self.tokens, len(self.weight))

    def add(self, sums: Sums, factors: torch.Tensor) -> None:
        self.steps.add_words(sums[self.weight], self.delta, self.tokens, factors)


@dataclass(frozen=True, eq=False)
class _OuterPart:
    """Gradients of units that each apply a linear map once, as delta [U, out] and inputs [U, in]; never multiplied."""

    tap: LinearTap
    delta: torch.Tensor
    inputs: torch.Tensor

    def squared_norms(self) -> torch.Tensor:
        return _squares(self.delta) * (_squares(self.inputs) + len(self.tap.biases))

    def add(self, sums: Sums, factors: torch.Tensor) -> None:
        scaled = torch_path.finite_rows(self.delta, factors > 0) * factors.unsqueeze(1)
        sums[self.tap.weight] += scaled.t() @ torch_path.finite_rows(self.inputs, factors > 0)
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

    def add(self, sums: Sums, factors: torch.Tensor) -> None:
        scaled = torch_path.finite_rows(self.delta, factors > 0) * factors.unsqueeze(1)
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

    def add(self, sums: Sums, factors: torch.Tensor) -> None:
        self.rows.add(sums, factors)
        for bias in self.biases:
            sums[bias] += factors @ torch_path.finite_rows(self.bias, factors > 0)


_Part = _LinearPart | _EmbeddingPart | _OuterPart | _BagPart | _BagsPart


def _part(tap: _Simple, delta: torch.Tensor, units: int, chunk: slice) -> _Part:
    match tap:
        case EmbeddingTap():
            return _EmbeddingPart(tap.weight, _by_unit(tap.tokens, units)[chunk], delta, tap.steps)
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
    return _BagsPart(_EmbeddingPart(tap.weight, tokens, rows, torch_path.TORCH), tap.biases, delta.sum(1))


def _by_unit(rows: torch.Tensor, units: int) -> torch.Tensor:
    """Reshape [B, R, ...] to [units, B / units * R, ...]."""
    return rows.reshape(units, -1, *rows.shape[2:])


def _chunks(taps: Sequence[_Simple], units: int) -> Iterator[slice]:
    formed = sum(_formed(tap, units) for tap in taps)
    step = max(1, feasibility.GRADIENT_ELEMENTS // max(1, formed))
    return (slice(start, start + step) for start in range(0, units, step))


def _formed(tap: _Simple, units: int) -> int:
    """Return how many numbers are formed of each unit for a tap."""
    match tap:
        case LinearTap():
            is_once = len(tap.outputs) * tap.outputs.shape[1] == units
            return sum(tap.weight.shape) if is_once else tap.weight.numel()
        case BagTap():
            return tap.tokens.numel() // max(1, units) * tap.weight.shape[1]
    return 0


def _parameters(tap: Tap) -> tuple[nn.Parameter, ...]:
    match tap:
        case EmbeddingTap():
            return (tap.weight,)
        case RecurrentTap():
            return (tap.input_weight, tap.recurrent_weight, *tap.biases)
    return (tap.weight, *tap.biases)


def _squares(rows: torch.Tensor) -> torch.Tensor:
    squares: torch.Tensor = torch.linalg.vecdot(rows, rows)
    return squares
