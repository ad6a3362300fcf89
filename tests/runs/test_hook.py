"""The check that a pipeline names: a missing or wrong one is one line, and what it refuses is passed on."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from privatekube import errors
from privatekube.client import run_demand
from privatekube.privacy import solving
from privatekube.privacy.budget import EpsilonDelta
from privatekube.privacy.plan import Plan, PlannedStep
from privatekube.privacy.planned_queries import Laplace
from privatekube.privacy.unit import PrivacyUnit
from privatekube.runs import hook
from privatekube.runs.checked_run import CheckedRun
from privatekube.runs.demand import RunDemand
from privatekube.runs.run_arguments import RunArguments

Written = Callable[[str], str]


@pytest.fixture
def written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Written]:
    """Return a function that writes a module to import, and returns its name."""
    monkeypatch.syspath_prepend(tmp_path)
    before = set(sys.modules)

    def write(text: str) -> str:
        name = f"check_of_{tmp_path.name}".replace("-", "_")
        (tmp_path / f"{name}.py").write_text(text)
        monkeypatch.delitem(sys.modules, name, raising=False)
        return name

    yield write
    for name in set(sys.modules) - before:
        del sys.modules[name]


def refusal_of(name: str) -> str:
    with pytest.raises(errors.InvalidInput) as refusal:
        hook.run(CheckedRun(RunArguments(check=name)))
    assert "\n" not in str(refusal.value)
    assert refusal.value.exit_status == 2
    return str(refusal.value)


def test_a_run_without_a_check_is_accepted() -> None:
    hook.run(CheckedRun(RunArguments()))
    assert hook.settings_of(hook.NO_CHECK) is None


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("privatekube.absent", "cannot be imported (ModuleNotFoundError: No module named 'privatekube.absent')"),
        ("os.path; rm", "is not the name of a module; write it as package.module"),
        ("1module", "is not the name of a module"),
        ("json", "has no function check(run)"),
    ],
)
def test_what_is_not_a_check_is_refused_in_one_line(name: str, message: str) -> None:
    assert message in refusal_of(name)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("def check(): ...", "has a function check that does not take one argument"),
        ("def check(run, *, more): ...", "has a function check that does not take one argument"),
        ("check = 3", "has no function check(run)"),
        ("def check(run):\n    raise KeyError('a\\nb')", "failed (KeyError: 'a\\nb')"),
        ("import sys\ndef check(run):\n    sys.exit(0)", "failed (SystemExit: 0)"),
        ("raise SystemExit(0)", "cannot be imported (SystemExit: 0)"),
        ("def check(run):\n    return run.memory_bytes is not None", "has a function check that returns a bool; raise"),
        ("async def check(run):\n    raise ValueError", "has a function check that does not run when it is called"),
        ("def check(run):\n    yield 1 / 0", "has a function check that does not run when it is called"),
        ("raise RuntimeError('at\\nonce')", "cannot be imported (RuntimeError: at once)"),
        ("def check(run) return", "cannot be imported (SyntaxError"),
        ("Settings = {'a': int}\ndef check(run): ...", "has Settings that are not a pydantic model"),
        (
            "import pydantic\nclass Settings(pydantic.BaseModel):\n    epsilon: int\ndef check(run): ...",
            "setting: 'epsilon' of check_of_",
        ),
    ],
)
def test_a_module_that_is_wrong_is_refused_in_one_line(written: Written, text: str, message: str) -> None:
    assert message in refusal_of(written(text))


def test_what_the_check_refuses_is_passed_on_and_it_knows_the_settings(written: Written) -> None:
    name = written(
        "import pydantic\n"
        "from privatekube import errors\n"
        "class Settings(pydantic.BaseModel):\n    rounds: int\n"
        "def check(run):\n"
        "    if run.arguments.settings['rounds'] > 3:\n"
        "        raise errors.invalid('rounds', run.arguments.settings['rounds'], 'is above 3', 'lower it')\n"
    )
    hook.run(CheckedRun(RunArguments(check=name, settings={"rounds": 3.0})))
    with pytest.raises(errors.InvalidInput, match=r"^rounds: 4 is above 3; lower it$"):
        hook.run(CheckedRun(RunArguments(check=name, settings={"rounds": 4})))
    with pytest.raises(errors.InvalidInput, match=r"^settings: rounds: missing; give it a value$"):
        RunArguments(check=name)


def test_a_check_can_change_neither_the_noise_nor_the_settings_that_are_granted(written: Written) -> None:
    name = written(
        "def check(run):\n"
        "    run.arguments.settings['clip'] = 1e9\n"
        "    run.demand.plan.step('count').parameters['scale'] = 1e-9\n"
    )
    plan = solving.solve(Plan((PlannedStep("count", Laplace(sensitivity=1)),)), epsilon=1.0, delta=1e-9)
    scale, price = plan.step("count").parameters["scale"], EpsilonDelta(1.0, 1e-9)
    request = run_demand.request_for("reviews", "all", (), price)
    arguments = RunArguments(check=name, settings={"clip": 1.0})
    hook.run(CheckedRun(arguments, demand=RunDemand(PrivacyUnit.EVENT, 1, price, plan, price, request)))
    assert plan.step("count").parameters["scale"] == scale
    assert arguments.settings == {"clip": 1.0}
