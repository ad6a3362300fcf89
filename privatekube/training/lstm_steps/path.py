"""What an implementation of the LSTM's steps provides, so that layers, clipping and noise do not know which it is.

    hidden, backpropagate = path.run(projected, weight, bias, lengths)   # forward
    delta = backpropagate(d_hidden)                                      # back-propagation through time
    clipped = path.clip(gradients, squares, max_grad_norm=1.0)           # per unit, from delta
    noise = path.gaussians(words)                                        # from random bits

Time and memory depend on the lengths of the sampled texts, and those are private: an observer of a machine's clock or
memory learns about them from every implementation, as from the size of the Poisson sample. No length is logged.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import torch

Backpropagate = Callable[[torch.Tensor], torch.Tensor]


@dataclass(frozen=True, eq=False)
class LayerGradients:
    """What the gradients of a layer's parameters are formed from.

    Args:
        delta: [B, T, 4H], gradient of the summed loss with respect to the pre-activations; zero beyond a text's end.
        inputs: [B, T, E].
        hidden: [B, 1 + T, H], the first zero.
        lengths: int64 [B], tokens of each text, 1 to T.
        units: how many privacy units; unit u has the B / units texts from u * B / units on.
        biases: how many bias vectors the layer has; each counts in the norm.
        gain: what the parameters are multiplied by where they act.
    """

    delta: torch.Tensor
    inputs: torch.Tensor
    hidden: torch.Tensor
    lengths: torch.Tensor
    units: int
    biases: int
    gain: float


@dataclass(frozen=True, eq=False)
class Clipped:
    """Sums of clipped gradients of a layer, in float64.

    Args:
        inputs: [4H, E], of the weights of the inputs.
        hidden: [4H, H], of the recurrent weights.
        bias: [4H], of each bias.
        factors: [units], what each unit's gradient was multiplied by; 0 where it was not finite.
    """

    inputs: torch.Tensor
    hidden: torch.Tensor
    bias: torch.Tensor
    factors: torch.Tensor


class Path(Protocol):
    """An implementation of the steps, for the devices and types that it supports."""

    @property
    def name(self) -> str:
        """As it is printed: public."""

    @property
    def positions(self) -> int:
        """How many token positions of a physical batch are fastest."""

    def run(
        self, projected: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor, lengths: torch.Tensor
    ) -> tuple[torch.Tensor, Backpropagate]:
        """Run all steps of the recurrence.

        Args:
            projected: [B, T, 4H], projections of the inputs, without the bias; its memory may be overwritten.
            weight: [4H, H], of the recurrence.
            bias: [4H]; added where a step uses it, which takes less time than in the projections of all steps.
            lengths: int64 [B], 1 to T; fastest where longer texts come first.

        Returns:
            Hidden states [B, 1 + T, H], the first zero, finite but without a meaning beyond a text's end; and the
            function from the gradient [B, T, H] of all but the first to that of `projected`, which may be called once.
        """

    def clip(self, gradients: LayerGradients, squares: torch.Tensor, *, max_grad_norm: float) -> Clipped:
        """Sum the gradients of a layer over units, each scaled to a norm of at most `max_grad_norm`.

        Args:
            gradients: of the layer.
            squares: float64 [units], squared norms of each unit's gradients of all other parameters.
            max_grad_norm: the clipping norm.
        """

    def word_squares(self, delta: torch.Tensor, words: torch.Tensor, vocabulary: int) -> torch.Tensor:
        """Return the squared norms, float64 [U], of an embedding's gradients.

        Args:
            delta: [U, R, E], gradient with respect to the embedded words.
            words: int64 or int32 [U, R]; a word that a unit has twice has one row, the sum of both.
            vocabulary: V, above all words.
        """

    def add_words(self, total: torch.Tensor, delta: torch.Tensor, words: torch.Tensor, factors: torch.Tensor) -> None:
        """Add an embedding's gradients, each unit's multiplied by its factor, to `total`.

        Args:
            total: float64 [V, E].
            delta: [U, R, E], gradient with respect to the embedded words.
            words: int64 or int32 [U, R].
            factors: float64 [U]; a unit with factor 0 adds nothing, even if it is not finite.
        """

    def gaussians(self, words: torch.Tensor) -> torch.Tensor:
        """Return standard Gaussians, float64 [2, n], each half the sum of four of Box and Muller's transform.

        Args:
            words: int64 [2, 4, n], all bits random, of which the highest 53 are used: the first four are of the radii,
                the others of the angles, whose cosines and sines go to different sums. The memory may be overwritten.
        """


def factors_of(squares: torch.Tensor, max_grad_norm: float) -> torch.Tensor:
    """Return min(1, C / norm) for squared norms [U]; 0 where one is not finite."""
    norms = squares.sqrt()
    return torch.where(norms.isfinite(), (max_grad_norm / norms).clamp(max=1.0), 0.0)
