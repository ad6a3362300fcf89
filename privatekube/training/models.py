"""The text classifiers: `lstm`, and three smaller ones, `bow`, `feedforward` and `linear`.

Each is a class and an entry in `ARCHITECTURES`, or in `ON_VECTORS` where it reads public vectors of words, which
stay as they are unless the model trains them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields

import torch
from torch import nn

from privatekube import errors
from privatekube.training import clipping, feasibility, layers, lstm, word_weights
from privatekube.training.lstm_steps import path

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

_GATE_BIASES_ON_VECTORS = (2.0, -2.0, 0.0, 2.0)
"""The same on vectors: an LSTM starts as a rotation of each of them, which its mean over the tokens leaves readable."""

_HALF = 0.5**0.5
"""Scales two directions, side by side, to length 1."""

GAIN_ON_VECTORS = 0.03
"""Of the LSTM on vectors. Without it, its gradient would fill the norm that a unit is clipped to, and the last layer,
from which most is to be gained at a small epsilon, would learn nothing."""

GAIN_OF_HIDDEN = 0.03
"""Of the hidden layer on vectors, for the same reason."""


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
        embeddings: digest of the public vectors of words that the model reads; None where it has none.
        trains_embeddings: whether the model trains these vectors.
    """

    architecture: str
    vocab_size: int
    max_text_len: int
    embedding_dim: int
    hidden_dim: int
    n_classes: int
    embeddings: str | None = None
    trains_embeddings: bool = False

    def __post_init__(self) -> None:
        if self.architecture not in self.classes:
            known = ", ".join(self.classes)
            raise errors.invalid("model", self.architecture, f"is not one of {known}", "choose one of them")
        for field in fields(self)[1:-2]:
            value = getattr(self, field.name)
            least = 2 if field.name == "n_classes" else 1
            if not isinstance(value, int) or isinstance(value, bool) or value < least:
                raise errors.invalid(field.name, value, f"must be an integer of at least {least}", "correct it")

    @property
    def classes(self) -> Mapping[str, Callable[[ModelConfig], Classifier]]:
        """The classifiers to choose from."""
        return ARCHITECTURES if self.embeddings is None else ON_VECTORS


class Classifier(nn.Module):
    """A model that returns logits and the taps that clipping needs.

    Each trainable parameter is in one tap, and examples do not interact: no batch normalisation.
    """

    positions: int = feasibility.BATCH_POSITIONS
    """Token positions of a physical batch; without effect on results."""

    def use(self, steps: path.Path) -> None:
        """Compute with an implementation of `lstm_steps` in place of torch's, in all layers that can."""
        for module in self.modules():
            if isinstance(module, lstm.LSTM | layers.Embedding):
                module.steps = steps
            if isinstance(module, lstm.LSTM):
                self.positions = steps.positions

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
        self.embedding = layers.Embedding(config.vocab_size, config.embedding_dim)
        self.lstm = lstm.LSTM(config.embedding_dim, config.hidden_dim)
        self.output = layers.Linear(config.hidden_dim, config.n_classes)

    def forward(self, tokens: torch.Tensor, lengths: torch.Tensor) -> tuple[torch.Tensor, list[clipping.Tap]]:
        """Classify a batch; see `Classifier.forward`."""
        embedded, embedding_taps = self.embedding(tokens)
        hidden, lstm_taps = self.lstm(embedded, lengths)
        last = hidden[torch.arange(len(tokens), device=tokens.device), lengths - 1]
        logits, output_taps = self.output(last)
        return logits, [*embedding_taps, *lstm_taps, *output_taps]


class BagOfWords(Classifier):
    """The mean of the real tokens' embeddings, and a linear layer."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.embedding = layers.Embedding(config.vocab_size, config.embedding_dim)
        self.output = layers.Linear(config.embedding_dim, config.n_classes)

    def forward(self, tokens: torch.Tensor, lengths: torch.Tensor) -> tuple[torch.Tensor, list[clipping.Tap]]:
        """Classify a batch; see `Classifier.forward`."""
        embedded, embedding_taps = self.embedding(tokens)
        logits, output_taps = self.output(layers.masked_mean(embedded, lengths))
        return logits, [*embedding_taps, *output_taps]


class FeedForward(Classifier):
    """The mean of the real tokens' embeddings, a hidden layer with tanh, and a linear layer."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.embedding = layers.Embedding(config.vocab_size, config.embedding_dim)
        self.hidden = layers.Linear(config.embedding_dim, config.hidden_dim)
        self.output = layers.Linear(config.hidden_dim, config.n_classes)

    def forward(self, tokens: torch.Tensor, lengths: torch.Tensor) -> tuple[torch.Tensor, list[clipping.Tap]]:
        """Classify a batch; see `Classifier.forward`."""
        embedded, embedding_taps = self.embedding(tokens)
        hidden, hidden_taps = self.hidden(layers.masked_mean(embedded, lengths))
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
        self.linear = layers.Bags(config.vocab_size, config.n_classes)

    def forward(self, tokens: torch.Tensor, lengths: torch.Tensor) -> tuple[torch.Tensor, list[clipping.Tap]]:
        """Classify a batch; see `Classifier.forward`."""
        amounts = self.weights[tokens] * layers.real(tokens.shape[1], lengths)
        logits, taps = self.linear(tokens, amounts)
        return logits, taps


class LinearOnVectors(Classifier):
    """Softmax regression on the mean of the words' vectors, in which rare words count more, scaled to length 1."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.vectors = _vectors(config, word_weights.inverse_frequencies(config.vocab_size))
        self.head = layers.Linear(config.embedding_dim, config.n_classes)

    def forward(self, tokens: torch.Tensor, lengths: torch.Tensor) -> tuple[torch.Tensor, list[clipping.Tap]]:
        """Classify a batch; see `Classifier.forward`."""
        read = self.vectors(tokens, lengths)
        logits, taps = self.head(read.direction)
        return logits, [*read.taps, *taps]


class BagOfWordsOnVectors(LinearOnVectors):
    """Softmax regression on the mean of the words' vectors, in which all words count alike, scaled to length 1."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__(config)
        self.vectors = _vectors(config, word_weights.alike(config.vocab_size))


class FeedForwardOnVectors(Classifier):
    """A hidden layer with tanh on what `LinearOnVectors` reads, and a linear layer on both."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.vectors = _vectors(config, word_weights.inverse_frequencies(config.vocab_size))
        self.hidden = layers.Linear(config.embedding_dim, config.hidden_dim, gain=GAIN_OF_HIDDEN)
        self.head = layers.Linear(config.embedding_dim + config.hidden_dim, config.n_classes)

    def forward(self, tokens: torch.Tensor, lengths: torch.Tensor) -> tuple[torch.Tensor, list[clipping.Tap]]:
        """Classify a batch; see `Classifier.forward`."""
        read = self.vectors(tokens, lengths)
        hidden, hidden_taps = self.hidden(read.direction)
        both = torch.cat([read.direction, layers.scaled(torch.tanh(hidden))], 1)
        logits, head_taps = self.head(both * _HALF)
        return logits, [*read.taps, *hidden_taps, *head_taps]


class LstmOnVectors(Classifier):
    """LSTM on the words' vectors, and a linear layer on the means of its hidden states and of the vectors themselves.

    The LSTM reads as many of the vectors' leading directions as it has hidden units. Both means are taken as
    `LinearOnVectors` takes its own. The gates, the recurrence and the last layer are trained.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.read = min(config.embedding_dim, config.hidden_dim)
        self.vectors = _vectors(config, word_weights.inverse_frequencies(config.vocab_size))
        self.lstm = lstm.LSTM(self.read, config.hidden_dim, gain=GAIN_ON_VECTORS)
        self.head = layers.Linear(config.embedding_dim + config.hidden_dim, config.n_classes)

    def forward(self, tokens: torch.Tensor, lengths: torch.Tensor) -> tuple[torch.Tensor, list[clipping.Tap]]:
        """Classify a batch; see `Classifier.forward`."""
        read = self.vectors(tokens, lengths, leading=self.read)
        hidden, lstm_taps = self.lstm(read.leading, lengths)
        amounts = self.vectors.amounts(tokens, lengths).unsqueeze(1)
        pooled = torch.cat([read.direction, layers.scaled(torch.bmm(amounts, hidden).squeeze(1))], 1)
        logits, head_taps = self.head(pooled * _HALF)
        return logits, [*read.taps, *lstm_taps, *head_taps]


ARCHITECTURES: dict[str, Callable[[ModelConfig], Classifier]] = {
    "lstm": LstmClassifier,
    "bow": BagOfWords,
    "feedforward": FeedForward,
    "linear": Linear,
}

ON_VECTORS: dict[str, Callable[[ModelConfig], Classifier]] = {
    "lstm": LstmOnVectors,
    "bow": BagOfWordsOnVectors,
    "feedforward": FeedForwardOnVectors,
    "linear": LinearOnVectors,
}


def build(config: ModelConfig, seed: int, vectors: torch.Tensor | None = None) -> Classifier:
    """Return a model with initial weights drawn from the public `seed`: the same seed gives the same weights.

    Args:
        config: its shape.
        seed: of the weights.
        vectors: [V, E], where the model reads some; left out where they are loaded with the model's state.
    """
    module = config.classes[config.architecture](config)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in module.named_parameters():
            _initialise(name, parameter, generator)
            if config.embeddings is not None and name == "hidden.weight":
                parameter.div_(GAIN_OF_HIDDEN)
        if vectors is not None:
            module.get_buffer("vectors.weight").copy_(vectors)
        if config.embeddings is not None and config.architecture == "lstm":
            _start_as_rotation(module, generator)
    return module


def _start_as_rotation(module: nn.Module, generator: torch.Generator) -> None:
    cell = module.get_parameter("lstm.weight_ih_l0").chunk(4)[2]
    nn.init.orthogonal_(cell, 1 / GAIN_ON_VECTORS, generator=generator)
    biases = torch.tensor(_GATE_BIASES_ON_VECTORS) / GAIN_ON_VECTORS
    module.get_parameter("lstm.bias_ih_l0").copy_(biases.repeat_interleave(len(cell)))


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


def _vectors(config: ModelConfig, counts: torch.Tensor) -> layers.Vectors:
    kind = layers.TrainedVectors if config.trains_embeddings else layers.Vectors
    return kind(config.embedding_dim, counts)
