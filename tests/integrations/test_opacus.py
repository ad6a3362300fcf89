"""Opacus trains exactly what was planned: the right noise on the right samples, and nothing else."""

from __future__ import annotations

import io
import math
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import pytest
import torch
from opacus.data_loader import DPDataLoader
from opacus.utils.batch_memory_manager import BatchMemoryManager
from scipy import stats
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from privatekube import errors
from privatekube.integrations import opacus
from privatekube.integrations.opacus import PlannedPrivacyEngine, PlannedTraining
from privatekube.privacy import events

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::UserWarning")  # Opacus' hooks, not ours

SIGNIFICANCE = 1e-9
PLANNED = PlannedTraining(noise_multiplier=2.0, sampling_rate=0.25, steps=6, max_grad_norm=0.5)
UNITS, FEATURES = 40, 3
EXPECTED_BATCH = 8.0


def dataset(units: int = UNITS) -> TensorDataset:
    generator = torch.Generator().manual_seed(1)
    return TensorDataset(torch.randn(units, FEATURES, generator=generator), torch.arange(units) % 2)


def poisson_loader(**changes: Any) -> DPDataLoader:
    return DPDataLoader(**{"dataset": dataset(), "sample_rate": PLANNED.sampling_rate} | changes)


class Training:
    """A small model that is trained by a planned engine."""

    def __init__(self, planned: PlannedTraining = PLANNED, *, features: int = FEATURES, **options: Any) -> None:
        self.engine = PlannedPrivacyEngine(planned, expected_batch_size=EXPECTED_BATCH, max_contribution=1)
        self.plain = nn.Linear(features, 2)
        stock = torch.optim.SGD(self.plain.parameters(), lr=1.0)
        loader = options.pop("data_loader", None) or poisson_loader(sample_rate=planned.sampling_rate)
        private = self.engine.make_private(module=self.plain, optimizer=stock, data_loader=loader, **options)
        self.model, self.optimizer, self.loader = private

    def take(self, features: torch.Tensor, labels: torch.Tensor) -> None:
        self.optimizer.zero_grad()
        torch.autograd.backward(nn.functional.cross_entropy(self.model(features), labels))
        self.optimizer.step()

    def run(self) -> None:
        while self.engine.steps_left:
            for features, labels in self.loader:
                self.take(features, labels)

    def weights(self) -> list[torch.Tensor]:
        return [parameter.detach().clone() for parameter in self.plain.parameters()]


def samples_of(training: Training) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    while True:
        yield from training.loader


def test_a_whole_training_takes_the_planned_steps_and_says_what_they_cost() -> None:
    training = Training()
    before = training.weights()
    training.run()
    assert training.engine.event() == events.poisson_gaussian(0.25, 2.0, 6) == PLANNED.event
    released = training.engine.released(training.model)
    assert released.event == PLANNED.event
    assert released.value is training.plain
    assert not any(torch.equal(old, new) for old, new in zip(before, training.weights(), strict=True))


def test_the_plain_loop_trains_as_planned() -> None:
    model = nn.Linear(FEATURES, 2)
    before = model.weight.detach().clone()
    released = opacus.train(
        PLANNED,
        module=model,
        optimizer=torch.optim.SGD(model.parameters(), lr=1.0),
        dataset=dataset(),
        loss=nn.functional.cross_entropy,
        expected_batch_size=EXPECTED_BATCH,
        max_contribution=1,
    )
    assert released.value is model
    assert released.event == PLANNED.event
    assert not torch.equal(before, model.weight)


def noise_of_steps(planned: PlannedTraining) -> np.ndarray:
    """Return what the steps of a training on gradients of zero add to the weights."""
    units, width = 4, 30_000
    data = TensorDataset(torch.zeros(units, width), torch.zeros(units, dtype=torch.long))
    loader = DPDataLoader(data, sample_rate=planned.sampling_rate)
    training = Training(planned, features=width, data_loader=loader)
    before = training.plain.weight.detach().clone()
    training.run()
    return (training.plain.weight.detach() - before).numpy().ravel()


def has_scale(samples: np.ndarray, scale: float) -> bool:
    return float(stats.kstest(samples / scale, "norm").pvalue) > SIGNIFICANCE


def test_the_noise_has_the_planned_scale_and_another_one_is_rejected() -> None:
    planned = PlannedTraining(noise_multiplier=3.0, sampling_rate=0.5, steps=4, max_grad_norm=0.5)
    noise = noise_of_steps(planned)
    scale = 3.0 * 0.5 / EXPECTED_BATCH * math.sqrt(planned.steps)
    standard_error = scale / math.sqrt(2 * len(noise))
    assert abs(noise.std() - scale) < 6 * standard_error + 0.001 * scale
    assert has_scale(noise, scale)
    assert not has_scale(noise, 1.1 * scale)
    assert not has_scale(noise, 0.9 * scale)


def test_noise_and_samples_come_from_no_seed() -> None:
    results = []
    for _ in range(2):
        torch.manual_seed(0)
        training = Training()
        training.run()
        results.append(training.weights()[0])
    assert not torch.any(results[0] == results[1])


def test_each_unit_is_sampled_with_the_planned_rate_independently_of_the_others() -> None:
    planned = PlannedTraining(noise_multiplier=2.0, sampling_rate=0.25, steps=2000, max_grad_norm=0.5)
    sampler: Any = Training(planned).loader.batch_sampler
    drawn = np.zeros((2000, UNITS), dtype=bool)
    rows = (sample for _ in range(500) for sample in sampler)
    for row, sample in zip(drawn, rows, strict=True):
        row[sample] = True
    assert stats.binomtest(int(drawn.sum()), drawn.size, 0.25).pvalue > SIGNIFICANCE
    assert stats.binomtest(int((drawn[:, 0] & drawn[:, 1]).sum()), len(drawn), 0.25**2).pvalue > SIGNIFICANCE
    assert len(set(drawn.sum(axis=1))) > 5  # a shuffled batch always has the same size


def test_the_gradient_of_a_unit_is_clipped_to_the_planned_norm() -> None:
    planned = PlannedTraining(noise_multiplier=1e-9, sampling_rate=1.0, steps=1, max_grad_norm=0.5)
    data = TensorDataset(torch.full((1, FEATURES), 100.0), torch.zeros(1, dtype=torch.long))
    training = Training(planned, data_loader=DPDataLoader(data, sample_rate=1.0))
    nn.init.zeros_(training.plain.weight)
    before = training.weights()
    training.run()
    moved = torch.cat([(new - old).flatten() for old, new in zip(before, training.weights(), strict=True)])
    assert float(moved.norm()) * EXPECTED_BATCH == pytest.approx(0.5, rel=1e-4)


def test_a_unit_whose_gradient_is_not_finite_counts_as_zero() -> None:
    planned = PlannedTraining(noise_multiplier=1e-9, sampling_rate=1.0, steps=1, max_grad_norm=0.5)
    weights = []
    for value in (math.inf, 0.0):
        torch.manual_seed(0)
        data = TensorDataset(torch.tensor([[1.0] * FEATURES, [value] * FEATURES]), torch.tensor([0, 0]))
        training = Training(planned, data_loader=DPDataLoader(data, sample_rate=1.0))
        training.run()
        weights.append(training.weights()[0])
    torch.testing.assert_close(weights[0], weights[1])  # features of zero have a gradient of zero in the weights


def test_the_step_after_the_last_is_refused_before_noise_is_drawn() -> None:
    training = Training()
    training.run()
    before = training.weights()
    with pytest.raises(errors.InvalidInput, match="steps: 7 is above the 6 of the plan"):
        next(iter(training.loader))
    features, labels = torch.zeros(0, FEATURES), torch.zeros(0, dtype=torch.long)
    with pytest.raises(errors.InvalidInput, match="steps: 7 is above the 6 of the plan"):
        training.take(features, labels)
    assert all(torch.equal(old, new) for old, new in zip(before, training.weights(), strict=True))
    assert training.engine.event() == PLANNED.event


def test_a_training_that_ends_early_says_the_steps_it_took_and_one_without_steps_is_refused() -> None:
    training = Training()
    with pytest.raises(errors.InvalidInput, match="steps: 0 must be from 1 to the 6 of the plan"):
        training.engine.event()
    samples = samples_of(training)
    for _ in range(2):
        training.take(*next(samples))
    assert training.engine.event() == events.poisson_gaussian(0.25, 2.0, 2)


@pytest.mark.parametrize(
    ("history", "message"),
    [
        ([(2.0, 0.25, 7)], "steps: 7 must be from 1 to the 6 of the plan"),
        ([(1.0, 0.25, 6)], "noise_multiplier: 1.0 must be the 2.0 of the plan"),
        ([(2.0, 0.25, 3), (2.0, 0.5, 3)], "sampling_rate: 0.5 must be the 0.25 of the plan"),
    ],
)
def test_a_history_that_differs_from_the_plan_is_refused(history: list[tuple[float, float, int]], message: str) -> None:
    training = Training()
    training.engine.accountant.history = history
    with pytest.raises(errors.InvalidInput, match=message):
        training.engine.event()


@pytest.mark.parametrize(
    ("loader", "message"),
    [
        (DataLoader(dataset(), batch_size=10, shuffle=True), "data_loader: 'DataLoader' shuffles"),
        (DataLoader(dataset(), batch_size=10), "data_loader: 'DataLoader' does not draw Poisson samples"),
        ([1, 2], "data_loader: 'list' does not draw Poisson samples"),
        (poisson_loader(sample_rate=0.5), "sampling_rate: 0.5 must be the 0.25 of the plan"),
        (poisson_loader(rand_on_empty=True), "makes up a unit for an empty sample"),
    ],
)
def test_a_loader_that_does_not_draw_the_planned_samples_is_refused(loader: Any, message: str) -> None:
    with pytest.raises(errors.InvalidInput, match=message):
        Training(data_loader=loader)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"clipping": "adaptive"}, "clipping: 'adaptive' is not planned; 'flat' is"),
        ({"clipping": "per_layer"}, "clipping: 'per_layer' is not planned"),
        ({"grad_sample_mode": "ghost"}, "grad_sample_mode: 'ghost' is not planned; 'hooks' is"),
        ({"poisson_sampling": False}, "poisson_sampling: False is not planned"),
        ({"noise_multiplier": 0.5}, "noise_multiplier: 0.5 must be the 2.0 of the plan"),
        ({"max_grad_norm": 1.0}, "max_grad_norm: 1.0 must be the 0.5 of the plan"),
        ({"target_unclipped_quantile": 0.5}, "target_unclipped_quantile: 0.5 is not part of the plan"),
        ({"noise_generator": torch.Generator()}, "noise_generator: .* is not part of the plan"),
    ],
)
def test_an_option_that_deviates_from_the_plan_is_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(errors.InvalidInput, match=message):
        Training(**options)


def test_the_options_of_a_script_that_say_what_is_planned_are_accepted() -> None:
    Training(clipping="flat", poisson_sampling=True, noise_multiplier=2.0, max_grad_norm=0.5)


def test_noise_is_not_chosen_by_epsilon() -> None:
    with pytest.raises(errors.InvalidInput, match="epsilon: is planned already"):
        Training().engine.make_private_with_epsilon(target_epsilon=1.0)


@pytest.mark.parametrize(("name", "value"), [("noise_multiplier", 0.1), ("max_grad_norm", 5.0)])
def test_a_change_on_the_way_is_refused_before_the_step(name: str, value: float) -> None:
    training = Training()
    samples = samples_of(training)
    training.take(*next(samples))
    setattr(training.optimizer, name, value)
    with pytest.raises(errors.InvalidInput, match=f"{name}: {value} must be"):
        training.take(*next(samples))
    assert training.engine.steps_left == 5


def test_batches_of_another_loader_are_refused() -> None:
    training = Training()
    next(iter(training.loader))
    before = training.weights()
    with pytest.raises(errors.InvalidInput, match="batch: is not the next sample") as refusal:
        training.take(*dataset(UNITS)[:])
    assert str(UNITS) not in str(refusal.value)
    assert all(torch.equal(old, new) for old, new in zip(before, training.weights(), strict=True))


def test_gradients_of_two_passes_over_a_sample_are_refused() -> None:
    training = Training(data_loader=poisson_loader(dataset=dataset(400)))
    features, labels = next(iter(training.loader))  # empty with a chance of 1e-50
    training.optimizer.zero_grad()
    for _ in range(2):
        torch.autograd.backward(nn.functional.cross_entropy(training.model(features), labels))
    with pytest.raises(errors.InvalidInput, match="batch: is not the next sample"):
        training.optimizer.step()


def test_a_loop_that_leaves_out_empty_samples_is_refused() -> None:
    """Whether a step was taken would depend on the data: the noise of an empty sample is part of the plan."""
    planned = PlannedTraining(noise_multiplier=2.0, sampling_rate=0.02, steps=50, max_grad_norm=0.5)
    training = Training(planned, data_loader=DPDataLoader(dataset(20), sample_rate=0.02))

    def loop_without_empty_samples() -> None:
        for features, labels in training.loader:
            if len(features):
                training.take(features, labels)

    with pytest.raises(errors.InvalidInput, match="empty ones included"):
        loop_without_empty_samples()  # no sample follows an empty one with a chance of 1e-8


def test_empty_samples_take_a_noisy_step() -> None:
    planned = PlannedTraining(noise_multiplier=2.0, sampling_rate=1e-6, steps=3, max_grad_norm=0.5)
    training = Training(planned, data_loader=DPDataLoader(dataset(2), sample_rate=1e-6))
    before = training.weights()
    training.run()
    assert training.engine.event() == planned.event
    assert not any(torch.equal(old, new) for old, new in zip(before, training.weights(), strict=True))


def test_large_samples_may_be_split_to_save_memory() -> None:
    planned = PlannedTraining(noise_multiplier=2.0, sampling_rate=0.5, steps=4, max_grad_norm=0.5)
    training = Training(planned)
    sizes = []
    while training.engine.steps_left:
        with BatchMemoryManager(
            data_loader=training.loader, max_physical_batch_size=4, optimizer=training.optimizer
        ) as small:
            for features, labels in small:
                sizes.append(len(features))
                training.take(features, labels)
    assert max(sizes) <= 4 < len(sizes)
    assert training.engine.event() == planned.event


def test_a_pass_that_was_broken_off_can_be_begun_again() -> None:
    training = Training(data_loader=poisson_loader(dataset=dataset(400)))
    for _ in range(9):
        next(iter(training.loader))
    training.run()
    assert training.engine.event() == PLANNED.event


def test_gradients_are_used_in_one_step_only() -> None:
    training = Training()
    samples = samples_of(training)
    training.take(*next(samples))
    next(samples)
    with pytest.raises(ValueError, match="haven't been cleared"):
        training.optimizer.step()
    assert training.engine.steps_left == 5


def test_a_hook_that_would_replace_the_accountant_is_refused() -> None:
    with pytest.raises(errors.InvalidInput, match="step_hook"):
        Training().optimizer.attach_step_hook(print)


def test_a_training_that_was_saved_goes_on_up_to_the_planned_steps() -> None:
    first = Training()
    samples = samples_of(first)
    for _ in range(4):
        first.take(*next(samples))
    saved = io.BytesIO()
    first.engine.save_checkpoint(path=saved, module=first.model, optimizer=first.optimizer)
    second = Training()
    saved.seek(0)
    second.engine.load_checkpoint(path=saved, module=second.model, optimizer=second.optimizer)
    assert second.engine.steps_left == 2
    second.run()
    assert second.engine.event() == PLANNED.event


def test_weights_that_are_not_finite_are_not_released() -> None:
    training = Training()
    training.run()
    with torch.no_grad():
        training.plain.weight[0, 0] = math.nan
    with pytest.raises(errors.InvalidInput, match="weights: weight is not finite"):
        training.engine.released(training.model)


def test_a_layer_that_mixes_units_is_refused() -> None:
    engine = PlannedPrivacyEngine(PLANNED, expected_batch_size=EXPECTED_BATCH, max_contribution=1)
    model = nn.Sequential(nn.Linear(FEATURES, 2), nn.BatchNorm1d(2))
    with pytest.raises(errors.InvalidInput, match=r"module: .*BatchNorm"):
        engine.make_private(
            module=model, optimizer=torch.optim.SGD(model.parameters(), lr=1.0), data_loader=poisson_loader()
        )


@pytest.mark.parametrize("options", [{"affine": False}, {"affine": False, "track_running_stats": False}, {}])
def test_a_layer_that_mixes_units_is_refused_although_it_has_nothing_to_train(options: dict[str, Any]) -> None:
    """Opacus looks at trainable layers alone: the mean of the data was released with the model."""
    engine = PlannedPrivacyEngine(PLANNED, expected_batch_size=EXPECTED_BATCH, max_contribution=1)
    layer = nn.BatchNorm1d(FEATURES, **options)
    for parameter in layer.parameters():
        parameter.requires_grad = False
    model = nn.Sequential(layer, nn.Linear(FEATURES, 2))
    with pytest.raises(errors.InvalidInput, match=r"module: 'BatchNorm1d' has statistics of several units"):
        engine.make_private(
            module=model, optimizer=torch.optim.SGD(model.parameters(), lr=1.0), data_loader=poisson_loader()
        )


class Remembering(nn.Module):
    """A linear model that keeps the last record that it has seen in a buffer."""

    seen: torch.Tensor

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(FEATURES, 2)
        self.register_buffer("seen", torch.zeros(FEATURES))

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        for record in features:
            self.seen.copy_(record)
        scores: torch.Tensor = self.linear(features)
        return scores


def trained(model: nn.Module, parameters: Iterable[nn.Parameter]) -> tuple[PlannedPrivacyEngine, nn.Module]:
    """Train a model whose sample has every unit, and return its engine and the wrapped module."""
    planned = PlannedTraining(noise_multiplier=2.0, sampling_rate=1.0, steps=2, max_grad_norm=0.5)
    engine = PlannedPrivacyEngine(planned, expected_batch_size=EXPECTED_BATCH, max_contribution=1)
    stock = torch.optim.SGD(parameters, lr=1.0)
    loader = DPDataLoader(dataset(), sample_rate=1.0)
    wrapped, optimizer, samples = engine.make_private(module=model, optimizer=stock, data_loader=loader)
    while engine.steps_left:
        for features, labels in samples:
            optimizer.zero_grad()
            torch.autograd.backward(nn.functional.cross_entropy(wrapped(features), labels))
            optimizer.step()
    return engine, wrapped


def test_a_buffer_that_took_up_the_data_is_not_released() -> None:
    model = Remembering()
    engine, wrapped = trained(model, model.parameters())
    with pytest.raises(errors.InvalidInput, match="module: 'seen' was changed without noise"):
        engine.released(wrapped)


def test_a_parameter_that_another_optimizer_trained_is_not_released() -> None:
    model = nn.Sequential(nn.Linear(FEATURES, 2), nn.Linear(2, 2))
    engine, wrapped = trained(model, model[1].parameters())
    assert engine.released(wrapped).value is model
    torch.optim.SGD(model[0].parameters(), lr=1.0).step()  # its gradients have no noise
    with pytest.raises(errors.InvalidInput, match=r"module: '0\.(weight|bias)' was changed without noise"):
        engine.released(wrapped)


@pytest.mark.parametrize("history", [[], [(2.0, 0.25, 5)]])
def test_steps_that_are_taken_off_the_history_give_no_further_ones(history: list[tuple[float, float, int]]) -> None:
    training = Training()
    training.run()
    training.engine.accountant.history = history
    for act in (training.run, training.engine.event):
        with pytest.raises(errors.InvalidInput, match="are fewer than the 6 that were taken"):
            act()


def test_gradients_of_a_batch_that_was_refused_are_not_in_the_next_step() -> None:
    """A unit in both batches would move a step by twice what its noise covers."""
    training = Training()
    batches = samples_of(training)
    next(batches)
    training.optimizer.signal_skip_step(do_skip=True)
    training.take(*dataset(UNITS)[:])
    with pytest.raises(errors.InvalidInput, match="batch: is not the next sample"):
        training.take(*dataset(UNITS)[:])
    training.optimizer.zero_grad()
    assert all(getattr(parameter, "summed_grad", None) is None for parameter in training.plain.parameters())


def test_an_optimizer_of_another_model_is_refused() -> None:
    engine = PlannedPrivacyEngine(PLANNED, expected_batch_size=EXPECTED_BATCH, max_contribution=1)
    other = torch.optim.SGD(nn.Linear(FEATURES, 2).parameters(), lr=1.0)
    with pytest.raises(errors.InvalidInput, match="optimizer: has parameters that the module has not"):
        engine.make_private(module=nn.Linear(FEATURES, 2), optimizer=other, data_loader=poisson_loader())


def test_units_with_several_items_are_refused() -> None:
    with pytest.raises(errors.InvalidInput, match="max_contribution: 3 must be 1"):
        PlannedPrivacyEngine(PLANNED, expected_batch_size=EXPECTED_BATCH, max_contribution=3)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("steps", 0),
        *((name, 0.0) for name in ("noise_multiplier", "sampling_rate", "max_grad_norm")),
        *((name, math.inf) for name in ("noise_multiplier", "sampling_rate", "max_grad_norm")),
        *((name, math.nan) for name in ("noise_multiplier", "sampling_rate", "max_grad_norm")),
    ],
)
def test_a_plan_has_no_off_switch(name: str, value: float) -> None:
    numbers = {"noise_multiplier": 2.0, "sampling_rate": 0.25, "steps": 6, "max_grad_norm": 0.5}
    with pytest.raises(errors.InvalidInput, match=name):
        PlannedTraining(**numbers | {name: value})  # type: ignore[arg-type]  # wrong values on purpose


def test_a_step_of_a_plan_is_trained_with_its_parameters() -> None:
    parameters = {"noise_multiplier": 2.0, "sampling_rate": 0.25, "steps": 6}
    assert PlannedTraining.of(parameters, max_grad_norm=0.5) == PLANNED
    with pytest.raises(errors.InvalidInput, match="have no noise_multiplier; choose a step of DP-SGD"):
        PlannedTraining.of({"scale": 2.0}, max_grad_norm=0.5)
