from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from opacus.grad_sample import GradSampleModule
from opacus.layers import DPLSTM
from opacus.optimizers import DPOptimizer
from scipy import stats
from torch import nn

from privatekube import errors
from privatekube.privacy import events
from privatekube.training import clipping, dpsgd, models, randomness
from tests.training import builders
from tests.training.lstm_steps import implementations

SIGNIFICANCE = 1e-9


def optimizer(parameters: list[nn.Parameter], **changes: float) -> dpsgd.DpSgdOptimizer:
    numbers = {
        "noise_multiplier": 1.0,
        "max_grad_norm": 1.0,
        "sampling_rate": 0.5,
        "expected_batch_size": 1.0,
    } | changes
    stock = torch.optim.SGD(parameters, lr=1.0)
    return dpsgd.DpSgdOptimizer(stock, **numbers, generator=randomness.SecureGenerator())


def noise_of_one_step(**changes: float) -> np.ndarray:
    parameter = nn.Parameter(torch.zeros(300, 400, dtype=torch.float64))
    optimizer([parameter], **changes).take({parameter: torch.zeros_like(parameter)})
    return -parameter.detach().numpy().ravel()


def has_scale(samples: np.ndarray, scale: float) -> bool:
    return float(stats.kstest(samples / scale, "norm").pvalue) > SIGNIFICANCE


def test_an_empty_sample_takes_a_step_of_pure_noise_of_the_right_scale_and_wrong_scales_are_rejected() -> None:
    samples = noise_of_one_step(noise_multiplier=3.0, max_grad_norm=0.5, expected_batch_size=8.0)
    scale = 3.0 * 0.5 / 8.0
    assert has_scale(samples, scale)
    assert not has_scale(samples, 0.95 * scale)
    assert not has_scale(samples, 1.05 * scale)


def test_noise_differs_from_step_to_step_and_from_run_to_run() -> None:
    torch.manual_seed(0)
    first = noise_of_one_step()
    torch.manual_seed(0)
    assert not np.any(first == noise_of_one_step())


def test_the_noise_is_added_to_the_sum_that_was_given() -> None:
    parameter = nn.Parameter(torch.zeros(4, dtype=torch.float64))
    total = torch.tensor([1.0, -2.0, 3.0, 4.0], dtype=torch.float64)
    optimizer([parameter], noise_multiplier=1e-9, expected_batch_size=2.0).take({parameter: total})
    torch.testing.assert_close(parameter.detach(), -total / 2, atol=1e-7, rtol=0)


def test_no_sum_of_an_earlier_step_is_used_again() -> None:
    parameter = nn.Parameter(torch.zeros(4, dtype=torch.float64))
    stepping = optimizer([parameter], noise_multiplier=1e-9)
    for _ in range(3):
        stepping.take({parameter: torch.ones_like(parameter)})
    torch.testing.assert_close(parameter.detach(), torch.full_like(parameter, -3.0), atol=1e-6, rtol=0)
    with pytest.raises(errors.InvalidInput, match="has none"):
        stepping.take({})


def test_the_event_is_what_was_counted() -> None:
    parameter = nn.Parameter(torch.zeros(4))
    stepping = optimizer([parameter], noise_multiplier=2.0, sampling_rate=0.25)
    with pytest.raises(errors.InvalidInput, match="steps"):
        stepping.event()
    for _ in range(5):
        stepping.take({parameter: torch.zeros_like(parameter)})
    assert stepping.steps == 5
    assert stepping.event() == events.poisson_gaussian(0.25, 2.0, 5)


def test_a_change_of_noise_on_the_way_is_part_of_the_event() -> None:
    parameter = nn.Parameter(torch.zeros(4))
    stepping = optimizer([parameter], noise_multiplier=2.0)
    stepping.take({parameter: torch.zeros_like(parameter)})
    stepping.noise_multiplier = 1.0
    stepping.take({parameter: torch.zeros_like(parameter)})
    parts = (events.poisson_gaussian(0.5, 2.0, 1), events.poisson_gaussian(0.5, 1.0, 1))
    assert stepping.event() == events.composition(*parts)


@pytest.mark.parametrize("name", ["noise_multiplier", "max_grad_norm", "sampling_rate", "expected_batch_size"])
@pytest.mark.parametrize("value", [0.0, -1.0, math.inf, math.nan])
def test_there_is_no_off_switch(name: str, value: float) -> None:
    with pytest.raises(errors.InvalidInput, match=name):
        optimizer([nn.Parameter(torch.zeros(1))], **{name: value})


class HookedLstm(nn.Module):
    """The same classifier in Opacus' own layers; it has no packing, so texts here are as long as they are padded."""

    def __init__(self, config: models.ModelConfig) -> None:
        super().__init__()
        self.embedding = nn.Embedding(config.vocab_size, config.embedding_dim)
        self.lstm = DPLSTM(config.embedding_dim, config.hidden_dim, batch_first=True)
        self.output = nn.Linear(config.hidden_dim, config.n_classes)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        hidden, _ = self.lstm(self.embedding(tokens))
        logits: torch.Tensor = self.output(hidden[:, -1])
        return logits


def hooked_copy(module: models.Classifier) -> HookedLstm:
    copy = HookedLstm(builders.config()).double()
    with torch.no_grad():
        for name, parameter in copy.named_parameters():
            parameter.copy_(module.get_parameter(name))
    return copy


@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::UserWarning")  # Opacus' hooks, not ours
@pytest.mark.parametrize("name", implementations.NAMES)
def test_a_poisson_epoch_equals_opacus_hooks_on_opacus_lstm(name: str) -> None:
    scale = 1e6  # of the loss, since Opacus divides by a norm + 1e-6
    module = builders.model("lstm")
    module.use(implementations.get(name))
    wrapped: Any = GradSampleModule(hooked_copy(module), loss_reduction="sum")
    theirs = DPOptimizer(
        torch.optim.SGD(wrapped.parameters(), lr=0.5 / scale, momentum=0.9),
        noise_multiplier=0.0,
        max_grad_norm=0.3 * scale,
        expected_batch_size=10,
    )
    ours = dpsgd.DpSgdOptimizer(
        torch.optim.SGD(module.parameters(), lr=0.5 / scale, momentum=0.9),
        noise_multiplier=1e-13,
        max_grad_norm=0.3 * scale,
        sampling_rate=0.1,
        expected_batch_size=10,
        generator=randomness.SecureGenerator(),
    )
    before = [p.detach().clone() for p in module.parameters()]
    tokens, _, labels = builders.batch(100)
    lengths = torch.full((100,), tokens.shape[1])
    mask = randomness.SecureGenerator()
    for _ in range(10):
        rows = torch.from_numpy(np.flatnonzero(mask.mask(100, 0.1)))
        if len(rows) == 0:
            continue  # Opacus' hooks cannot see an empty batch; ours is tested above
        theirs.zero_grad()
        loss = scale * nn.functional.cross_entropy(wrapped(tokens[rows]), labels[rows], reduction="sum")
        torch.autograd.backward(loss)
        theirs.step()
        logits, taps = module(tokens[rows], lengths[rows])
        loss = scale * nn.functional.cross_entropy(logits, labels[rows], reduction="sum")
        ours.take(clipping.clipped_sums(loss, taps, units=len(rows), max_grad_norm=0.3 * scale))
    theirs_by_name = dict(wrapped._module.named_parameters())
    for (parameter, p), start in zip(module.named_parameters(), before, strict=True):
        moved = (p - start).abs().max()
        assert float((p - theirs_by_name[parameter]).abs().max() / moved) < 1e-10


@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::UserWarning")  # Opacus' hooks, not ours
def test_norms_equal_those_of_opacus_lstm() -> None:
    module = builders.model("lstm")
    wrapped: Any = GradSampleModule(hooked_copy(module), loss_reduction="sum")
    tokens, _, labels = builders.batch(6)
    torch.autograd.backward(nn.functional.cross_entropy(wrapped(tokens), labels, reduction="sum"))
    theirs = dict(wrapped._module.named_parameters())
    per_example = torch.cat([theirs[name].grad_sample.flatten(1) for name, _ in module.named_parameters()], 1)
    bound = float(per_example.norm(dim=1).median())
    wanted = (per_example * (bound / per_example.norm(dim=1, keepdim=True)).clamp(max=1)).sum(0)
    logits, taps = module(tokens, torch.full((6,), tokens.shape[1]))
    loss = nn.functional.cross_entropy(logits, labels, reduction="sum")
    sums = clipping.clipped_sums(loss, taps, units=6, max_grad_norm=bound)
    got = torch.cat([sums[p].flatten() for p in module.parameters()])
    assert float((got - wanted).norm() / wanted.norm()) < 1e-12
