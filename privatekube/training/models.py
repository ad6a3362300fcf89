"""The text classifiers: `lstm`, and three smaller ones, `bow`, `feedforward` and `linear`.

Each is a class and an entry in `ARCHITECTURES`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields

import torch
from torch import nn

from privatekube import errors
from privatekube.training import clipping, lstm, word_weights

# A small epsilon allows few and noisy steps, and Adam moves each weight by about as much for noise as for signal. So
# the weights that must be learnt start small, and those that carry their gradient start large.

_EMBEDDING_SCALE = 0.05
"""Words start almost alike, so that training does not have to undo their initial meaning."""

_READING_GAIN = 6.0
"""Weights that read embeddings: standard deviation times the root of the embedding's size."""

_OUTPUT_SCALE = 5.0
"""Standard deviation of the last layer's weights: small ones would pass hardly any gradient to the layers below."""

_GATE_BIASES = (-4.0, 5.0, 0.0, 2.0)
"""Of the input, forget, cell and output gate. An LSTM starts as a bag of words: each token adds a little to the cell,
nothing is forgotten, and the cell is read in full. It learns recurrence and gates that depend on the tokens."""


@dataclass(frozen=True, kw_only=True)
class ModelConfig:
    """What determines a model's shape; public.

    Args:
        architecture: a key of `ARCHITECTURES`.
        vocab_size: bound of the token ids; the loader replaces others by the unknown word.
        max_text_len: tokens read of each review.
        embedding_dim: E; `linear` has no embedding.
        hidden_dim: H; `bow` and `linear` have no hidden layer.
        n_classes: number of labels.
    """

    architecture: str
    vocab_size: int
    max_text_len: int
    embedding_dim: int
    hidden_dim: int
    n_classes: int

    def __post_init__(self) -> None:
        if self.architecture not in ARCHITECTURES:
            known = ", ".join(ARCHITECTURES)
            raise errors.invalid("model", self.architecture, f"is not one of {known}", "choose one of them")
        for field in fields(self)[1:]:
            value = getattr(self, field.name)
            least = 2 if field.name == "n_classes" else 1
            if not isinstance(value, int) or isinstance(value, bool) or value < least:
                raise errors.invalid(field.name, value, f"must be an integer of at least {least}", "correct it")


class Classifier(nn.Module):
    """A model that returns logits and the taps that clipping needs.

    Each trainable parameter is in one tap, and examples do not interact: no batch normalisation.
    """

    def forward(self, tokens: torch.Tensor, lengths: torch.Tensor) -> tuple[torch.Tensor, list[clipping.Tap]]:
        """Classify a batch.

        Args:
            tokens: [B, T], padded on the right.
            lengths: int64 [B], real tokens of each text, 1 to T.

        Returns:
            Logits [B, n_classes], and the taps.
        """
        raise NotImplementedError


class LstmClassifier(Classifier):
    """Embedding, LSTM, and a linear layer on the hidden state at the last real token."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.embedding = _Embedding(config.vocab_size, config.embedding_dim)
        self.lstm = lstm.LSTM(config.embedding_dim, config.hidden_dim)
        self.output = _Linear(config.hidden_dim, config.n_classes)

    def forward(self, tokens: torch.Tensor, lengths: torch.Tensor) -> tuple[torch.Tensor, list[clipping.Tap]]:
        """Classify a batch; see `Classifier.forward`."""
        embedded, embedding_taps = self.embedding(tokens)
        hidden, lstm_taps = self.lstm(embedded)
        last = hidden[torch.arange(len(tokens), device=tokens.device), lengths - 1]
        logits, output_taps = self.output(last)
        return logits, [*embedding_taps, *lstm_taps, *output_taps]


class BagOfWords(Classifier):
    """The mean of the real tokens' embeddings, and a linear layer."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.embedding = _Embedding(config.vocab_size, config.embedding_dim)
        self.output = _Linear(config.embedding_dim, config.n_classes)

    def forward(self, tokens: torch.Tensor, lengths: torch.Tensor) -> tuple[torch.Tensor, list[clipping.Tap]]:
        """Classify a batch; see `Classifier.forward`."""
        embedded, embedding_taps = self.embedding(tokens)
        logits, output_taps = self.output(_masked_mean(embedded, lengths))
        return logits, [*embedding_taps, *output_taps]


class FeedForward(Classifier):
    """The mean of the real tokens' embeddings, a hidden layer with tanh, and a linear layer."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.embedding = _Embedding(config.vocab_size, config.embedding_dim)
        self.hidden = _Linear(config.embedding_dim, config.hidden_dim)
        self.output = _Linear(config.hidden_dim, config.n_classes)

    def forward(self, tokens: torch.Tensor, lengths: torch.Tensor) -> tuple[torch.Tensor, list[clipping.Tap]]:
        """Classify a batch; see `Classifier.forward`."""
        embedded, embedding_taps = self.embedding(tokens)
        hidden, hidden_taps = self.hidden(_masked_mean(embedded, lengths))
        logits, output_taps = self.output(torch.tanh(hidden))
        return logits, [*embedding_taps, *hidden_taps, *output_taps]


class Linear(Classifier):
    """Softmax regression on a bag of words of length 1, in which rare words count more; see `word_weights`.

    The loss is convex, so that training starts at zero, and a review's gradient has a norm of at most 2.
    """

    weights: torch.Tensor

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        squared = word_weights.inverse_frequencies(config.vocab_size).square()
        self.register_buffer("weights", squared, persistent=False)
        self.linear = _Bags(config.vocab_size, config.n_classes)

    def forward(self, tokens: torch.Tensor, lengths: torch.Tensor) -> tuple[torch.Tensor, list[clipping.Tap]]:
        """Classify a batch; see `Classifier.forward`."""
        amounts = self.weights[tokens] * _real(tokens.shape[1], lengths)
        logits, taps = self.linear(tokens, amounts)
        return logits, taps


ARCHITECTURES: dict[str, Callable[[ModelConfig], Classifier]] = {
    "lstm": LstmClassifier,
    "bow": BagOfWords,
    "feedforward": FeedForward,
    "linear": Linear,
}


def build(config: ModelConfig, seed: int) -> Classifier:
    """Return a model with initial weights drawn from the public `seed`: the same seed gives the same weights."""
    module = ARCHITECTURES[config.architecture](config)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in module.named_parameters():
            _initialise(name, parameter, generator)
    return module


def require_finite(state: Mapping[str, torch.Tensor]) -> None:
    """Check that all weights of a trained model are finite, before it is released.

    Args:
        state: of the module. The weights are the noisy ones, so that the answer reveals nothing more.

    Raises:
        InvalidInput: names a tensor that is not.
    """
    for name, tensor in state.items():
        if not bool(tensor.isfinite().all()):
            raise errors.InvalidInput(
                f"weights: {name} is not finite; lower learning_rate or max_grad_norm and train again"
            )


def _initialise(name: str, parameter: nn.Parameter, generator: torch.Generator) -> None:
    parameter.zero_()
    match name:
        case "embedding.weight":
            parameter.normal_(0, _EMBEDDING_SCALE, generator=generator)
        case "output.weight":
            parameter.normal_(0, _OUTPUT_SCALE, generator=generator)
        case "hidden.weight":
            parameter.normal_(0, _READING_GAIN * parameter.shape[1] ** -0.5, generator=generator)
        case "lstm.weight_ih_l0":
            cell = parameter.chunk(4)[2]
            cell.normal_(0, _READING_GAIN * parameter.shape[1] ** -0.5, generator=generator)
        case "lstm.bias_ih_l0":
            parameter.copy_(torch.tensor(_GATE_BIASES).repeat_interleave(len(parameter) // 4))


class _Embedding(nn.Module):
    def __init__(self, vocabulary: int, size: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(vocabulary, size))

    def forward(self, tokens: torch.Tensor) -> tuple[torch.Tensor, list[clipping.Tap]]:
        rows = nn.functional.embedding(tokens, self.weight)
        return rows, [clipping.EmbeddingTap(self.weight, tokens, rows)]


class _Linear(nn.Module):
    """A linear layer on [B, in], with its tap."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(outputs, inputs))
        self.bias = nn.Parameter(torch.empty(outputs))

    def forward(self, inputs: torch.Tensor) -> tuple[torch.Tensor, list[clipping.Tap]]:
        rows = inputs.unsqueeze(1)
        result = nn.functional.linear(rows, self.weight, self.bias)
        return result.squeeze(1), [clipping.LinearTap(self.weight, (self.bias,), rows, result)]


class _Bags(nn.Module):
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


def _masked_mean(rows: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
    """Return the mean [B, E] of rows [B, T, E] over the first `lengths` [B] positions of each."""
    return (rows * _real(rows.shape[1], lengths).unsqueeze(2)).sum(1) / lengths.unsqueeze(1)


def _real(positions: int, lengths: torch.Tensor) -> torch.Tensor:
    """Return which positions are real tokens, bool [B, positions], of texts with `lengths` [B]."""
    return torch.arange(positions, device=lengths.device) < lengths.unsqueeze(1)
