from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from privatekube import errors
from privatekube.training import clipping, dpsgd, feasibility, models
from tests.examples import examples
from tests.training import builders

Gradients = list[torch.Tensor]


def one_by_one(module: models.Classifier, size: int, per_unit: int) -> list[Gradients]:
    """Each unit's gradient by torch's autograd, one example at a time and without its padding."""
    tokens, lengths, labels = builders.batch(size * per_unit)
    parameters = list(module.parameters())
    units = []
    for first in range(0, len(tokens), per_unit):
        gradient = [torch.zeros_like(p) for p in parameters]
        for i in range(first, first + per_unit):
            real = tokens[i : i + 1, : lengths[i]]
            logits = builders.reference_logits(module, real, lengths[i : i + 1])
            loss = nn.functional.cross_entropy(logits, labels[i : i + 1])
            gradient = [g + h for g, h in zip(gradient, torch.autograd.grad(loss, parameters), strict=True)]
        units.append(gradient)
    return units


def norms_of(units: list[Gradients]) -> torch.Tensor:
    return torch.stack([torch.cat([g.flatten() for g in unit]).norm() for unit in units])


def clipped(module: models.Classifier, size: int, per_unit: int, max_grad_norm: float) -> Gradients:
    tokens, lengths, labels = builders.batch(size * per_unit)
    logits, taps = module(tokens, lengths)
    loss = nn.functional.cross_entropy(logits, labels, reduction="sum")
    sums = clipping.clipped_sums(loss, taps, units=size, max_grad_norm=max_grad_norm)
    assert sums.keys() == set(module.parameters())
    return [sums[p] for p in module.parameters()]


def relative_error(got: Gradients, wanted: Gradients) -> float:
    return max(float((g.double() - w).abs().max() / w.abs().max()) for g, w in zip(got, wanted, strict=True))


@pytest.mark.parametrize("architecture", builders.KINDS)
@pytest.mark.parametrize("per_unit", [1, 3])
@pytest.mark.parametrize("quantile", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("elements", [1, 1 << 21])
def test_clipped_sums_equal_autograd_one_example_at_a_time(
    architecture: str, per_unit: int, quantile: float, elements: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feasibility, "GRADIENT_ELEMENTS", elements)  # one unit at a time, and all at once
    module = builders.model(architecture)
    units = one_by_one(module, 6, per_unit)
    norms = norms_of(units)
    bound = float(torch.quantile(norms, quantile))
    wanted = [
        sum((g * min(1.0, bound / float(norm)) for g, norm in zip(gradients, norms, strict=True)), torch.tensor(0.0))
        for gradients in zip(*units, strict=True)
    ]
    assert relative_error(clipped(module, 6, per_unit, bound), wanted) < 1e-12


@pytest.mark.parametrize("scale", [1e-3, 1.0, 10.0])
def test_the_closed_form_of_a_norm_equals_the_norm_of_the_gradient_that_autograd_forms(scale: float) -> None:
    module = builders.model("linear")
    with torch.no_grad():
        module.linear.weight.mul_(scale)  # type: ignore[union-attr, operator]
    for norm, size in zip(norms_of(one_by_one(module, 6, 1)), range(6), strict=True):
        unclipped = unit_alone(module, size, max_grad_norm=float("inf"))
        halved = unit_alone(module, size, max_grad_norm=float(norm) / 2)
        torch.testing.assert_close(halved, unclipped / 2, rtol=1e-10, atol=0)


def unit_alone(module: models.Classifier, number: int, max_grad_norm: float) -> torch.Tensor:
    tokens, lengths, labels = (column[number : number + 1] for column in builders.batch(6))
    logits, taps = module(tokens, lengths)
    loss = nn.functional.cross_entropy(logits, labels, reduction="sum")
    sums = clipping.clipped_sums(loss, taps, units=1, max_grad_norm=max_grad_norm)
    return torch.cat([sums[p].flatten() for p in module.parameters()])


@pytest.mark.parametrize("architecture", builders.KINDS)
def test_float32_agrees_with_float64(architecture: str) -> None:
    module = builders.model(architecture)
    exact = clipped(module, 6, 1, 0.5)
    assert relative_error(clipped(module.float(), 6, 1, 0.5), exact) < 1e-4


Clip = Callable[[torch.Tensor, list[clipping.Tap], int, float], clipping.Sums]


def sensitivity(clip: Clip, *, per_unit: int, seed: int) -> float:
    """The largest distance, over each unit left out, between the sums with and without it; clipped to norm 0.1."""
    module = builders.model("lstm", seed)
    tokens, lengths, labels = builders.batch(4 * per_unit, seed)

    def flat(kept: torch.Tensor, units: int) -> torch.Tensor:
        logits, taps = module(tokens[kept], lengths[kept])
        sums = clip(nn.functional.cross_entropy(logits, labels[kept], reduction="sum"), taps, units, 0.1)
        return torch.cat([sums[p].flatten() for p in module.parameters()])

    rows = torch.arange(len(tokens))
    everything = flat(rows, 4)
    return max(float((everything - flat(rows[rows // per_unit != out], 3)).norm()) for out in range(4))


def right(loss: torch.Tensor, taps: list[clipping.Tap], units: int, bound: float) -> clipping.Sums:
    return clipping.clipped_sums(loss, taps, units=units, max_grad_norm=bound)


def doubled(loss: torch.Tensor, taps: list[clipping.Tap], units: int, bound: float) -> clipping.Sums:
    return clipping.clipped_sums(loss, taps, units=units, max_grad_norm=2 * bound)


def skipped(loss: torch.Tensor, taps: list[clipping.Tap], units: int, bound: float) -> clipping.Sums:
    return clipping.clipped_sums(loss, taps, units=units, max_grad_norm=float("inf"))


def by_example(loss: torch.Tensor, taps: list[clipping.Tap], units: int, bound: float) -> clipping.Sums:
    return clipping.clipped_sums(loss, taps, units=len(taps[0].outputs), max_grad_norm=bound)


@settings(max_examples=examples(10))
@given(seed=st.integers(0, 10_000), per_unit=st.sampled_from([1, 3]))
def test_one_unit_moves_the_sums_by_no_more_than_the_clipping_norm(seed: int, per_unit: int) -> None:
    assert sensitivity(right, per_unit=per_unit, seed=seed) <= 0.1 * (1 + 1e-9)


@pytest.mark.parametrize("seed", range(3))
def test_rounding_in_float32_models_never_moves_the_sum_by_more_than_the_noise_is_scaled_for(seed: int) -> None:
    """Units whose gradients lie in one direction, far above the clipping norm, where rounding errors add up."""
    width, others, bound = 3000, 400, 1.0
    torch.manual_seed(seed)
    directions = (1 + torch.rand(1, width) * 1e-3).expand(others + 1, width).contiguous()
    weight = nn.Parameter(torch.randn(1, width))

    def total(units: int) -> torch.Tensor:
        inputs = directions[:units].unsqueeze(1)
        outputs = inputs @ weight.T
        tap = clipping.LinearTap(weight, (), inputs, outputs)
        return clipping.clipped_sums(1e3 * outputs.sum(), [tap], units=units, max_grad_norm=bound)[weight]

    moved = float((total(others + 1).double() - total(others).double()).norm())
    assert moved <= bound * (1 + 1e-9)
    assert dpsgd.SENSITIVITY_SLACK > 1e-9


@pytest.mark.parametrize(("wrong", "per_unit"), [(doubled, 1), (skipped, 1), (by_example, 3)])
def test_a_doubled_norm_a_skipped_clip_and_clipping_reviews_instead_of_units_are_caught(
    wrong: Clip, per_unit: int
) -> None:
    assert sensitivity(wrong, per_unit=per_unit, seed=1) > 0.1 * 1.5


@pytest.mark.parametrize("architecture", builders.KINDS)
def test_a_unit_whose_gradient_is_not_finite_adds_nothing_and_spoils_nothing(architecture: str) -> None:
    module = builders.model(architecture, vocab_size=builders.VOCABULARY + 1)
    tokens, lengths, labels = builders.batch(5)
    with torch.no_grad():
        rows_of_words = [*module.parameters(), *module.buffers()] if "on" not in architecture else [*module.buffers()]
        rows_of_words[0][builders.VOCABULARY] = float("inf")
    spoilt = tokens.clone()
    spoilt[2, 0] = builders.VOCABULARY

    def sums(tokens: torch.Tensor, kept: list[int]) -> Gradients:
        logits, taps = module(tokens[kept], lengths[kept])
        loss = nn.functional.cross_entropy(logits, labels[kept], reduction="sum")
        result = clipping.clipped_sums(loss, taps, units=len(kept), max_grad_norm=0.1)
        return [result[p] for p in module.parameters()]

    for got, wanted in zip(sums(spoilt, [0, 1, 2, 3, 4]), sums(tokens, [0, 1, 3, 4]), strict=True):
        torch.testing.assert_close(got, wanted)


def test_a_parameter_in_two_taps_is_refused() -> None:
    module = builders.model("bow")
    tokens, lengths, labels = builders.batch(2)
    logits, taps = module(tokens, lengths)
    loss = nn.functional.cross_entropy(logits, labels, reduction="sum")
    with pytest.raises(errors.InvalidInput, match="two taps"):
        clipping.clipped_sums(loss, [*taps, taps[0]], units=2, max_grad_norm=1.0)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("architecture", builders.KINDS)
def test_clipped_sums_on_a_gpu_equal_those_on_the_cpu(architecture: str) -> None:
    module = builders.model(architecture)
    tokens, lengths, labels = builders.batch(6)
    results = []
    for device in ("cpu", "cuda"):
        module.to(device)
        logits, taps = module(tokens.to(device), lengths.to(device))
        loss = nn.functional.cross_entropy(logits, labels.to(device), reduction="sum")
        sums = clipping.clipped_sums(loss, taps, units=6, max_grad_norm=0.5)
        results.append([sums[p].cpu() for p in module.parameters()])
    assert relative_error(results[1], results[0]) < 1e-9
