"""A component's input that is a list of files becomes an input for each of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from privatekube import config, errors
from privatekube.kubeflow import repeated_inputs

CONSUME = Path(__file__).parents[2] / "components" / "consume" / "component.yaml"


def test_an_input_is_there_once_for_each_ending_under_one_flag() -> None:
    given = config.read_mapping(CONSUME)
    made = repeated_inputs.repeat(given, "spend", ["a", "b"])
    assert [entry["name"] for entry in made["inputs"]] == ["grant", "spend_a", "spend_b"]
    assert made["implementation"]["container"]["args"] == [
        *("--grant", {"inputPath": "grant"}),
        *("--spend", {"inputPath": "spend_a"}),
        *("--spend", {"inputPath": "spend_b"}),
        *("--receipt", {"outputPath": "receipt"}),
    ]
    assert given == config.read_mapping(CONSUME)


def test_an_input_that_is_no_file_of_the_component_is_refused() -> None:
    with pytest.raises(errors.InvalidInput, match="input: 'spends' is not a file that the component reads"):
        repeated_inputs.repeat(config.read_mapping(CONSUME), "spends", ["a"])
