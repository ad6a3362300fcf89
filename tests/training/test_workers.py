"""Several processes train the model that one process trains, and none of them is lost unnoticed."""

from __future__ import annotations

import math
import multiprocessing
import sys
from multiprocessing import connection

import numpy as np
import pytest
import torch

from privatekube import errors
from privatekube.privacy import events
from privatekube.privacy.unit import PrivacyUnit
from privatekube.training import clipping, examples, models, workers
from privatekube.training.lstm_steps import choice
from tests.training import builders
from tests.training.test_loop import trained

NO_NOISE = {"noise_multiplier": 1e-9, "sampling_rate": 1.0, "optimizer": "sgd", "learning_rate": 5.0}
"""All units are in each sample, so that the sums are the same up to the order in which they are added."""


@pytest.mark.slow
def test_two_processes_train_the_model_of_one_with_the_same_event_up_to_the_order_of_sums() -> None:
    data = builders.learnable_reviews(90, seed=3)
    alone, together = (
        trained(data, unit="user", max_contribution=2, steps=3, n_workers=count, **NO_NOISE) for count in (1, 2)
    )
    assert together.event == alone.event == events.poisson_gaussian(1.0, 1e-9, 3)
    for (name, one), two in zip(alone.module.state_dict().items(), together.module.state_dict().values(), strict=True):
        torch.testing.assert_close(two, one, rtol=1e-5, atol=1e-6, msg=name)
    assert multiprocessing.active_children() == []


@pytest.mark.slow
def test_a_lost_process_ends_the_training_with_one_line() -> None:
    def kill(done: int, _total: int) -> None:
        if done == 1:
            for process in multiprocessing.active_children():
                process.kill()

    with pytest.raises(
        errors.WorkerLost, match=r"^workers: process 2 of 2 ended .*, with exit status -9; see .*lower workers$"
    ):
        trained(builders.learnable_reviews(60, seed=3), steps=5000, n_workers=2, progress=kill)
    assert multiprocessing.active_children() == []


@pytest.mark.slow
def test_a_process_that_did_its_part_is_not_lost_and_one_that_failed_is_as_soon_as_its_sentinel_says_so() -> None:
    spawn = multiprocessing.get_context("spawn")
    done, failed = (spawn.Process(target=sys.exit, args=(status,)) for status in (0, 3))
    for process in (done, failed):
        process.start()
        connection.wait([process.sentinel])
    workers.Group([done]).require_all()
    with pytest.raises(errors.WorkerLost, match=r"^workers: process 3 of 3 ended .*, with exit status 3; "):
        workers.Group([done, failed]).require_all()


@pytest.mark.parametrize("count", [1, 2, 7, 100])
def test_each_unit_is_in_one_part_with_all_its_reviews(count: int) -> None:
    whole = examples.prepare(
        builders.learnable_reviews(60, seed=3),
        task="product",
        unit=PrivacyUnit.USER,
        max_contribution=2,
        model=builders.config(n_classes=3),
    )
    parts = [whole.part(number, count) for number in range(count)]
    for unit in range(whole.units):
        part, place = parts[unit % count], unit // count
        (here,), (there,) = (
            data.batches(np.array([number]), torch.device("cpu"), positions=100)
            for data, number in ((whole, unit), (part, place))
        )
        torch.testing.assert_close(there.tokens, here.tokens)
        torch.testing.assert_close(there.labels, here.labels)
    assert sum(part.units for part in parts) == whole.units
    assert sum(len(part.reviews) for part in parts) == sum(len(part.members) for part in parts) == len(whole.members)


@pytest.mark.slow
def test_the_noise_of_two_processes_is_that_of_one() -> None:
    data = builders.learnable_reviews(2, seed=3)
    quiet = trained(data, steps=1, expected_batch_size=5.0, **NO_NOISE)
    noisy = trained(data, steps=1, expected_batch_size=5.0, n_workers=2, **(NO_NOISE | {"noise_multiplier": 8.0}))
    pairs = zip(noisy.module.parameters(), quiet.module.parameters(), strict=True)
    moved = torch.cat([(one - two).detach().flatten() for one, two in pairs])
    error = 1 / math.sqrt(2 * len(moved))
    assert abs(float(moved.std()) / (8.0 * 0.5) - 1) < 6 * error


def positions_of_model(module: models.Classifier, *_: object, max_grad_norm: float) -> clipping.Sums:
    return {parameter: torch.full_like(parameter, module.positions).double() for parameter in module.parameters()}


@pytest.mark.slow
def test_each_process_computes_with_the_steps_that_are_chosen_for_the_device() -> None:
    config = builders.config(n_classes=3)
    data = examples.prepare(
        builders.learnable_reviews(4, seed=3), task="product", unit=PrivacyUnit.USER, max_contribution=2, model=config
    )
    whole = workers.Part(data, config, 0, None, 1.0, 1, 1.0, "cpu", positions_of_model)
    module = models.build(config, 0)
    module.use(choice.choose(torch.device("cpu")).path)
    with workers.started(whole, 2) as (_, group):
        total = group.total(positions_of_model(module, max_grad_norm=1.0))
        group.distribute(module)
    assert {float(sums.flatten()[0]) for sums in total.values()} == {2.0 * module.positions}
