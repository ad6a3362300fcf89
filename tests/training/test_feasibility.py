"""What public arguments tell of a training: whether its weights stay finite, and the memory that it needs."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from privatekube import errors
from privatekube.privacy.unit import PrivacyUnit
from privatekube.runs import run_arguments
from privatekube.training import checkpoint, feasibility, loop, models, optimizers
from privatekube.training.settings import TrainingSettings
from tests.examples import examples
from tests.steps.builders import SETTINGS
from tests.training import builders

STEPS = 3


def shaped(**changes: Any) -> TrainingSettings:
    return TrainingSettings.of(SETTINGS | {"model": "lstm"} | changes)


def trained(**changes: Any) -> loop.Trained:
    arguments: dict[str, Any] = {
        "task": "product",
        "unit": PrivacyUnit.EVENT,
        "max_contribution": 1,
        "model": builders.config("bow"),
        "noise_multiplier": 1.0,
        "sampling_rate": 0.5,
        "steps": STEPS,
        "max_grad_norm": 1.0,
        "optimizer": "adam",
        "learning_rate": 0.01,
        "expected_batch_size": 10.0,
        "seed": 0,
        "device": "cpu",
    }
    return loop.train(builders.learnable_reviews(40), **arguments | changes)


@pytest.mark.parametrize("change", [{"max_grad_norm": 1e38}, {"learning_rate": 1e38}])
def test_a_training_whose_weights_may_overflow_does_not_start(change: dict[str, float]) -> None:
    with pytest.raises(errors.InvalidInput, match=rf"^{next(iter(change))}: 1e\+38 .*; lower it"):
        trained(**change)


def test_a_training_that_ends_with_weights_that_are_not_finite_releases_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(models, "_EMBEDDING_SCALE", math.inf)
    with pytest.raises(errors.InvalidInput, match=r"weights: embedding.weight is not finite; lower learning_rate"):
        trained()


def test_weights_that_are_not_finite_are_not_encoded() -> None:
    module = models.build(builders.config("bow"), 0)
    with torch.no_grad():
        module.get_parameter("output.bias")[1] = math.nan
    with pytest.raises(errors.InvalidInput, match=r"weights: output.bias is not finite"):
        checkpoint.encode(module, builders.config("bow"), task="product", vocabulary_digest="x")


def require_finite(
    *, optimizer: str = "adam", learning_rate: float = 0.015, max_grad_norm: float = 1.0, noise_multiplier: float = 1.0
) -> None:
    feasibility.require_finite(
        optimizer=optimizer,
        learning_rate=learning_rate,
        max_grad_norm=max_grad_norm,
        noise_multiplier=noise_multiplier,
        steps=STEPS,
        width=6,
    )


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({"learning_rate": 1e38}, r"^learning_rate: 1e\+38 may move weights up to .* in 3 steps"),
        ({"learning_rate": 1e18}, r"^learning_rate: 1e\+18"),
        (
            {"learning_rate": 1e7, "optimizer": "sgd"},
            r"^learning_rate: 10000000.0 may move weights up to 3.3e\+20 in 3",
        ),
        (
            {"max_grad_norm": 1e6, "noise_multiplier": 1e15},
            r"^max_grad_norm: 1000000.0 gives gradients up to 2e\+22 at noise multiplier",
        ),
    ],
)
def test_a_training_that_may_overflow_is_refused_by_its_arguments(arguments: dict[str, Any], expected: str) -> None:
    with pytest.raises(errors.InvalidInput, match=expected) as refusal:
        require_finite(**arguments)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(("optimizer", "learning_rate"), [("adam", 3e17), ("sgd", 0.2), ("adambc", 5e6)])
def test_the_largest_arguments_that_are_accepted_leave_weights_finite(optimizer: str, learning_rate: float) -> None:
    largest: dict[str, Any] = {"optimizer": optimizer, "max_grad_norm": 1e6}
    require_finite(learning_rate=learning_rate, **largest)
    with pytest.raises(errors.InvalidInput):
        require_finite(learning_rate=2 * learning_rate, **largest)
    module = trained(learning_rate=learning_rate, expected_batch_size=1.0, **largest).module
    logits, _ = module(*builders.batch(8)[:2])
    assert bool(logits.isfinite().all())


@settings(max_examples=examples(50))
@given(exponents=st.lists(st.integers(-12, 12), min_size=1, max_size=60))
def test_adam_moves_a_weight_by_at_most_the_bound_whatever_the_gradients_are(exponents: list[int]) -> None:
    weight = torch.nn.Parameter(torch.zeros((), dtype=torch.float64))
    optimizer = torch.optim.Adam([weight], lr=1.0)
    for exponent in exponents:
        before = weight.item()
        weight.grad = torch.tensor(10.0**exponent, dtype=torch.float64)
        optimizer.step()
        assert abs(weight.item() - before) <= feasibility._ADAM_STEP


@settings(max_examples=examples(20))
@given(gradients=st.lists(st.floats(-1, 1), min_size=1, max_size=60))
def test_sgd_moves_a_weight_by_at_most_the_bound_whatever_the_gradients_are(gradients: list[float]) -> None:
    weight = torch.nn.Parameter(torch.zeros((), dtype=torch.float64))
    optimizer = optimizers.build("sgd", [weight], learning_rate=1.0, noise_deviation=1.0)
    for gradient in gradients:
        before = weight.item()
        weight.grad = torch.tensor(gradient, dtype=torch.float64)
        optimizer.step()
        assert abs(weight.item() - before) <= 1 / (1 - feasibility.MOMENTUM)


def test_an_optimizer_that_is_not_known_is_refused_by_its_name() -> None:
    with pytest.raises(errors.InvalidInput, match=r"^optimizer: 'adagrad' is not one of sgd, adam, adambc; choose"):
        optimizers.build("adagrad", [], learning_rate=1.0, noise_deviation=1.0)


@pytest.mark.parametrize("kind", builders.KINDS)
def test_the_sizes_of_the_tensors_are_those_of_the_model(kind: str) -> None:
    shape = builders.config(kind, vocab_size=50, embedding_dim=7, hidden_dim=9, n_classes=64)
    vectors = {} if shape.embeddings is None else {"embeddings": "bundled", "embeddings_digest": shape.embeddings}
    mode = "trained" if shape.trains_embeddings else "frozen"
    run = shaped(
        embeddings_mode=mode, model=shape.architecture, vocab_size=50, embedding_dim=7, hidden_dim=9, **vectors
    )
    weights = sum(tensor.numel() for tensor in models.build(shape, 0).state_dict().values())
    assert sum(feasibility.tensor_sizes(run)) + (50 * 7 if shape.trains_embeddings else 0) == weights
    assert 4 * weights <= feasibility.checkpoint_bytes(run)


def test_a_model_that_does_not_fit_the_memory_is_refused_in_one_line() -> None:
    with pytest.raises(errors.InvalidInput, match=r"^model: 'lstm' with .*hidden_dim 200000 needs about") as refusal:
        feasibility.require_memory(shaped(hidden_dim=200_000), available_bytes=8 << 30)
    assert "and there is 8.0 GiB; lower these sizes" in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_the_shipped_arguments_fit_a_small_machine() -> None:
    shipped = run_arguments.load(Path(__file__).parents[2] / "arguments.yaml")
    feasibility.require_memory(TrainingSettings.of(shipped.settings), available_bytes=5 << 28)


_MEASURE = """
import json, resource, sys
from privatekube.training import loop, models
from tests.training import builders
from privatekube.privacy.unit import PrivacyUnit
sizes = json.loads(sys.argv[1])
shape = models.ModelConfig(**sizes, architecture="lstm", max_text_len=7, n_classes=4)
loop.train(builders.learnable_reviews(3000), task="product", unit=PrivacyUnit.EVENT, max_contribution=1, model=shape,
           noise_multiplier=1.0, sampling_rate=1.0, steps=2, max_grad_norm=1.0, optimizer="adam", learning_rate=0.01,
           expected_batch_size=10.0, seed=0, device="cpu")
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


@pytest.mark.slow
def test_the_estimate_is_above_the_memory_that_a_training_takes_and_near_it() -> None:
    sizes: dict[str, Any] = {"vocab_size": 40_000, "embedding_dim": 64, "hidden_dim": 200}
    done = subprocess.run(
        [sys.executable, "-c", _MEASURE, json.dumps(sizes)], capture_output=True, text=True, check=True, timeout=250
    )
    measured = int(done.stdout) << 10
    estimate = feasibility.memory_bytes(shaped(**sizes))
    assert measured <= estimate <= 3 * measured
