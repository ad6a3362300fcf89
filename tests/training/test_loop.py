from __future__ import annotations

import io
import itertools
import logging
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from scipy import stats

from privatekube import errors
from privatekube.data import columns
from privatekube.privacy import events
from privatekube.privacy.unit import PrivacyUnit
from privatekube.training import evaluation, examples, loop, models
from tests.training import builders


def trained(data: columns.Reviews, **changes: object) -> loop.Trained:
    options: dict[str, object] = {
        "task": "product",
        "unit": "event",
        "max_contribution": 1,
        "model": builders.config(n_classes=3),
        "noise_multiplier": 1.0,
        "sampling_rate": 0.5,
        "steps": 3,
        "max_grad_norm": 0.5,
        "optimizer": "adam",
        "learning_rate": 0.05,
        "expected_batch_size": 50.0,
        "seed": 0,
        "device": "cpu",
    }
    return loop.train(data, **(options | changes))  # type: ignore[arg-type]


def accuracy(module: models.Classifier, data: columns.Reviews, config: models.ModelConfig) -> float:
    counts = evaluation.count_predictions(
        module,
        data,
        task="product",
        unit=PrivacyUnit.EVENT,
        max_contribution=1,
        model=config,
        device=torch.device("cpu"),
    )
    return sum(n for (_, correct), n in counts.items() if correct) / counts.total()


@pytest.mark.parametrize("architecture", builders.KINDS)
def test_a_tiny_run_learns_what_is_easy_to_learn(architecture: str) -> None:
    config = builders.config(architecture, n_classes=3)
    data = builders.learnable_reviews(1000, seed=1)
    vectors = None if config.embeddings is None else np.asarray(builders.vectors(config))
    result = trained(data, model=config, steps=60, expected_batch_size=500.0, vectors=vectors)
    assert accuracy(result.module, builders.learnable_reviews(500, seed=2), config) > 0.6  # one in three by chance


def test_noise_that_drowns_the_gradient_leaves_nothing_to_learn() -> None:
    """Noise alone is right 0.41 of the time, give or take 0.18; 0.65 is 6.8 standard errors above."""
    config = builders.config("bow", n_classes=3)
    data, held_out = builders.learnable_reviews(1000, seed=1), builders.learnable_reviews(500, seed=2)

    def mean_accuracy(noise_multiplier: float, runs: int) -> float:
        options = {"model": config, "steps": 20, "expected_batch_size": 500.0, "noise_multiplier": noise_multiplier}
        return float(np.mean([accuracy(trained(data, **options).module, held_out, config) for _ in range(runs)]))

    assert mean_accuracy(1.0, runs=1) > 0.9
    assert mean_accuracy(1e4, runs=25) < 0.65


@pytest.mark.parametrize("unit", ["event", "user-day"])
@pytest.mark.parametrize("steps", [1, 7])
def test_the_steps_planned_are_the_steps_taken_and_reported(unit: str, steps: int) -> None:
    seen: list[tuple[int, int]] = []
    data = builders.learnable_reviews(60, users=20)
    result = trained(
        data, unit=unit, max_contribution=2, steps=steps, progress=lambda step, all_: seen.append((step, all_))
    )
    assert result.steps == steps
    assert result.event == events.poisson_gaussian(0.5, 1.0, steps)
    assert seen == [(step, steps) for step in range(1, steps + 1)]


def test_samples_that_come_out_empty_take_their_noisy_step_all_the_same() -> None:
    nothing = builders.learnable_reviews(3).select(np.zeros(3, dtype=bool))
    for data, rate in ((nothing, 0.5), (builders.learnable_reviews(2), 1e-6)):
        result = trained(data, sampling_rate=rate, steps=4)
        assert result.steps == 4
        before = models.build(builders.config(n_classes=3), 0).state_dict()
        assert all(not torch.equal(before[name], tensor) for name, tensor in result.module.state_dict().items())


def test_each_step_draws_a_poisson_sample_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of two independent samples at rate 0.3, a share of 0.09 of the units is in both."""
    samples: list[np.ndarray] = []
    add_up = loop.clipped_sums

    def recording(module: Any, data: Any, chosen: np.ndarray, **named: Any) -> Any:
        samples.append(chosen)
        return add_up(module, data, chosen, **named)

    monkeypatch.setattr(loop, "clipped_sums", recording)
    units = 2000
    trained(builders.learnable_reviews(units), model=builders.config("bow", n_classes=3), sampling_rate=0.3, steps=4)
    for first, second in itertools.pairwise(samples):
        in_both = len(np.intersect1d(first, second))
        assert stats.binomtest(in_both, units, 0.3**2).pvalue > 1e-9, "two steps share one sample"
        assert stats.binomtest(len(first), units, 0.3).pvalue > 1e-9


def test_two_runs_with_the_same_seed_differ_by_their_noise() -> None:
    data = builders.learnable_reviews(40)
    first, second = (trained(data).module.state_dict() for _ in range(2))
    assert not any(torch.equal(first[name], second[name]) for name in first)


def test_physical_batches_have_no_effect_on_what_is_computed() -> None:
    config = builders.config(n_classes=3)
    module = models.build(config, 0).double()
    data = builders.learnable_reviews(80, users=15)
    ready = examples.prepare(data, task="product", unit=PrivacyUnit.USER_DAY, max_contribution=3, model=config)
    whole = loop.clipped_sums(module, ready, np.arange(ready.units), max_grad_norm=0.3)
    module.positions = 20
    pieces = loop.clipped_sums(module, ready, np.arange(ready.units), max_grad_norm=0.3)
    for parameter, total in whole.items():
        torch.testing.assert_close(pieces[parameter], total, rtol=1e-10, atol=1e-12)


def test_no_output_or_log_or_progress_depends_on_the_data(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)

    def seen(data: columns.Reviews) -> tuple[str, str, list[tuple[int, int]], str]:
        out, err, steps = io.StringIO(), io.StringIO(), []
        caplog.clear()
        with redirect_stdout(out), redirect_stderr(err):
            trained(data, progress=lambda step, all_: steps.append((step, all_)))
        return out.getvalue(), err.getvalue(), steps, caplog.text

    data = builders.learnable_reviews(60)
    assert seen(data) == seen(data.select(np.arange(59))) == seen(builders.learnable_reviews(200, seed=5))
    assert seen(data)[0] == seen(data)[1] == ""


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("noise_multiplier", 0.0),
        ("noise_multiplier", -1.0),
        ("max_grad_norm", 0.0),
        ("sampling_rate", 0.0),
        ("sampling_rate", 1.5),
        ("expected_batch_size", 0.0),
        ("learning_rate", 0.0),
        ("learning_rate", float("nan")),
        ("steps", 0),
        ("task", "stars"),
        ("unit", "household"),
        ("device", "tpu"),
    ],
)
def test_an_argument_out_of_its_range_is_refused_in_one_line_before_the_first_step(name: str, value: object) -> None:
    steps: list[int] = []
    with pytest.raises(errors.InvalidInput, match=rf"^{name}: [^\n]*$"):
        trained(builders.learnable_reviews(10), **{name: value}, progress=lambda step, _: steps.append(step))
    assert steps == []


def test_training_multiplies_in_full_precision_where_an_image_has_switched_on_another() -> None:
    torch.set_float32_matmul_precision("medium")
    trained(builders.learnable_reviews(4, seed=3), steps=1)
    assert torch.get_float32_matmul_precision() == "highest"


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_training_on_a_gpu_learns_and_gives_back_a_model_on_the_cpu() -> None:
    config, data = builders.config(n_classes=3), builders.learnable_reviews(1000, seed=1)
    result = trained(data, model=config, steps=60, expected_batch_size=500.0, device="cuda")
    assert all(not parameter.is_cuda for parameter in result.module.parameters())
    assert accuracy(result.module, builders.learnable_reviews(500, seed=2), config) > 0.6


def test_a_user_day_of_many_reviews_moves_the_sums_by_the_clipping_norm_at_most() -> None:
    config = builders.config(n_classes=3)
    module = models.build(config, 0).double()
    data = builders.learnable_reviews(30, users=3)
    one_day = replace(data, time=np.full(30, columns.FIRST_DAY_SECONDS, dtype=np.int64))

    def flat(kept: np.ndarray) -> torch.Tensor:
        part = one_day.select(kept)
        ready = examples.prepare(part, task="product", unit=PrivacyUnit.USER_DAY, max_contribution=20, model=config)
        sums = loop.clipped_sums(module, ready, np.arange(ready.units), max_grad_norm=0.05)
        return torch.cat([sums[p].flatten() for p in module.parameters()])

    everything = flat(np.ones(30, dtype=bool))
    for user in set(one_day.user.tolist()):
        assert float((everything - flat(one_day.user != user)).norm()) <= 0.05 * (1 + 1e-9)
