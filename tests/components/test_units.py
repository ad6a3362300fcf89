"""Each DP step adds up the units that it may, each within its bound, and its Spend states the noise that was drawn."""

from __future__ import annotations

import contextlib
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from components.dp_preprocess import __main__ as preprocess_program
from privatekube import errors
from privatekube.data import metadata, stored_block
from privatekube.privacy import events
from privatekube.steps import documents
from privatekube.training import split
from tests.components.dp_steps import BOUND, HELD_OUT, STEPS, TRAINED, Inputs, planned, recorded, run_on
from tests.components.run_steps import Run

USER_DAYS = dict.fromkeys((*HELD_OUT, *TRAINED), BOUND)


def inputs_of(folder: Path, user_days: dict[int, int]) -> Inputs:
    """Return what the mechanisms of a whole run over these user-days are given."""
    with run_on(folder, user_days) as run, recorded() as inputs:
        for step in (run.preprocess, run.train, run.evaluate):
            step()
    return inputs


def test_the_users_of_these_tests_are_on_the_sides_that_they_say() -> None:
    assert split.is_test(np.array(HELD_OUT), 0.3).all()
    assert not split.is_test(np.array(TRAINED), 0.3).any()


def test_held_out_users_are_not_trained_on(tmp_path: Path) -> None:
    everybody = inputs_of(tmp_path / "everybody", USER_DAYS)
    without = inputs_of(tmp_path / "without", {user: n for user, n in USER_DAYS.items() if user != HELD_OUT[0]})
    assert everybody.sums[0].equal(without.sums[0]), "a held-out user moves the gradients"


def test_the_model_is_evaluated_on_the_held_out_users_alone(tmp_path: Path) -> None:
    _, evaluated = inputs_of(tmp_path / "run", USER_DAYS).counts
    per_class: Counter[int] = Counter()
    for (label, _correct), count in evaluated.items():
        per_class[label] += count
    expected = Counter({label: BOUND * n for label, n in Counter(user % 3 for user in HELD_OUT).items()})
    assert per_class == expected, "other users than the held-out ones are evaluated"


def test_one_user_day_moves_the_sum_of_a_training_step_by_the_clipping_norm_at_most(tmp_path: Path) -> None:
    both = inputs_of(tmp_path / "both", USER_DAYS)
    without = inputs_of(tmp_path / "without", {user: n for user, n in USER_DAYS.items() if user != TRAINED[0]})
    moved = float((both.sums[0] - without.sums[0]).norm())
    assert 0.9 < moved <= 1 + 1e-6, "a user-day of two reviews is clipped once, to a norm of 1"


def test_one_user_day_moves_the_counts_by_what_their_event_states(tmp_path: Path) -> None:
    both = inputs_of(tmp_path / "both", USER_DAYS).counts
    for user, moving in ((HELD_OUT[0], (BOUND, BOUND)), (TRAINED[0], (BOUND, 0))):
        user_days = {other: n for other, n in USER_DAYS.items() if other != user}
        without = inputs_of(tmp_path / f"without-{user}", user_days).counts
        totals = (sum(more.values()) - sum(fewer.values()) for more, fewer in zip(both, without, strict=True))
        assert tuple(totals) == moving


def test_reviews_beyond_the_bound_reach_no_mechanism(tmp_path: Path) -> None:
    with run_on(tmp_path / "run", USER_DAYS | {TRAINED[0]: BOUND + 1}) as run, recorded() as inputs:
        with contextlib.suppress(errors.CorruptData):
            run.preprocess()
        assert inputs.counts == [], "a user-day of three reviews is counted, where two are accounted for"


def test_a_step_is_normalised_by_the_published_statistics_alone(tmp_path: Path) -> None:
    def told(*given: Any) -> documents.Statistics:
        return published(*given).model_copy(update={"counts": {"a": {"1": 9_000}, "b": {"5": 1_000}}})

    published = preprocess_program._statistics
    with run_on(tmp_path / "run", USER_DAYS) as run, recorded() as inputs, pytest.MonkeyPatch.context() as patch:
        patch.setattr(preprocess_program, "_statistics", told)
        run.preprocess()
        run.train()
    assert inputs.batch_sizes == [0.7 * 10_000] * STEPS, "the batch size is not that of the noisy counts"


def spent(run: Run, name: str) -> documents.Json:
    return documents.read(documents.Spend, run.path(name)).event


def test_a_spend_states_the_noise_that_was_drawn(tmp_path: Path) -> None:
    with run_on(tmp_path / "run", USER_DAYS) as run, recorded() as inputs:
        for step in (run.preprocess, run.train, run.evaluate):
            step()
        (noise_multiplier,) = set(inputs.noise_multipliers)
        training = events.poisson_gaussian(1.0, noise_multiplier, len(inputs.sums))
        counting = [events.discrete_laplace(scale, BOUND) for scale in inputs.scales]
        assert spent(run, "s1") == events.to_json(counting[0]), "the Spend of the statistics is made up"
        assert spent(run, "s2") == events.to_json(training), "the Spend of training is made up"
        assert spent(run, "s3") == events.to_json(counting[1]), "the Spend of the evaluation is made up"


def test_each_step_draws_the_noise_that_the_grant_planned(tmp_path: Path) -> None:
    plan = planned(statistics=31.0, training=2.5, evaluation=17.0, steps=2)
    with run_on(tmp_path / "run", USER_DAYS, plan=plan) as run, recorded() as inputs:
        for step in (run.preprocess, run.train, run.evaluate):
            step()
    assert inputs.scales == [31.0, 17.0]
    assert inputs.noise_multipliers == [2.5, 2.5]


def test_a_repeated_step_draws_no_noise(tmp_path: Path) -> None:
    with run_on(tmp_path / "run", USER_DAYS) as run, recorded() as inputs:
        for step in (run.preprocess, run.train, run.evaluate):
            step()
            drawn = len(inputs.scales), len(inputs.sums)
            with contextlib.suppress(errors.BudgetExceeded):
                step()
            assert (len(inputs.scales), len(inputs.sums)) == drawn, "a repeated step drew noise a second time"


def test_nothing_that_a_step_releases_holds_the_digest_of_the_data(tmp_path: Path) -> None:
    with run_on(tmp_path / "run", USER_DAYS) as run:
        for step in (run.preprocess, run.train, run.evaluate):
            step()
        merged = stored_block.read_reviews(run.path("dataset"))
        plain = metadata.content_digest(merged.reviews, merged.metadata)
        private = [digest.rpartition(":")[2].encode() for digest in (merged.digest, plain)]
        for name in ("statistics", "checkpoint", "metrics", "s1", "s2", "s3"):
            content = run.clear(name).read_bytes()
            assert not any(digest in content for digest in private), "a digest is published"
