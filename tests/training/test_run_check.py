"""The check of the shipped pipeline refuses, before a claim, what one of its steps would refuse once data is opened."""

from __future__ import annotations

from dataclasses import replace
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest

from privatekube import errors
from privatekube.client import run_demand
from privatekube.data import word_vectors
from privatekube.privacy import events
from privatekube.privacy.budget import EpsilonDelta
from privatekube.privacy.planned_mechanisms import DpSgd, Mechanism, SelectFromMany
from privatekube.privacy.planned_queries import DiscreteLaplace, Laplace
from privatekube.privacy.solving import SolvedPlan, SolvedStep
from privatekube.privacy.unit import PrivacyUnit
from privatekube.runs.checked_run import CheckedRun
from privatekube.runs.demand import RunDemand
from privatekube.runs.run_arguments import RunArguments
from privatekube.training import run_check
from tests.steps.builders import SETTINGS

ALL_SETTINGS = SETTINGS | {"statistics_fraction": 0.05, "n_epochs": 1, "sampling_rate": 0.5}
TRAINING = SolvedStep(
    "dp_train",
    "train",
    "dp_sgd",
    {"sampling_rate": 0.5, "steps": 2, "noise_multiplier": 1.0},
    events.poisson_gaussian(0.5, 1.0, 2),
)


def counts(name: str, *, sensitivity: int = 1, queries: int = 1) -> SolvedStep:
    parameters = {"scale": 20.0, "sensitivity": sensitivity, "queries": queries}
    return SolvedStep(name, "all", "discrete_laplace", parameters, events.discrete_laplace(20.0, sensitivity))


def search_of(*trial: Mechanism) -> SolvedStep:
    """A search with that trial, its training and then its score."""
    searched = SelectFromMany(trial, mean_trials=5.0, shape=0.0)
    return SolvedStep("dp_train", "train", searched.kind, searched.parameters(8.0), searched.event(8.0))


STEPS = (counts("dp_preprocess"), TRAINING, counts("dp_evaluate"))
DP_SGD, COUNTED = DpSgd(sampling_rate=0.5, steps=2), DiscreteLaplace(sensitivity=1)
SEARCH = (STEPS[0], search_of(DP_SGD, COUNTED), STEPS[2])
GRID = {"learning_rate": [0.01, 0.1]}


def planned(*steps: SolvedStep, max_contribution: int = 1, **settings: Any) -> CheckedRun:
    target = EpsilonDelta(1.0, 1e-9)
    unit = PrivacyUnit.EVENT if max_contribution == 1 else PrivacyUnit.USER_DAY
    request = run_demand.request_for("d", "all", [], target)
    demand = RunDemand(unit, max_contribution, target, SolvedPlan(steps, ("train",)), target, request)
    run = RunArguments(check=run_check.__name__, settings=ALL_SETTINGS | settings)
    return CheckedRun(run, memory_bytes=8 << 30, demand=demand)


def test_the_steps_of_the_pipeline_are_accepted_in_any_order() -> None:
    run_check.check(planned(*STEPS))
    run_check.check(planned(*reversed(STEPS)))


@pytest.mark.parametrize(
    ("run", "message"),
    [
        (planned(*STEPS, max_contribution=2), "^dp_preprocess: sensitivity: 1 must be at least 2, .*say `per: record`"),
        (
            planned(*STEPS[:2]),
            "^plan: steps: 'dp_preprocess, dp_train' are not those that this pipeline runs, dp_",
        ),
        (planned(*STEPS, counts("more")), "^plan: steps: 'dp_preprocess, dp_train, dp_evaluate, more' are not those"),
        (
            planned(*STEPS[:2], counts("dp_evaluate", queries=2)),
            "^mechanism: .* is not one query with discrete Lap",
        ),
        (
            planned(STEPS[0], counts("dp_train"), STEPS[2]),
            "^mechanism: 'discrete_laplace' is not dp_sgd, which dp_",
        ),
        (planned(*STEPS, learning_rate=1e38), r"^learning_rate: 1e\+38 may move weights"),
        (replace(planned(*STEPS), memory_bytes=1 << 20), "^model: 'bow' with .*, and there is 0.0 GiB; lower these"),
    ],
)
def test_what_a_step_would_refuse_is_refused_in_one_line(run: CheckedRun, message: str) -> None:
    with pytest.raises(errors.InvalidInput, match=message) as refusal:
        run_check.check(run)
    assert "\n" not in str(refusal.value)


def test_a_grid_is_accepted_with_the_plan_of_a_search() -> None:
    run_check.check(planned(*SEARCH, hyperparameters=GRID))


@pytest.mark.parametrize(
    ("run", "message"),
    [
        (
            planned(*STEPS, hyperparameters=GRID),
            "^mechanism: 'dp_sgd' is not select_from_many, .*; set plan: pipe",
        ),
        (
            planned(*SEARCH),
            "^hyperparameters: {} has no values for the search .*; list some, or set plan",
        ),
        (
            planned(STEPS[0], search_of(DP_SGD), STEPS[2], hyperparameters=GRID),
            "^dp_train: trial: 1 mechanisms are not the two of a trial",
        ),
        (
            planned(STEPS[0], search_of(COUNTED, DP_SGD), STEPS[2], hyperparameters=GRID),
            "^mechanism: 'discrete_laplace' is not dp_sgd, which trial of dp_train runs",
        ),
        (
            planned(STEPS[0], search_of(DP_SGD, Laplace(sensitivity=1.0)), STEPS[2], hyperparameters=GRID),
            "^mechanism: 'laplace' is not one query with discrete Laplace noise, which trial of dp_train runs",
        ),
        (
            planned(
                counts("dp_preprocess", sensitivity=2),
                SEARCH[1],
                counts("dp_evaluate", sensitivity=2),
                max_contribution=2,
                hyperparameters=GRID,
            ),
            "^trial of dp_train: sensitivity: 1 must be at least 2, .*say `per: record`",
        ),
        (
            planned(*SEARCH, hyperparameters={"learning_rate": [0.01, 1e38]}),
            r"^learning_rate: 1e\+38 may move weights",
        ),
        (
            planned(*SEARCH, hyperparameters={"embedding_dim": [4, 1 << 30]}),
            "^model: 'bow' with vocab_size 100, embedding_dim 1073741824, .*; lower these",
        ),
    ],
)
def test_a_search_that_the_step_would_refuse_is_refused_in_one_line(run: CheckedRun, message: str) -> None:
    with pytest.raises(errors.InvalidInput, match=message) as refusal:
        run_check.check(run)
    assert "\n" not in str(refusal.value)


def test_before_the_blocks_are_known_the_settings_are_checked_alone() -> None:
    run_check.check(replace(planned(), demand=None))


def test_bundled_vectors_that_are_not_installed_are_found_before_the_claim(monkeypatch: pytest.MonkeyPatch) -> None:
    stated: dict[str, Any] = {
        "model": "linear",
        "embeddings": "bundled",
        "embeddings_digest": word_vectors.BUNDLED_DIGEST,
    }
    run_check.check(replace(planned(**stated), demand=None))
    monkeypatch.setattr(metadata.Distribution, "discover", lambda **_: iter(()))
    with pytest.raises(errors.MissingExtra, match="is not installed; this needs the extra vectors: pip install"):
        run_check.check(replace(planned(**stated), demand=None))


def vectors_of(path: Path, **settings: Any) -> dict[str, Any]:
    path.write_text("the 1 2 3 4\nof 5 6 7 8\n")
    stated = {"model": "linear", "embeddings": str(path), "embeddings_digest": word_vectors.digest(str(path))}
    return stated | settings


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"embedding_dim": 5}, "^embedding_dim: 5 is above the 4 dimensions of the vectors; lower it"),
        ({"embeddings": "missing.txt"}, "^embeddings: 'missing.txt' is not a file, none or bundled; name one"),
        ({"embeddings": "gs://b/a.gz"}, "^embeddings: 'gs://b/a.gz' does not end in one of .txt, .vec, .bin, .saf"),
        ({"embeddings": "gs:///a.txt"}, "^URI: 'gs:///a.txt' names no bucket; write it as gs://BUCKET/PREFIX"),
        ({"embeddings_digest": f"sha256:{'1' * 64}"}, r"^embeddings_digest: 'sha256:1+' is not the digest of .*a\.txt"),
        ({"embeddings": "bundled"}, "^embeddings_digest: 'sha256:.*' is not that of the bundled vectors; set auto"),
    ],
)
def test_vectors_that_training_could_not_read_are_refused_before_the_claim(
    changes: dict[str, Any], message: str, tmp_path: Path
) -> None:
    stated = vectors_of(tmp_path / "a.txt")
    run_check.check(replace(planned(**stated), demand=None))
    with pytest.raises(errors.InvalidInput, match=message) as refusal:
        run_check.check(replace(planned(**stated | changes), demand=None))
    assert "\n" not in str(refusal.value)


def test_vectors_in_a_bucket_are_left_to_the_step_that_fetches_them(tmp_path: Path) -> None:
    run_check.check(replace(planned(**vectors_of(tmp_path / "a.txt", embeddings="s3://b/a.txt")), demand=None))


def test_vectors_are_read_whole_before_the_claim(tmp_path: Path) -> None:
    stated = vectors_of(tmp_path / "a.txt")
    (tmp_path / "a.txt").write_text("the 1 2 3 4\nof 5 6 7 nan\n")
    stated["embeddings_digest"] = word_vectors.digest(stated["embeddings"])
    with pytest.raises(errors.InvalidInput, match="has a number that is not finite; correct it"):
        run_check.check(replace(planned(**stated), demand=None))
