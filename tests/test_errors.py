"""The tree of errors, and the message for a package that is not installed."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from privatekube import errors

ROOT = Path(__file__).resolve().parents[1]


def subclasses(kind: type[errors.PrivateKubeError], depth: int = 0) -> list[tuple[int, str]]:
    """Return the names of an error of the module and of all below it, with their depth in the tree."""
    own = [subclass for subclass in kind.__subclasses__() if subclass.__module__ == errors.__name__]
    below = (pair for subclass in own for pair in subclasses(subclass, depth + 1))
    return [(depth, kind.__name__), *below]


def test_the_documented_tree_is_the_tree_of_the_classes() -> None:
    assert errors.__doc__
    drawn = re.findall(r"^    ((?:[| ]   )*)(?:\+-- )?([A-Z]\w+)", errors.__doc__, re.MULTILINE)
    depths = [(len(indent) // 4 + (name != "PrivateKubeError"), name) for indent, name in drawn]
    assert sorted(depths) == sorted(subclasses(errors.PrivateKubeError))


def test_every_error_is_permanent_or_temporary() -> None:
    for depth, name in subclasses(errors.PrivateKubeError):
        kind = getattr(errors, name)
        assert depth == 0 or issubclass(kind, errors.Permanent) != issubclass(kind, errors.Temporary)
        assert kind.__doc__


def test_every_extra_that_a_message_names_exists() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert set(errors.EXTRAS.values()) <= set(project["optional-dependencies"])


def test_the_modules_that_all_parts_need_are_those_of_the_dependencies() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    names = {re.split(r"[<>=]", name)[0].lower().replace("-", "_") for name in project["dependencies"]}
    assert names - {"pyyaml"} | {"yaml"} == errors.REQUIRED


@pytest.mark.parametrize("script", ["demo_blocks.py", "run_pipeline.py", "build_components.py"])
def test_a_script_in_a_python_without_this_project_says_in_one_line_how_to_get_it(script: str) -> None:
    program = f"import runpy, sys; sys.modules['typer'] = None; runpy.run_path('{script}', run_name='__main__')"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: typer: is not installed in this Python; activate the environment of make setup")


def test_a_module_that_no_extra_installs_is_not_explained() -> None:
    assert errors.missing_extra(ModuleNotFoundError(name="privatekube.nothing")) is None
    assert errors.missing_extra(ImportError("circular")) is None


@pytest.mark.parametrize(("extra", "expected"), [("None", "accounting"), ("'pipeline'", "pipeline")])
def test_a_command_that_misses_a_package_ends_in_one_line_that_names_the_extra(extra: str, expected: str) -> None:
    program = (
        "import sys; sys.modules['scipy'] = None\n"
        "from privatekube import entrypoint\n"
        "def command(): import scipy\n"
        f"entrypoint.run(command, extra={extra})"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert (
        line
        == f"error: scipy: is not installed; this needs the extra {expected}: pip install 'privatekube[{expected}]'"
    )


def test_a_script_whose_imports_fail_ends_in_one_line_that_names_its_extra() -> None:
    program = (
        "import sys; sys.modules['docker'] = None\n"
        "from privatekube import entrypoint\n"
        "with entrypoint.imports_of('images'): import docker"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith("error: docker: is not installed; this needs the extra images")
    assert len(done.stderr.splitlines()) == 1
