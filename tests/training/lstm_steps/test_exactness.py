from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn.modules import module as modules

from privatekube import errors
from privatekube.training import clipping, models
from privatekube.training.lstm_steps import choice, cudnn, library, native, path, torch_path
from tests.examples import examples
from tests.training import builders
from tests.training.lstm_steps import implementations

Loss = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


def squared(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    return (logits - labels.unsqueeze(1)).square().sum()


def log_likelihood(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    return nn.functional.cross_entropy(logits, labels, reduction="sum")


def one_by_one(module: models.Classifier, batch: builders.Batch, loss: Loss, units: int) -> torch.Tensor:
    """Each unit's gradient [units, P] by autograd, one text at a time, without padding, in torch's own LSTM."""
    tokens, lengths, labels = batch
    rows = []
    for n in range(len(tokens)):
        text, length = tokens[n : n + 1, : lengths[n]], lengths[n : n + 1]
        value = loss(builders.reference_logits(module, text, length), labels[n : n + 1])
        rows.append(torch.cat([g.flatten() for g in torch.autograd.grad(value, list(module.parameters()))]))
    return torch.stack(rows).view(units, -1, len(rows[0])).sum(1)


def sums_of(
    steps: path.Path, module: models.Classifier, batch: builders.Batch, loss: Loss, *, units: int, bound: float
) -> torch.Tensor:
    tokens, lengths, labels = batch
    module.use(steps)
    logits, taps = module(tokens, lengths)
    sums = clipping.clipped_sums(loss(logits, labels), taps, units=units, max_grad_norm=bound)
    assert sums.keys() == set(module.parameters())
    return torch.cat([sums[p].flatten() for p in module.parameters()])


def clipped(gradients: torch.Tensor, bound: float) -> torch.Tensor:
    factors = (bound / gradients.norm(dim=1)).clamp(max=1)
    total: torch.Tensor = factors @ gradients
    return total


@pytest.mark.parametrize("kind", ["lstm", "lstm on vectors"])
@pytest.mark.parametrize("loss", [log_likelihood, squared])
@pytest.mark.parametrize("name", implementations.NAMES)
@settings(max_examples=examples(8))
@given(
    units=st.integers(1, 4),
    each=st.sampled_from([1, 3]),
    sizes=st.tuples(st.integers(1, 12), st.integers(1, 19), st.integers(1, 19)),
    seed=st.integers(0, 1000),
    quantile=st.sampled_from([0.0, 0.5, 1.0]),
)
def test_every_implementation_clips_as_autograd_one_text_at_a_time_does(
    name: str,
    loss: Loss,
    kind: str,
    units: int,
    each: int,
    sizes: tuple[int, int, int],
    seed: int,
    quantile: float,
) -> None:
    length, inputs, hidden = sizes
    module = builders.model(kind, seed, max_text_len=length, embedding_dim=inputs, hidden_dim=hidden)
    batch = builders.batch(units * each, seed, length)
    gradients = one_by_one(module, batch, loss, units)
    bound = float(torch.quantile(gradients.norm(dim=1), quantile))
    got = sums_of(implementations.get(name), module, batch, loss, units=units, bound=bound)
    wanted = clipped(gradients, bound)
    assert float((got - wanted).norm()) <= 1e-10 * float(wanted.norm())


@pytest.mark.parametrize("kind", ["lstm", "lstm on vectors"])
@pytest.mark.parametrize("name", implementations.NAMES)
def test_a_batch_beyond_a_block_a_chunk_and_a_thread_is_clipped_unit_by_unit_and_in_float32_to_1e_5(
    name: str, kind: str
) -> None:
    module = builders.model(kind, embedding_dim=33, hidden_dim=34)
    batch = builders.batch(150)
    gradients = one_by_one(module, batch, log_likelihood, 150)
    bound = float(gradients.norm(dim=1).median())
    wanted = clipped(gradients, bound)
    for dtype, tolerance in ((torch.float64, 1e-10), (torch.float32, 1e-5)):
        steps = implementations.get(name)
        got = sums_of(steps, module.to(dtype), batch, log_likelihood, units=150, bound=bound)
        assert float((got - wanted).norm()) <= tolerance * float(wanted.norm())


@pytest.mark.parametrize("name", implementations.NAMES)
def test_a_unit_that_is_not_finite_adds_nothing_and_spoils_nothing(name: str) -> None:
    module = builders.model("lstm on vectors", vocab_size=builders.VOCABULARY + 1)
    with torch.no_grad():
        module.get_buffer("vectors.weight")[builders.VOCABULARY] = float("nan")
    tokens, lengths, labels = builders.batch(5)
    spoilt = tokens.clone()
    spoilt[2, 0] = builders.VOCABULARY
    kept = [0, 1, 3, 4]
    steps = implementations.get(name)
    got = sums_of(steps, module, (spoilt, lengths, labels), log_likelihood, units=5, bound=0.1)
    wanted = sums_of(steps, module, (tokens[kept], lengths[kept], labels[kept]), log_likelihood, units=4, bound=0.1)
    torch.testing.assert_close(got, wanted)


@pytest.mark.parametrize("name", implementations.NAMES)
def test_the_gradient_of_an_input_is_that_of_the_stock_lstm_and_nothing_flows_back_twice(name: str) -> None:
    module = builders.model("lstm")
    assert isinstance(module, models.LstmClassifier)
    module.use(implementations.get(name))
    inputs = torch.randn(3, 7, 5, dtype=torch.float64, requires_grad=True)
    weights = torch.randn(3, 7, 6, dtype=torch.float64)
    stock = nn.LSTM(5, 6, batch_first=True).double()
    stock.load_state_dict(module.lstm.state_dict())
    hidden, _ = module.lstm(inputs, torch.full((3,), 7))
    value = (hidden * weights).sum()
    got = torch.autograd.grad(value, inputs, retain_graph=True)
    wanted = torch.autograd.grad((stock(inputs)[0] * weights).sum(), inputs)
    torch.testing.assert_close(got, wanted, rtol=1e-10, atol=1e-12)
    with pytest.raises(RuntimeError, match="once"):
        torch.autograd.grad(value, inputs)


@pytest.mark.parametrize("name", implementations.NAMES)
def test_no_units_sum_to_zero(name: str) -> None:
    module = builders.model("lstm")
    batch = tuple(column[:0] for column in builders.batch(1))
    assert not sums_of(implementations.get(name), module, batch, log_likelihood, units=0, bound=1.0).any()


@pytest.mark.parametrize("name", implementations.NAMES[1:])
def test_what_is_chosen_was_compared_with_torch_and_a_wrong_norm_is_noticed(name: str) -> None:
    steps = implementations.get(name)
    assert choice.is_right(steps)

    class Wrong(torch_path.Torch):
        def clip(self, gradients: path.LayerGradients, squares: torch.Tensor, *, max_grad_norm: float) -> Any:
            return super().clip(gradients, 0.99 * squares, max_grad_norm=max_grad_norm)

    assert not choice.is_right(Wrong())


@dataclass(frozen=True)
class OnlyFloat64(torch_path.Torch):
    def clip(self, gradients: path.LayerGradients, squares: torch.Tensor, *, max_grad_norm: float) -> path.Clipped:
        share = 1.0 if gradients.delta.dtype == torch.float64 else 0.99
        return super().clip(gradients, share * squares, max_grad_norm=max_grad_norm)


@dataclass(frozen=True)
class WrongWords(torch_path.Torch):
    def word_squares(self, delta: torch.Tensor, words: torch.Tensor, vocabulary: int) -> torch.Tensor:
        return 0.99 * super().word_squares(delta, words, vocabulary)


@dataclass(frozen=True)
class AllFinite(torch_path.Torch):
    """As a compiler makes it that takes all numbers for finite."""

    def clip(self, gradients: path.LayerGradients, squares: torch.Tensor, *, max_grad_norm: float) -> path.Clipped:
        clipped = super().clip(gradients, squares, max_grad_norm=max_grad_norm)
        return replace(clipped, factors=torch.where(clipped.factors > 0, clipped.factors, 1.0))


@dataclass(frozen=True)
class TooLittleNoise(torch_path.Torch):
    def gaussians(self, words: torch.Tensor) -> torch.Tensor:
        return 0.99 * super().gaussians(words)


@pytest.mark.parametrize("wrong", [OnlyFloat64(), WrongWords(), AllFinite(), TooLittleNoise()])
def test_no_steps_are_chosen_that_are_wrong_in_float32_on_words_in_their_noise_or_on_a_unit_that_is_not_finite(
    wrong: path.Path,
) -> None:
    assert not choice.is_right(wrong)


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="needs g++")
def test_a_compiler_that_takes_all_numbers_for_finite_trains_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    implementations.get("native AVX2")
    compiler = tmp_path / "compiler"
    compiler.write_text('#!/bin/sh\nexec g++ "$@" -ffinite-math-only\n', encoding="utf-8")
    compiler.chmod(0o700)
    monkeypatch.setenv("CXX", str(compiler))
    assert not choice.is_right(native.Native(library.load(tmp_path / "cache", capability="AVX2")))


@pytest.mark.parametrize("lengths", [[7, 8], [7, -1], [7], [7.0, 7.0]])
def test_the_library_is_never_called_with_lengths_beyond_the_memory_it_is_given(lengths: list[float]) -> None:
    steps = implementations.get("native AVX2")
    with pytest.raises(errors.InvalidInput, match="lengths"):
        steps.run(torch.zeros(2, 7, 8), torch.zeros(8, 2), torch.zeros(8), torch.tensor(lengths))


def test_cudnn_is_switched_on_for_its_steps_and_tensorfloat_off() -> None:
    seen = []

    def note(layer: nn.Module, _: object) -> None:
        seen.append((type(layer), torch.backends.cudnn.enabled, torch.backends.cudnn.allow_tf32))

    with modules.register_module_forward_pre_hook(note):
        cudnn.CuDnn().run(torch.zeros(2, 3, 8), torch.zeros(8, 2), torch.zeros(8), torch.tensor([3, 1]))
    assert seen == [(nn.LSTM, True, False)]


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("kind", ["lstm", "lstm on vectors"])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-10), (torch.float32, 1e-5)])
def test_cudnn_on_a_gpu_clips_as_torch_on_the_cpu_does(kind: str, dtype: torch.dtype, tolerance: float) -> None:
    chosen = choice.choose(torch.device("cuda"))
    assert chosen.path.name == "cudnn"
    module, batch = builders.model(kind, embedding_dim=33, hidden_dim=34), builders.batch(150)
    wanted = sums_of(torch_path.TORCH, module, batch, log_likelihood, units=150, bound=0.5)
    on_gpu = tuple(column.cuda() for column in batch)
    got = sums_of(chosen.path, module.to(dtype).cuda(), on_gpu, log_likelihood, units=150, bound=0.5)
    assert float((got.cpu() - wanted).norm()) <= tolerance * float(wanted.norm())
