"""A grid of a search holds values of settings that do not change what a trial costs; anything else is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from privatekube import errors
from privatekube.runs import run_arguments
from privatekube.training.settings import Settings

SHIPPED = Path(__file__).parents[2] / "arguments.yaml"


def settings(grid: str) -> Settings:
    return Settings.of(run_arguments.load(SHIPPED, ["model=linear", f"hyperparameters={grid}"]).settings)


def test_without_a_grid_the_settings_are_the_only_candidate() -> None:
    alone = settings("{}")
    assert alone.candidates == (alone,)


def test_each_combination_is_a_candidate_with_values_of_the_types_of_their_settings() -> None:
    searched = settings("{learning_rate: [2, 4], hidden_dim: [8.0]}")
    assert searched.hyperparameters == {"learning_rate": [2.0, 4.0], "hidden_dim": [8]}
    assert [(each.learning_rate, each.hidden_dim) for each in searched.candidates] == [(2.0, 8), (4.0, 8)]
    assert {each.optimizer for each in searched.candidates} == {searched.optimizer}
    assert all(each.hyperparameters == {} for each in searched.candidates)


@pytest.mark.parametrize(
    ("grid", "message"),
    [
        ("{learning_rate: 3}", "hyperparameters: learning_rate: 3 is not a list of values; write"),
        ("{learning_rate: []}", r"hyperparameters: learning_rate: \[\] is not a list of values"),
        ("{learning_rate: [-1]}", "hyperparameters: learning_rate: -1 must be greater than 0; change it"),
        ("{learning_rate: [.nan]}", "hyperparameters: learning_rate: nan must be a finite number; change it"),
        ("{learning_rate: [auto]}", "hyperparameters: learning_rate: 'auto' must be a valid number, .*; change it"),
        ("{learning_rate: [true]}", "hyperparameters: learning_rate: True is a boolean, not a number or text; write"),
        ("{learning_rate: [[1]]}", r"hyperparameters: learning_rate: \[1\] must be a valid number; change it"),
        ("{learning_rate: [1, 1.0]}", "hyperparameters: learning_rate: 1.0 is listed twice; list each value once"),
        ("{optimizer: [sgd, rms]}", "hyperparameters: optimizer: 'rms' must be 'sgd', 'adam' or 'adambc'; change it"),
        ("{hidden_dim: [1.5]}", "hyperparameters: hidden_dim: 1.5 must be a valid integer, .*; change it"),
        ("{sampling_rate: [0.1]}", "hyperparameters: 'sampling_rate' is not one of learning_rate, .*; remove it"),
        ("{learning: [0.1]}", "hyperparameters: 'learning' is not one of learning_rate, .*; remove it"),
        (
            "{max_text_len: [1, 2, 3, 4, 5, 6, 7, 8, 9], learning_rate: [1, 2, 3, 4, 5, 6, 7, 8]}",
            "hyperparameters: 72 combinations are more than 64; list fewer values",
        ),
        ("3", "--set: hyperparameters: 3 must be a mapping; write `name: value` lines"),
    ],
)
def test_what_is_not_a_grid_is_refused_in_one_line(grid: str, message: str) -> None:
    with pytest.raises(errors.InvalidInput, match=f"^{message}") as refusal:
        settings(grid)
    assert "\n" not in str(refusal.value)
