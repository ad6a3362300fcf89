"""Whether a training can end well, from its public arguments alone: finite weights, and the memory that it needs.

Nothing here loads torch, so that a run is checked before its budget is claimed. The number of reviews is private, so no
estimate depends on it.
"""

from __future__ import annotations

import math

from privatekube import errors
from privatekube.training.settings import TrainingSettings

BATCH_POSITIONS = 1 << 15
"""Token positions of a physical batch: it bounds memory and has no effect on the result."""

GRADIENT_ELEMENTS = 1 << 19
"""How many elements of per-unit gradients exist at a time (4 MiB of float64, so that they stay in cache)."""

FLOAT32_MAX = 3.4028234663852886e38
_LARGEST_INITIAL_WEIGHT = 50.0
"""Ten standard deviations of the output layer's weights, which start largest."""

_ADAM_STEP = 0.1 / math.sqrt(0.001) / math.sqrt(1 - 0.81 / 0.999)
"""How far Adam moves a weight in a step at most, in learning rates: 7.3.

Its step is the learning rate times m / sqrt(v), where m and v are weighted sums over the steps before of gradients with
weights 0.1 * 0.9^i, and of squared gradients with weights 0.001 * 0.999^i (Kingma and Ba 2015, algorithm 1). By the
inequality of Cauchy and Schwarz, m^2 is at most v times the sum of (0.1 * 0.9^i)^2 / (0.001 * 0.999^i). The corrections
for the bias make the step smaller.
"""

ADAMBC_FLOOR = 10.0
"""Of DP-AdamBC: the least square of a gradient, in variances of its noise.

A gradient that noise hides then moves a weight by the learning rate in units of the noise, so that the rate need not
change with epsilon, the number of units or the clipping norm.
"""

MOMENTUM = 0.9
"""Of SGD: the share of a step's move that the next one repeats."""

_LARGEST_NOISE = 20.0
"""Standard deviations: the noise of `randomness.noisy` is below 17.2, since its uniforms have 53 bits."""

_MOST_UNITS = 2.0**40
"""More units than any sample has; each adds at most the clipping norm."""

_MOST_CLASSES = 64
"""Room for the names of categories, of which there are a few dozen; the last layer is small beside the others."""

_LIBRARIES = 768 << 20
"""Bytes of a process that has loaded torch and Opacus, and some reviews."""

_BYTES_OF_A_WEIGHT = 56
"""The weight, its gradient and two sums in float64, Adam's two averages, their intermediate values, and two copies."""

_BYTES_OF_A_VECTOR = 40
"""For each number of the public vectors: three copies in float64 while their directions are found, or ten in float32
of what is read, trained on and written."""

_BYTES_OF_NOISE = 28
"""For each weight of the largest tensor: three arrays of float64 and one of float32."""

_BYTES_OF_A_GRADIENT = 24
"""For each element of the per-unit gradients that exist at a time: three copies in float64."""


def require_finite(
    *, optimizer: str, learning_rate: float, max_grad_norm: float, noise_multiplier: float, steps: int, width: int
) -> None:
    """Refuse a training whose weights, or their products in a forward pass, may exceed the range of float32.

    Args:
        optimizer: "sgd", "adam" or "adambc".
        learning_rate: of the optimizer.
        max_grad_norm: the clipping norm.
        noise_multiplier: noise standard deviation over the clipping norm.
        steps: how many are taken.
        width: the largest number of inputs of a layer.

    Raises:
        InvalidInput: names the argument to lower.
    """
    gradient = max_grad_norm * (_MOST_UNITS + _LARGEST_NOISE * noise_multiplier)
    if gradient > math.sqrt(FLOAT32_MAX):
        bound = f"gives gradients up to {gradient:.2g} at noise multiplier {noise_multiplier:.3g}, beyond float32"
        raise errors.invalid("max_grad_norm", max_grad_norm, bound, "lower it, such as to 1")
    step = _largest_step(optimizer, gradient, noise=noise_multiplier * max_grad_norm)
    weight = _LARGEST_INITIAL_WEIGHT + step * learning_rate * steps
    if width * weight * weight > FLOAT32_MAX:
        bound = f"may move weights up to {weight:.2g} in {steps} steps, beyond what float32 multiplies"
        raise errors.invalid("learning_rate", learning_rate, bound, "lower it")


def _largest_step(optimizer: str, gradient: float, *, noise: float) -> float:
    """Return how far a weight moves in a step at most, in learning rates; `noise` is its standard deviation."""
    match optimizer:
        case "adam":
            return _ADAM_STEP
        case "adambc":
            return gradient / (math.sqrt(ADAMBC_FLOOR) * noise)
    return gradient / (1 - MOMENTUM)


def require_memory(run: TrainingSettings, *, available_bytes: int) -> None:
    """Refuse a model that needs more memory than there is.

    Args:
        run: its model and sizes.
        available_bytes: for the process that trains.

    Raises:
        InvalidInput: names the model, what it needs and what there is.
    """
    needed = memory_bytes(run)
    if needed > available_bytes:
        sizes = f"vocab_size {run.vocab_size}, embedding_dim {run.embedding_dim}, hidden_dim {run.hidden_dim}"
        bound = f"with {sizes} needs about {_gibibytes(needed)} of memory, and there is {_gibibytes(available_bytes)}"
        raise errors.invalid("model", run.model, bound, "lower these sizes")


def memory_bytes(run: TrainingSettings) -> int:
    """Estimate the memory of training from above, in bytes; see the constants of this module for its parts."""
    rows, *layers = tensor_sizes(run)
    trained = layers if run.is_on_vectors and not run.trains_vectors else [rows, *layers]
    per_unit = max(GRADIENT_ELEMENTS, sum(layers))
    return (
        _LIBRARIES
        + (_BYTES_OF_A_VECTOR * rows if run.is_on_vectors else 0)
        + _BYTES_OF_A_WEIGHT * sum(trained)
        + _BYTES_OF_NOISE * max(trained)
        + _BYTES_OF_A_GRADIENT * per_unit
        + 4 * BATCH_POSITIONS * (_floats_of_a_position(run) + (8 * run.embedding_dim if run.trains_vectors else 0))
    )


def checkpoint_bytes(run: TrainingSettings) -> int:
    """Return the size of the trained model on disk from above, in bytes."""
    rows, *_ = sizes = tensor_sizes(run)
    return 4 * (sum(sizes) + (rows if run.trains_vectors else 0)) + (1 << 20)


def tensor_sizes(run: TrainingSettings) -> list[int]:
    """Return the numbers of weights of the model's tensors: first one row for each word, then layers with biases."""
    embedding, hidden = run.embedding_dim, run.hidden_dim
    match run.model:
        case "lstm" if run.is_on_vectors:
            read, outputs = min(embedding, hidden), _MOST_CLASSES * (embedding + hidden + 1)
            layers = [4 * hidden * (read + 2), 4 * hidden * hidden, outputs]
        case "lstm":
            layers = [4 * hidden * (embedding + 2), 4 * hidden * hidden, _MOST_CLASSES * (hidden + 1)]
        case "feedforward" if run.is_on_vectors:
            layers = [hidden * (embedding + 1), _MOST_CLASSES * (embedding + hidden + 1)]
        case "feedforward":
            layers = [hidden * (embedding + 1), _MOST_CLASSES * (hidden + 1)]
        case "bow":
            layers = [_MOST_CLASSES * (embedding + 1)]
        case "linear" if run.is_on_vectors:
            layers = [_MOST_CLASSES * (embedding + 1)]
        case "linear":
            return [run.vocab_size * _MOST_CLASSES, _MOST_CLASSES]
    return [run.vocab_size * embedding, *layers]


def _floats_of_a_position(run: TrainingSettings) -> int:
    """Return how many numbers a token position of a batch needs, forward and backward."""
    match run.model:
        case "lstm" if run.is_on_vectors:
            return 2 * run.embedding_dim + 38 * run.hidden_dim
        case "lstm":
            return 8 * run.embedding_dim + 30 * run.hidden_dim
        case "feedforward":
            return 8 * run.embedding_dim + run.hidden_dim  # of each of the four tokens or more of a text, four
        case "bow":
            return 8 * run.embedding_dim
        case "linear" if run.is_on_vectors:
            return 2 * run.embedding_dim
        case "linear":
            return 8 * _MOST_CLASSES + 3 * run.max_text_len  # which tokens of a text are equal


def _gibibytes(number: int) -> str:
    return f"{number / 2**30:,.1f} GiB"
