"""The layers of the text classifiers, each with the tap that clipping needs where it is trained."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn

from privatekube.training import clipping
from privatekube.training.lstm_steps import path, torch_path

GAIN_OF_VECTORS = 0.01
"""Of what is added to trained vectors, so that its gradient does not fill the norm that a unit is clipped to."""

_TINY = 1e-12
"""Added to a squared length, so that zero has a gradient."""


class Embedding(nn.Module):
    """Rows of a weight [V, E] by token."""

    def __init__(self, vocabulary: int, size: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(vocabulary, size))
        self.steps: path.Path = torch_path.TORCH

    def forward(self, tokens: torch.Tensor) -> tuple[torch.Tensor, list[clipping.Tap]]:
        """Return the rows [B, T, E] of tokens [B, T], and the tap."""
        rows = nn.functional.embedding(tokens, self.weight)
        return rows, [clipping.EmbeddingTap(self.weight, tokens, rows, self.steps)]


@dataclass(frozen=True, eq=False)
class Read:
    """What a model reads of a batch.

    Args:
        direction: weighted sums [B, E] of the texts' vectors, scaled to length 1.
        leading: the leading numbers of the vectors, [B, T, size].
        taps: of the vectors, where they are trained.
    """

    direction: torch.Tensor
    leading: torch.Tensor
    taps: list[clipping.Tap]


class Vectors(nn.Module):
    """Public vectors of words, which are not trained, and how much each word counts [V]."""

    weight: torch.Tensor
    counts: torch.Tensor

    def __init__(self, size: int, counts: torch.Tensor) -> None:
        super().__init__()
        self.register_buffer("weight", torch.zeros(len(counts), size))
        self.register_buffer("counts", counts, persistent=False)

    def forward(self, tokens: torch.Tensor, lengths: torch.Tensor, *, leading: int = 0) -> Read:
        """Read the vectors of tokens [B, T], of which [B, T, E] is never formed."""
        amounts = self.amounts(tokens, lengths)
        summed = nn.functional.embedding_bag(tokens, self.weight, per_sample_weights=amounts, mode="sum")
        return Read(scaled(summed), nn.functional.embedding(tokens, self.weight[:, :leading]), [])

    def amounts(self, tokens: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
        """Return how much each token counts, [B, T]; padding does not."""
        return self.counts[tokens] * real(tokens.shape[1], lengths)


class TrainedVectors(Vectors):
    """Vectors of words that are public at first; what training adds to them starts at zero."""

    def __init__(self, size: int, counts: torch.Tensor) -> None:
        super().__init__(size, counts)
        self.added = Embedding(len(counts), size)

    def forward(self, tokens: torch.Tensor, lengths: torch.Tensor, *, leading: int = 0) -> Read:
        """Read the vectors of tokens [B, T]."""
        added, taps = self.added(tokens)
        rows = nn.functional.embedding(tokens, self.weight) + GAIN_OF_VECTORS * added
        summed = torch.bmm(self.amounts(tokens, lengths).unsqueeze(1), rows).squeeze(1)
        return Read(scaled(summed), rows[..., :leading], taps)


class Linear(nn.Module):
    """A linear layer on [B, in], with its tap; `gain` as that of `lstm.LSTM`."""

    def __init__(self, inputs: int, outputs: int, *, gain: float = 1.0) -> None:
        super().__init__()
        self.gain = gain
        self.weight = nn.Parameter(torch.empty(outputs, inputs))
        self.bias = nn.Parameter(torch.empty(outputs))

    def forward(self, inputs: torch.Tensor) -> tuple[torch.Tensor, list[clipping.Tap]]:
        """Return the map [B, out] of inputs [B, in], and the tap."""
        rows = inputs.unsqueeze(1)
        result = nn.functional.linear(rows, self.weight, self.bias)
        return self.gain * result.squeeze(1), [clipping.LinearTap(self.weight, (self.bias,), rows, result)]


class Bags(nn.Module):
    """A linear layer on bags of words, scaled to length 1, with its tap."""

    def __init__(self, vocabulary: int, outputs: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(vocabulary, outputs))
        self.bias = nn.Parameter(torch.empty(outputs))

    def forward(self, tokens: torch.Tensor, amounts: torch.Tensor) -> tuple[torch.Tensor, list[clipping.Tap]]:
        """Return the logits [B, out] of tokens [B, T] that count with amounts [B, T], and the tap."""
        squares = (amounts * _together(tokens, amounts)).sum(1)
        scale = torch.where(squares > 0, squares, 1.0).rsqrt()
        amounts, squared_lengths = amounts * scale.unsqueeze(1), squares * scale.square()
        summed = nn.functional.embedding_bag(tokens, self.weight, per_sample_weights=amounts, mode="sum")
        result = (summed + self.bias).unsqueeze(1)
        tap = clipping.BagTap(self.weight, (self.bias,), tokens, amounts, squared_lengths, result)
        return result.squeeze(1), [tap]


def _together(tokens: torch.Tensor, amounts: torch.Tensor) -> torch.Tensor:
    """Return for each position of tokens [B, T] the amounts [B, T] of all that are equal to it in its row, summed."""
    equal = tokens.unsqueeze(2) == tokens.unsqueeze(1)
    return torch.bmm(equal.to(amounts.dtype), amounts.unsqueeze(2)).squeeze(2)


def masked_mean(rows: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
    """Return the mean [B, E] of rows [B, T, E] over the first `lengths` [B] positions of each."""
    return (rows * real(rows.shape[1], lengths).unsqueeze(2)).sum(1) / lengths.unsqueeze(1)


def scaled(rows: torch.Tensor) -> torch.Tensor:
    """Return rows [B, E], each scaled to length 1; zero stays zero."""
    return rows * (rows.square().sum(1, keepdim=True) + _TINY).rsqrt()


def real(positions: int, lengths: torch.Tensor) -> torch.Tensor:
    """Return which positions are real tokens, bool [B, positions], of texts with `lengths` [B]."""
    return torch.arange(positions, device=lengths.device) < lengths.unsqueeze(1)
