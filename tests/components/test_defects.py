"""Put defects of the DP steps back, one by one, and check that a named assertion notices each.

With each of them a run looked as before, and published more than it paid for.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from privatekube.data import partition, stored_block
from privatekube.privacy import events, mechanisms, solving
from privatekube.privacy.unit import PrivacyUnit
from privatekube.steps import dp_step, paid_releases
from privatekube.training import dpsgd, evaluation, loop, randomness, split
from tests.components import test_units
from tests.privacy import test_solving
from tests.reconcile.test_defects import Defect, require_noticed
from tests.training import test_loop

Patch = pytest.MonkeyPatch


def training_on_all_users(patch: Patch) -> None:
    patch.setattr(split, "is_test", lambda user, fraction: np.zeros(len(user), dtype=bool))


def evaluating_on_the_training_users(patch: Patch) -> None:
    count, is_test = evaluation.count_held_out, split.is_test

    def mutant(*given: Any, **named: Any) -> Any:
        with Patch.context() as inner:
            inner.setattr(split, "is_test", lambda user, fraction: ~is_test(user, fraction))
            return count(*given, **named)

    patch.setattr(evaluation, "count_held_out", mutant)


def training_per_event_whatever_the_unit(patch: Patch) -> None:
    train = loop.train
    patch.setattr(loop, "train", lambda data, **named: train(data, **named | {"unit": PrivacyUnit.EVENT}))


def an_exact_batch_size(patch: Patch) -> None:
    train = loop.train
    patch.setattr(
        loop,
        "train",
        lambda data, **named: train(
            data, **named | {"expected_batch_size": named["sampling_rate"] * max(1, len(data))}
        ),
    )


def one_sample_for_all_steps(patch: Patch) -> None:
    draw = randomness.SecureGenerator.mask
    drawn: dict[int, Any] = {}
    patch.setattr(
        randomness.SecureGenerator,
        "mask",
        lambda self, count, probability: drawn.setdefault(id(self), draw(self, count, probability)),
    )


def statistics_without_the_contribution_bound(patch: Patch) -> None:
    patch.setattr(partition, "require_bound", lambda records, **_bound: None)


def an_evaluation_scale_that_ignores_the_price_of_training(patch: Patch) -> None:
    following = solving._following_noise

    def mutant(*given: Any) -> dict[str, float]:
        return {name: noise / 2 for name, noise in following(*given).items()}

    patch.setattr(solving, "_following_noise", mutant)


def an_evaluation_at_another_scale_than_granted(patch: Patch) -> None:
    histogram = mechanisms.noisy_histogram

    def mutant(counts: Any, keys: Any, *, scale: float, sensitivity: int) -> Any:
        is_evaluation = set(keys) >= set(evaluation.cells(2))
        return histogram(counts, keys, scale=scale / sensitivity if is_evaluation else scale, sensitivity=sensitivity)

    patch.setattr(mechanisms, "noisy_histogram", mutant)


def a_spend_of_half_the_steps(patch: Patch) -> None:
    patch.setattr(dpsgd.DpSgdOptimizer, "event", lambda self: events.poisson_gaussian(1.0, self.noise_multiplier, 1))


def a_spend_of_nothing(patch: Patch) -> None:
    patch.setattr(dpsgd.DpSgdOptimizer, "event", lambda self: events.composition())


def a_spend_of_more_noise_than_was_drawn(patch: Patch) -> None:
    histogram = mechanisms.noisy_histogram

    def mutant(counts: Any, keys: Any, *, scale: float, sensitivity: int) -> Any:
        released = histogram(counts, keys, scale=scale, sensitivity=sensitivity)
        return replace(released, event=events.discrete_laplace(2 * scale, sensitivity))

    patch.setattr(mechanisms, "noisy_histogram", mutant)


def a_second_release(patch: Patch) -> None:
    patch.setattr(dp_step, "is_finished", lambda *_spend, **_named: False)
    patch.setattr(dp_step, "_kept_spend", lambda *_staged, **_named: None)
    patch.setattr(paid_releases, "require_first_release", lambda *_claim: None)


def a_published_digest(patch: Patch) -> None:
    run = dp_step.run

    def mutant(name: Any, release: Any, **paths: Any) -> None:
        dataset = paths["spend"].with_name("dataset")

        def with_digest(granted: Any) -> dp_step.Release:
            released: dp_step.Release = release(granted)
            named = [
                content if isinstance(content, bytes) else content.model_copy(update={"data": _digest_of(dataset)})
                for content in released.contents
            ]
            return replace(released, contents=tuple(named))

        run(name, with_digest, **paths)

    patch.setattr(dp_step, "run", mutant)


def _digest_of(dataset: Path) -> str | None:
    return stored_block.read(dataset).digest if dataset.exists() else None


def with_patch(test: Callable[[Patch], None]) -> Callable[[Path], None]:
    """Return a test that patches what it observes, ready to run."""

    def suite(_folder: Path) -> None:
        with Patch.context() as patch:
            test(patch)

    return suite


DEFECTS = [
    Defect(
        training_on_all_users,
        test_units.test_held_out_users_are_not_trained_on,
        "a held-out user moves the gradients",
    ),
    Defect(
        evaluating_on_the_training_users,
        test_units.test_the_model_is_evaluated_on_the_held_out_users_alone,
        "other users than the held-out ones are evaluated",
    ),
    Defect(
        training_per_event_whatever_the_unit,
        test_units.test_one_user_day_moves_the_sum_of_a_training_step_by_the_clipping_norm_at_most,
        "a user-day of two reviews is clipped once",
    ),
    Defect(
        an_exact_batch_size,
        test_units.test_a_step_is_normalised_by_the_published_statistics_alone,
        "the batch size is not that of the noisy counts",
    ),
    Defect(
        one_sample_for_all_steps,
        with_patch(test_loop.test_each_step_draws_a_poisson_sample_of_its_own),
        "two steps share one sample",
    ),
    Defect(
        statistics_without_the_contribution_bound,
        test_units.test_reviews_beyond_the_bound_reach_no_mechanism,
        "a user-day of three reviews is counted, where two are accounted for",
    ),
    Defect(
        an_evaluation_scale_that_ignores_the_price_of_training,
        lambda _folder: test_solving.test_a_free_step_on_another_part_raises_the_price_at_no_order(),
        "a step on another part raises the price",
    ),
    Defect(
        an_evaluation_at_another_scale_than_granted,
        test_units.test_each_step_draws_the_noise_that_the_grant_planned,
        r"assert inputs\.scales == \[31\.0, 17\.0\]",
    ),
    Defect(
        a_spend_of_half_the_steps,
        test_units.test_a_spend_states_the_noise_that_was_drawn,
        "the Spend of training is made up",
    ),
    Defect(
        a_spend_of_nothing,
        test_units.test_a_spend_states_the_noise_that_was_drawn,
        "the Spend of training is made up",
    ),
    Defect(
        a_spend_of_more_noise_than_was_drawn,
        test_units.test_a_spend_states_the_noise_that_was_drawn,
        "the Spend of the statistics is made up",
    ),
    Defect(
        a_second_release,
        test_units.test_a_repeated_step_draws_no_noise,
        "a repeated step drew noise a second time",
    ),
    Defect(
        a_published_digest,
        test_units.test_nothing_that_a_step_releases_holds_the_digest_of_the_data,
        "a digest is published",
    ),
]
PARAMETERS = [pytest.param(defect, id=defect.put_back.__name__) for defect in DEFECTS]


@pytest.mark.slow
@pytest.mark.parametrize("defect", PARAMETERS)
def test_a_defect_of_a_step_is_noticed(defect: Defect, tmp_path: Path, monkeypatch: Patch) -> None:
    require_noticed(defect, tmp_path, monkeypatch)
