"""Exact clipping per privacy unit, for any model that is made of linear maps and embeddings.

The gradient of one example with respect to the weight of a linear map a = z W^T + b is delta^T z, where delta is the
gradient of that example's loss with respect to a. A model's forward therefore returns, beside the logits, a *tap* for
each such map: its parameters, z and a. One backward pass gives all deltas: examples do not interact inside a model, so
the gradient of the summed loss with respect to an example's a is the gradient of that example's loss.

Per-unit gradients are formed a few units at a time, so that memory does not grow with the batch. From there on, all is
in float64: in float32, the norm of a unit is off by up to 1e-4, and so is the sum of many.
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


Tap = LinearTap | EmbeddingTap


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

    tap: EmbeddingTap
    tokens: torch.Tensor
    delta: torch.Tensor

    def squared_norms(self) -> torch.Tensor:
        """Return the squared norms [U]; a token that occurs twice in a unit has one gradient row, the sum of both."""
        units, vocabulary = len(self.tokens), len(self.tap.weight)
        owner = torch.arange(units, device=self.tokens.device).unsqueeze(1)
        keys, places = torch.unique(self.tokens + owner * vocabulary, return_inverse=True)
        rows = self.delta.new_zeros(len(keys), self.delta.shape[2])
        rows.index_add_(0, places.flatten(), self.delta.flatten(0, 1))
        return self.delta.new_zeros(units).index_add_(0, keys // vocabulary, rows.square().sum(1))

    def add(self, sums: Sums, factors: torch.Tensor, finite: torch.Tensor) -> None:
        scaled = _finite_rows(self.delta, finite) * factors.view(-1, 1, 1)
        sums[self.tap.weight].index_add_(0, self.tokens.flatten(), scaled.flatten(0, 1))


def _part(tap: Tap, delta: torch.Tensor, units: int, chunk: slice) -> _LinearPart | _EmbeddingPart:
    if isinstance(tap, EmbeddingTap):
        return _EmbeddingPart(tap, _by_unit(tap.tokens, units)[chunk], delta.double())
    weights = torch.bmm(delta.transpose(1, 2), _by_unit(tap.inputs.detach(), units)[chunk])
    return _LinearPart(tap, weights.flatten(1).double(), delta.double().sum(1))


def _by_unit(rows: torch.Tensor, units: int) -> torch.Tensor:
    """Reshape [B, R, ...] to [units, B / units * R, ...]."""
    return rows.reshape(units, -1, *rows.shape[2:])


def _chunks(taps: Sequence[Tap], units: int) -> Iterator[slice]:
    formed = sum(tap.weight.numel() for tap in taps if isinstance(tap, LinearTap))
    step = max(1, feasibility.GRADIENT_ELEMENTS // max(1, formed))
    return (slice(start, start + step) for start in range(0, units, step))


def _parameters(tap: Tap) -> tuple[nn.Parameter, ...]:
    return (tap.weight, *tap.biases) if isinstance(tap, LinearTap) else (tap.weight,)


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
