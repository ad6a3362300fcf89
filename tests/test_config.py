"""The arguments of a run are checked as a whole; each fault is one line with name, value and bound."""

from __future__ import annotations

import inspect
from pathlib import Path

import pytest

from privatekube import config, errors

ROOT = Path(__file__).resolve().parent.parent


def load(tmp_path: Path, text: str, *overrides: str) -> config.RunArguments:
    path = tmp_path / "arguments.yaml"
    path.write_text(text, encoding="utf-8")
    return config.load_arguments(path, overrides)


def test_the_shipped_arguments_are_the_defaults_and_name_every_one() -> None:
    shipped = config.load_arguments(ROOT / "arguments.yaml")
    assert shipped == config.RunArguments()
    assert list(config.read_mapping(ROOT / "arguments.yaml").keys() - config.RunArguments.model_fields.keys()) == []
    assert config.RunArguments.model_fields.keys() <= config.read_mapping(ROOT / "arguments.yaml").keys()


def test_every_argument_is_documented() -> None:
    documented = inspect.getdoc(config.RunArguments) or ""
    assert [name for name in config.RunArguments.model_fields if f"    {name}: " not in documented] == []


def test_a_number_that_yaml_reads_as_text_is_a_number(tmp_path: Path) -> None:
    assert load(tmp_path, "delta: 1e-9").delta == 1e-9
    assert load(tmp_path, "", "delta=1e-9").delta == 1e-9


def test_an_override_takes_precedence(tmp_path: Path) -> None:
    assert load(tmp_path, "epsilon: 1", "epsilon=3", "model=bow").epsilon == 3.0


def test_a_block_count_may_be_a_number_or_all(tmp_path: Path) -> None:
    assert load(tmp_path, "n_blocks: 4").n_blocks == "4"
    assert load(tmp_path, "n_blocks: all").n_blocks == "all"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("epsilon: 0", r"epsilon: 0 must be greater than 0"),
        ("epsilon: -1", r"epsilon: -1 must be greater than 0"),
        ("epsilon: .nan", r"epsilon: nan must be a finite number"),
        ("epsilon: .inf", r"epsilon: inf must be a finite number"),
        ("epsilon: much", r"epsilon: 'much' must be a valid number"),
        ("epsilon: true", r"epsilon: True is a boolean, not a number"),
        ("epsilon:", r"epsilon: None must be a valid number"),
        ("delta: 0", r"delta: 0 must be greater than 0"),
        ("delta: 1", r"delta: 1 must be less than 1"),
        ("sampling_rate: 1.5", r"sampling_rate: 1.5 must be less than or equal to 1"),
        ("sampling_rate: 0", r"sampling_rate: 0 must be greater than 0"),
        ("n_epochs: 1.5", r"n_epochs: 1.5 must be a valid integer"),
        ("n_blocks: 0", r"n_blocks: 0 must be 'all' or a whole number of at least 1"),
        ("n_blocks: 2.5", r"n_blocks: 2.5 must be 'all' or a whole number"),
        ("settle_after_seconds: 300", r"settle_after_seconds: 300 must be above timeout_seconds, which is 300"),
        ("timeout_seconds: 0", r"timeout_seconds: 0 must be greater than or equal to 1"),
        ("task: stars", r"task: 'stars' must be 'product' or 'sentiment'"),
        ("device: tpu", r"device: 'tpu' must be"),
        ("namespace: My_Team", r"namespace: 'My_Team'"),
        ("epsilonn: 1", r"epsilonn: unknown argument; did you mean epsilon\?"),
        ("zzz: 1", r"zzz: unknown argument; known are dataset"),
        ("- epsilon", r"is not a mapping"),
        ("epsilon: [", r"is not valid YAML"),
    ],
)
def test_a_fault_states_name_value_and_bound(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(errors.InvalidInput, match=message) as refusal:
        load(tmp_path, text)
    assert "\n" not in str(refusal.value)
    assert refusal.value.exit_status == 2


def test_a_missing_file_and_a_malformed_override_are_refused(tmp_path: Path) -> None:
    with pytest.raises(errors.InvalidInput, match=r"none.yaml: cannot be read"):
        config.load_arguments(tmp_path / "none.yaml")
    with pytest.raises(errors.InvalidInput, match=r"--set: 'epsilon' has no '='"):
        load(tmp_path, "", "epsilon")


def test_the_example_connection_is_valid() -> None:
    assert config.load_secrets(ROOT / "client_secrets.example.yaml").host.startswith("https://")


def test_missing_secrets_are_named_with_what_to_copy(tmp_path: Path) -> None:
    with pytest.raises(errors.InvalidInput, match=r"does not exist; copy client_secrets\.example\.yaml"):
        config.load_secrets(tmp_path / "client_secrets.yaml")


def test_a_fault_in_the_secrets_never_quotes_a_value(tmp_path: Path) -> None:
    path = tmp_path / "client_secrets.yaml"
    path.write_text("host: hunter2\nexisting_token: [hunter2]\n", encoding="utf-8")
    with pytest.raises(errors.InvalidInput, match="host") as refusal:
        config.load_secrets(path)
    assert "hunter2" not in str(refusal.value)
