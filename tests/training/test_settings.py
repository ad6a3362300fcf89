"""A setting that is auto is the model's own, before a run states it, plans with it and records it."""

from __future__ import annotations

from pathlib import Path

import pytest

from privatekube import config, errors
from privatekube.data import word_vectors
from privatekube.runs import run_arguments
from privatekube.runs.run_arguments import RunArguments
from privatekube.training import models, optimizers, recipes
from privatekube.training.settings import Settings

SHIPPED = Path(__file__).parents[2] / "arguments.yaml"


@pytest.mark.parametrize("model", sorted(models.ARCHITECTURES))
def test_settings_that_are_auto_are_those_of_the_recipe_of_the_model(model: str) -> None:
    run = run_arguments.load(SHIPPED, [f"model={model}", "embeddings=none"])
    settings, recipe = Settings.of(run.settings), recipes.RECIPES[model]
    assert recipes.AUTO not in run.settings.values()
    assert (settings.optimizer, settings.learning_rate) == (recipe.optimizer, recipe.learning_rate)
    assert (run.named["n_epochs"], run.named["sampling_rate"]) == (recipe.n_epochs, recipe.sampling_rate)
    assert recipe.optimizer in optimizers.OPTIMIZERS


@pytest.mark.parametrize("model", sorted(models.ON_VECTORS))
def test_a_model_on_the_bundled_vectors_has_a_recipe_of_its_own_and_states_their_digest(model: str) -> None:
    run = run_arguments.load(SHIPPED, [f"model={model}", "embeddings=bundled"])
    assert run.settings["embeddings_digest"] == word_vectors.BUNDLED_DIGEST
    assert run.settings["n_epochs"] == recipes.ON_VECTORS[model].n_epochs


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (
            ["model=bow", "embeddings=none", "embeddings_mode=trained"],
            "^.*embeddings_mode: 'trained' does not fit embeddings none, .*; set frozen, or bundled embeddings",
        ),
        (
            ["model=linear", "embeddings=glove.txt"],
            r"^embeddings: .* is neither none nor bundled; .*set embeddings_digest to sha256",
        ),
        (["embeddings=none", f"embeddings_digest=sha256:{'1' * 64}"], "^.*embeddings_digest: 'sha256:1.* does not fit"),
    ],
)
def test_vectors_that_a_model_cannot_read_are_refused(given: list[str], message: str) -> None:
    with pytest.raises(errors.InvalidInput, match=message):
        run_arguments.load(SHIPPED, given)


def test_each_model_reads_the_bundled_vectors_unless_a_run_says_otherwise() -> None:
    for model in models.ARCHITECTURES:
        assert run_arguments.load(SHIPPED, [f"model={model}"]).settings["embeddings"] == word_vectors.BUNDLED


@pytest.mark.parametrize(
    ("epsilon", "learning_rate", "n_epochs"),
    [(0.25, 2.0, 20), (1, 4.0, 20), (4, 8.0, 40), (1e-300, 0.4, 20), (1000, 12.0, 40)],
)
def test_settings_that_are_auto_know_the_epsilon_of_the_run(
    epsilon: float, learning_rate: float, n_epochs: int
) -> None:
    run = run_arguments.load(SHIPPED, ["model=linear", f"epsilon={epsilon}"])
    assert (run.settings["learning_rate"], run.settings["n_epochs"]) == (learning_rate, n_epochs)


def test_settings_that_kubeflow_passes_know_the_epsilon_of_the_run_and_what_is_stated_stands() -> None:
    shipped = config.read_mapping(SHIPPED)
    settings = {name: shipped[name] for name in Settings.model_fields} | {"model": "linear", "n_epochs": 7}
    run = RunArguments(check=shipped["check"], epsilon=0.25, settings=settings)
    assert (run.settings["learning_rate"], run.settings["n_epochs"]) == (2.0, 7)


def test_a_setting_that_is_stated_stands_beside_those_of_the_recipe() -> None:
    run = run_arguments.load(SHIPPED, ["model=linear", "learning_rate=0.5", "optimizer=adam"])
    assert (run.settings["learning_rate"], run.settings["optimizer"], run.settings["sampling_rate"]) == (
        0.5,
        "adam",
        0.5,
    )


@pytest.mark.parametrize(("name", "value"), [("seed", "auto"), ("model", "auto"), ("optimizer", "rmsprop")])
def test_what_no_recipe_has_is_refused(name: str, value: str) -> None:
    with pytest.raises(errors.InvalidInput, match=rf"^--set: {name}: '{value}' must be"):
        run_arguments.load(SHIPPED, [f"{name}={value}"])
