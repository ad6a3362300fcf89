"""Builders of the documents of a run for tests."""

from __future__ import annotations

from typing import Any

from privatekube.privacy import events
from privatekube.steps import documents

SETTINGS: dict[str, Any] = {
    "test_fraction": 0.2,
    "task": "product",
    "model": "bow",
    "max_grad_norm": 1.0,
    "optimizer": "adam",
    "learning_rate": 0.01,
    "vocab_size": 100,
    "max_text_len": 5,
    "embedding_dim": 4,
    "hidden_dim": 4,
    "seed": 0,
}
"""How a small model is trained in tests, as the Grant records it."""

DECLARED = {"organisation": "Example", "purpose": "a test", "hyperparameters_chosen": "by hand"}
"""What a run states about itself."""


def plan(sensitivity: int = 1) -> dict[str, Any]:
    """The plan of the shipped pipeline with some noise, as a Grant states it."""
    counts = {"mechanism": "discrete_laplace"}
    training = {"sampling_rate": 0.1, "steps": 20, "noise_multiplier": 1.2}
    return {
        "steps": [
            {"name": "dp_preprocess", "part": "all", **counts, **_counts(20.0, sensitivity)},
            {
                "name": "dp_train",
                "part": "train",
                "mechanism": "dp_sgd",
                "parameters": training,
                "event": events.to_json(events.poisson_gaussian(0.1, 1.2, 20)),
            },
            {"name": "dp_evaluate", "part": "test", **counts, **_counts(5.0, sensitivity)},
        ],
        "disjoint": ["train", "test"],
    }


def _counts(scale: float, sensitivity: int) -> dict[str, Any]:
    event = events.to_json(events.discrete_laplace(scale, sensitivity))
    stated = {"value": sensitivity, "per": "unit"}
    return {
        "parameters": {"scale": scale, "sensitivity": sensitivity, "queries": 1},
        "event": event,
        "sensitivity": stated,
    }


STEPS = ("dp_preprocess", "dp_train", "dp_evaluate")
"""The steps of that plan."""


def grant(**changes: Any) -> documents.Grant:
    """A Grant of one block, with changed fields."""
    fields: dict[str, Any] = {
        "run_id": "r1",
        "claim": "ns/run-r1",
        "epsilon": 1.0,
        "delta": 1e-9,
        "unit": "event",
        "max_contribution": 1,
        "plan": plan(),
        "settings": SETTINGS,
        "declared": DECLARED,
        "blocks": [{"id": "ns/a", "uri": "file:///a", "digest": None, "budget": {"epsDel": {"epsilon": 1.0}}}],
    }
    return documents.Grant.model_validate(fields | changes)


DIGEST = f"sha256:{'1' * 64}"


def spend(inputs: str = DIGEST, claim: str = "ns/run-r1", output: str = DIGEST) -> documents.Spend:
    """What dp_preprocess spent under the claim."""
    event = {"type": "discrete_laplace", "noise_parameter": 0.05, "sensitivity": 1}
    return documents.Spend(
        step="dp_preprocess", claim=claim, part="all", event=event, inputs=(inputs,), outputs=(output,)
    )
