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
    assert shipped.plan == (ROOT / "pipelines" / "plan.yaml").read_text()
    assert shipped.model_copy(update={"plan": None}) == config.RunArguments()
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
        ("sampling_rate: 0", r"sampling_rate: 0 must be greater than or equal to 0.000001"),
        ("sampling_rate: 1e-300", r"sampling_rate: '1e-300' must be greater than or equal to 0.000001"),
        ("n_epochs: 200001", r"n_epochs: 200001 takes 1,000,005 steps at sampling_rate 0.2, above 1,000,000"),
        ("n_epochs: 1" + "0" * 400, r"n_epochs: .* must be less than or equal to 9007199254740992"),
        ("vocab_size: 2147483648", r"vocab_size: 2147483648 must be less than 2147483648"),
        ("max_grad_norm: 1e38", r"max_grad_norm: '1e38' must be less than or equal to 1000000"),
        ("max_grad_norm: 1e-40", r"max_grad_norm: '1e-40' must be greater than or equal to 0.000001"),
        ("timeout_seconds: 99999999999", r"timeout_seconds: 99999999999 must be less than or equal to 316224000"),
        ("epsilon: 1e300", r"epsilon: '1e300' must be less than or equal to 1000"),
        ("epsilon: 1.0\nepsilon: 9.0", r"arguments.yaml: epsilon is given twice; give it one value"),
        ("conditions: [{attribute: a, attribute: b}]", r"arguments.yaml: attribute is given twice"),
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
    with pytest.raises(errors.InvalidInput, match=r"none\.yaml: does not exist; .*--arguments"):
        config.load_arguments(tmp_path / "none.yaml")
    with pytest.raises(errors.InvalidInput, match=r"--set: 'epsilon' has no '='"):
        load(tmp_path, "", "epsilon")


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["epsilon=0"], r"^--set: epsilon: 0 must be greater than 0; change it$"),
        (["epsilonn=1"], r"^--set: epsilonn: unknown argument; did you mean epsilon\?$"),
        (["epsilon=1", "epsilon=2"], r"^--set: epsilon is given twice; give it one value$"),
        (["n_blocks={a: 1, a: 2}"], r"^--set n_blocks: a is given twice; give it one value$"),
    ],
)
def test_a_bad_override_is_blamed_on_the_option_and_not_on_the_file(
    tmp_path: Path, overrides: list[str], message: str
) -> None:
    with pytest.raises(errors.InvalidInput, match=message):
        load(tmp_path, "epsilon: 1", *overrides)


def test_a_bad_value_of_the_file_is_blamed_on_the_file_although_another_is_overridden(tmp_path: Path) -> None:
    with pytest.raises(errors.InvalidInput, match=r"^arguments.yaml: epsilon: 0 must"):
        load(tmp_path, "epsilon: 0", "delta=1e-9")
