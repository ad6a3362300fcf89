"""Small models and reviews for the tests of training."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from privatekube.data import columns
from privatekube.training import layers, lstm, models

Batch = tuple[torch.Tensor, ...]
"""Tokens [B, T], lengths [B], labels [B]."""

VOCABULARY = 30
VECTORS_DIGEST = f"sha256:{'1' * 64}"
KINDS = [
    *sorted(models.ARCHITECTURES),
    *(f"{name} on {read}" for name in sorted(models.ON_VECTORS) for read in ("vectors", "trained vectors")),
]
"""Architectures, without public vectors of words, with them, and with such that are trained."""


def config(kind: str = "lstm", **changes: int) -> models.ModelConfig:
    architecture, _, on_vectors = kind.partition(" on ")
    embeddings = VECTORS_DIGEST if on_vectors else None
    sizes = {"vocab_size": VOCABULARY, "max_text_len": 7, "embedding_dim": 5, "hidden_dim": 6, "n_classes": 4} | changes
    is_trained = on_vectors.startswith("trained")
    return models.ModelConfig(architecture=architecture, embeddings=embeddings, trains_embeddings=is_trained, **sizes)


def vectors(shape: models.ModelConfig, seed: int = 1) -> torch.Tensor | None:
    generator = torch.Generator().manual_seed(seed)
    size = (shape.vocab_size, shape.embedding_dim)
    return None if shape.embeddings is None else torch.randn(size, generator=generator)


def model(kind: str = "lstm", seed: int = 1, **changes: int) -> models.Classifier:
    """In float64, with weights large enough for every gate and gradient to matter."""
    shape = config(kind, **changes)
    module = models.build(shape, seed, vectors(shape)).double()
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.normal_(0, 0.5, generator=generator)
    return module


def batch(size: int, seed: int = 0, length: int = 7) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Tokens [B, T] with repeats, unequal lengths [B], labels [B]."""
    generator = torch.Generator().manual_seed(seed)
    tokens = torch.randint(0, VOCABULARY // 2, (size, length), generator=generator)
    lengths = torch.randint(1, length + 1, (size,), generator=generator)
    tokens[torch.arange(length) >= lengths.unsqueeze(1)] = columns.PAD
    return tokens, lengths, torch.randint(0, 4, (size,), generator=generator)


def reference_logits(module: models.Classifier, tokens: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
    """The same function in torch's own layers, differentiable by autograd in every parameter."""
    if isinstance(module, models.LstmOnVectors):
        table, amounts = module.vectors.weight, module.vectors.amounts(tokens, lengths)
        if isinstance(module.vectors, layers.TrainedVectors):
            table = table + layers.GAIN_OF_VECTORS * module.vectors.added.weight
        vectors = nn.functional.embedding(tokens, table)
        hidden = _stock_lstm(module.lstm, vectors[..., : module.lstm.weight_ih_l0.shape[1]])
        sums = [torch.einsum("bt,bth->bh", amounts, rows) for rows in (vectors, hidden)]
        directions = [summed * (2 * summed.square().sum(1, keepdim=True) + 2e-12).rsqrt() for summed in sums]
        return nn.functional.linear(torch.cat(directions, 1), module.head.weight, module.head.bias)
    if isinstance(module, models.LstmClassifier):
        hidden = _stock_lstm(module.lstm, nn.functional.embedding(tokens, module.embedding.weight))
        last = hidden[torch.arange(len(tokens)), lengths - 1]
        return nn.functional.linear(last, module.output.weight, module.output.bias)
    logits: torch.Tensor = module(tokens, lengths)[0]
    return logits


def _stock_lstm(ours: lstm.LSTM, inputs: torch.Tensor) -> torch.Tensor:
    stock = nn.LSTM(ours.weight_ih_l0.shape[1], ours.hidden_size, batch_first=True).double()
    weights = {name: ours.gain * parameter for name, parameter in ours.named_parameters()}
    hidden: torch.Tensor = torch.func.functional_call(stock, weights, (inputs,))[0]
    return hidden


def learnable_reviews(count: int, seed: int = 0, n_classes: int = 3, users: int | None = None) -> columns.Reviews:
    """Reviews whose words tell the category: each category has words of its own among common ones."""
    generator = np.random.default_rng(seed)
    category = generator.integers(0, n_classes, count)
    lengths = generator.integers(3, 8, count)
    offsets = np.r_[0, np.cumsum(lengths)]
    owner = np.repeat(category, lengths)
    common = generator.random(len(owner)) < 0.5
    tokens = np.where(common, 4 + generator.integers(0, 10, len(owner)), 14 + owner)
    return columns.Reviews(
        user=generator.integers(0, users or count, count).astype(np.int64),
        product=generator.integers(0, 50, count).astype(np.int64),
        time=columns.FIRST_DAY_SECONDS + generator.integers(0, 3, count) * columns.SECONDS_PER_DAY,
        category=category.astype(np.int16),
        stars=generator.integers(1, 6, count).astype(np.int8),
        summary_length=np.ones(count, dtype=np.int32),
        tokens=tokens.astype(np.int32),
        offsets=offsets.astype(np.int64),
    )
