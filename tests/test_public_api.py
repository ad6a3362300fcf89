"""The public API: what `privatekube` offers by name, documented, and imported only when it is used."""

from __future__ import annotations

import dataclasses
import doctest
import inspect
import re
import subprocess
import sys
import typing
from pathlib import Path

import pytest

import privatekube
from privatekube import errors
from privatekube.cli import policies
from privatekube.scheduling import ordering
from tests import test_doctests

ROOT = Path(__file__).resolve().parents[1]
HEAVY = ["dp_accounting", "boto3", "h5py", "kfp", "kubernetes", "numpy", "opendp", "scipy", "torch"]
NAMES = [name for name in privatekube.__all__ if name != "__version__"]


@pytest.mark.parametrize("name", NAMES)
def test_a_public_name_resolves_and_is_documented(name: str) -> None:
    value = getattr(privatekube, name)
    assert inspect.getdoc(value)
    assert value.__name__ == name


@pytest.mark.parametrize("name", [name for name in NAMES if not hasattr(errors, name)])
def test_what_can_be_constructed_or_called_documents_each_argument(name: str) -> None:
    value = getattr(privatekube, name)
    public = [value] if inspect.isfunction(value) else [member for _, member in inspect.getmembers(value, is_public)]
    for function in public:
        documented = inspect.getdoc(function) or ""
        parameters = set(inspect.signature(function).parameters) - {"self", "cls", "other"}
        assert [parameter for parameter in parameters if not re.search(rf"\b{parameter}\b", documented)] == []


def is_public(member: object) -> bool:
    return (
        inspect.isfunction(member)
        and member.__module__.startswith("privatekube")
        and not member.__name__.startswith("_")
    )


@pytest.mark.parametrize("name", NAMES)
def test_a_public_name_has_an_example_that_is_run(name: str) -> None:
    value = getattr(privatekube, name)
    assert any(test.examples for test in doctest.DocTestFinder().find(value, name, module=False))
    assert value.__module__ in test_doctests.MODULES


@pytest.mark.parametrize("name", NAMES)
def test_a_public_function_and_the_methods_of_a_public_class_are_annotated(name: str) -> None:
    value = getattr(privatekube, name)
    functions = [value] if inspect.isfunction(value) else [item for _, item in inspect.getmembers(value, is_public)]
    properties = [item.fget for _, item in inspect.getmembers(value, lambda item: isinstance(item, property))]
    for function in [*functions, *(getter for getter in properties if getter.__module__.startswith("privatekube"))]:
        signature = inspect.signature(function)
        missing = [parameter for parameter, item in signature.parameters.items() if item.annotation is item.empty]
        assert set(missing) <= {"self", "cls"}, function.__qualname__
        assert signature.return_annotation is not signature.empty, function.__qualname__


@pytest.mark.parametrize("name", [name for name in NAMES if dataclasses.is_dataclass(getattr(privatekube, name))])
def test_the_fields_of_a_public_dataclass_are_annotated_by_types_that_exist(name: str) -> None:
    value = getattr(privatekube, name)
    assert set(typing.get_type_hints(value)) >= {field.name for field in dataclasses.fields(value)}


@pytest.mark.parametrize("name", NAMES)
def test_the_methods_of_a_public_class_are_documented(name: str) -> None:
    value = getattr(privatekube, name)
    members = inspect.getmembers(value, is_public) if inspect.isclass(value) else []
    assert [name for name, member in members if not member.__doc__] == []


def test_public_names_are_enough_to_create_a_block_and_to_pay_for_a_release_on_it(tmp_path: Path) -> None:
    budget = privatekube.EpsilonDelta(10.0, 1e-7)
    spec = privatekube.BlockSpec(
        budget, "visits", "file:///monday.csv", (privatekube.Dimension("startTime", numeric_value="0"),)
    )
    piece = privatekube.BudgetDemand(privatekube.EpsilonDelta(1.0, 1e-9))
    request = privatekube.AllocateRequest(dataset="visits", expected_budget=piece)
    with privatekube.connect(f"sqlite:///{tmp_path}/state.db") as client:
        client.create_blocks([privatekube.PrivateDataBlock(privatekube.ObjectMeta("monday", "team"), spec)])
        claim = client.allocate("team", "run-1", request, timeout_seconds=60)
        client.mark_opened(claim.id)
        release = privatekube.RegisterRequest("histogram", (f"sha256:{1:064x}",), event="noise")
        client.register_release(claim.id, release)
        assert client.consume(claim.id, mechanisms=["noisy histogram"]).keys() == {"team/monday"}


def test_every_error_is_public() -> None:
    defined = {
        name
        for name, value in inspect.getmembers(errors, inspect.isclass)
        if issubclass(value, errors.PrivateKubeError)
    }
    assert defined <= set(privatekube.__all__)


def test_the_names_are_sorted_and_listed() -> None:
    assert sorted(privatekube.__all__) == privatekube.__all__
    assert dir(privatekube) == privatekube.__all__


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        privatekube.nothing  # noqa: B018


@pytest.mark.parametrize(
    "program",
    [
        "import privatekube",
        "import privatekube; privatekube.connect, privatekube.EpsilonDelta, privatekube.NotFound",
        "import privatekube.cli.app",
        "import sys, privatekube.cli.app as cli; sys.argv[1:] = ['--version']; cli.app(standalone_mode=False)",
        "import sys, privatekube.cli.app as cli; sys.argv[1:] = ['plan', '--help']; cli.app(standalone_mode=False)",
    ],
)
def test_importing_it_and_asking_for_version_or_help_imports_no_heavy_package(program: str) -> None:
    check = f"\nimport sys; heavy = sorted(set({HEAVY}) & set(sys.modules)); assert not heavy, heavy"
    done = subprocess.run(
        [sys.executable, "-c", program + check], capture_output=True, text=True, cwd=ROOT, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""


def test_the_help_names_every_ordering() -> None:
    assert set(re.findall(r"\b(?:dpf|dpack|fcfs|rr)\b", policies.ORDER_HELP)) == set(ordering.ORDERINGS)
