"""The arguments of a run are checked as a whole; each fault is one line with name, value and bound."""

from __future__ import annotations

import inspect
import math
from pathlib import Path
from typing import Any

import pydantic
import pytest

from privatekube import config, errors
from privatekube.runs import hook, run_arguments
from privatekube.runs.run_arguments import RunArguments
from privatekube.training import recipes
from privatekube.training.settings import Settings

ROOT = Path(__file__).resolve().parents[2]
SHIPPED = config.read_mapping(ROOT / "arguments.yaml")


def load(tmp_path: Path, text: str, *overrides: str) -> RunArguments:
    """Load arguments, without a plan, and with the shipped settings where the text names none itself."""
    path = tmp_path / "arguments.yaml"
    names = text.replace("-", "").split(":")[0]
    others = {name: SHIPPED[name] for name in ("check", *Settings.model_fields) if name not in names}
    settings = "\n".join(f"{name}: {value}" for name, value in others.items())
    path.write_text(f"{text}\n{settings}" if ":" in text or not text else text, encoding="utf-8")
    return run_arguments.load(path, overrides)


def test_the_shipped_arguments_name_every_one_with_its_default_and_every_setting() -> None:
    shipped = run_arguments.load(ROOT / "arguments.yaml")
    assert shipped.plan == (ROOT / "pipelines" / "plan.yaml").read_text()
    own: dict[str, Any] = {"plan": None, "check": hook.NO_CHECK, "settings": {}}
    assert shipped.model_copy(update=own) == RunArguments()
    assert shipped.settings.keys() == Settings.model_fields.keys()
    declared = (RunArguments.model_fields.keys() - {"settings"}) | Settings.model_fields.keys()
    assert SHIPPED.keys() == declared | {run_arguments.CLUSTER}


@pytest.mark.parametrize("model", [RunArguments, Settings])
def test_every_argument_is_documented(model: type[config.Checked]) -> None:
    documented = "".join(inspect.getdoc(kind) or "" for kind in model.__mro__)
    assert [name for name in model.model_fields if f"    {name}: " not in documented] == []


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
        ("epsilon:", r"epsilon: has no value; give it one"),
        ("deadline:", r"deadline: has no value; give it one"),
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


def test_an_empty_plan_is_refused_by_the_name_of_its_file(tmp_path: Path) -> None:
    plan = tmp_path / "plan.yaml"
    plan.write_text("\n")
    with pytest.raises(
        errors.InvalidInput, match=r"^\S+plan\.yaml: is empty; write steps, or a demand, see docs/plans"
    ):
        load(tmp_path, "", f"plan={plan}")


def test_a_missing_file_and_a_malformed_override_are_refused(tmp_path: Path) -> None:
    with pytest.raises(errors.InvalidInput, match=r"none\.yaml: does not exist; .*--arguments"):
        run_arguments.load(tmp_path / "none.yaml")
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


def test_what_a_plan_may_use_are_the_arguments_and_the_settings_by_their_names() -> None:
    shipped = run_arguments.load(ROOT / "arguments.yaml")
    n_epochs = recipes.ON_VECTORS["lstm"].n_epochs
    assert {"epsilon": 1.0, "n_epochs": n_epochs, "task": "product"}.items() <= shipped.named.items()
    assert "settings" not in shipped.named


def test_settings_that_kubeflow_made_fractions_of_are_whole_numbers_again() -> None:
    settings = {**{name: SHIPPED[name] for name in Settings.model_fields}, "n_epochs": 15.0, "seed": 3.0}
    run = RunArguments(check=SHIPPED["check"], settings=settings)
    assert [repr(run.settings[name]) for name in ("n_epochs", "seed", "sampling_rate")] == ["15", "3", "0.2"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"n_epochs": 1.5}, r"^settings: n_epochs: 1.5 must be a valid integer"),
        ({"colour": "red"}, r"^settings: colour: unknown; remove it or correct its name"),
        ({"model": None}, r"^settings: model: has no value; give it one"),
        ({"n_epochs": True}, r"^n_epochs: True is a boolean"),
    ],
)
def test_settings_from_anywhere_are_checked_by_the_module_that_declares_them(
    change: dict[str, Any], message: str
) -> None:
    settings = {name: SHIPPED[name] for name in Settings.model_fields} | change
    with pytest.raises(errors.InvalidInput, match=message) as refusal:
        RunArguments(check=SHIPPED["check"], settings=settings)
    assert "\n" not in str(refusal.value)


def test_a_setting_of_a_pipeline_that_declares_none_is_unknown_in_the_file_and_kept_elsewhere(tmp_path: Path) -> None:
    with pytest.raises(errors.InvalidInput, match=r"^arguments.yaml: test_fraction: unknown .*module of check decl"):
        load(tmp_path, f"check: {hook.NO_CHECK}")
    assert RunArguments(settings={"rounds": 3, "mode": "fast"}).settings == {"rounds": 3, "mode": "fast"}
    for settings in ({"rounds": [1]}, {"a-b": 1}, {"rounds": math.inf}):
        with pytest.raises(pydantic.ValidationError, match="settings"):
            RunArguments.model_validate({"settings": settings})


def test_a_kept_run_of_another_version_is_refused_in_one_line() -> None:
    kept = {"epsilon": 1.0, "n_epochs": 8, "task": "product"}
    with pytest.raises(errors.InvalidInput, match=r"^n_epochs: unknown; .*: the run is of another version; go on with"):
        run_arguments.of_kept_run(kept)
    assert run_arguments.of_kept_run({"epsilon": kept["epsilon"]}).epsilon == 1.0
