"""The wheel holds the library and nothing else."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

STARTER = Path(__file__).resolve().parents[2] / "privatekube" / "starter" / "project"
pytestmark = pytest.mark.slow


def test_the_wheel_puts_one_package_into_site_packages(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    top = {name.partition("/")[0] for name in names}
    assert {name for name in top if not name.endswith(".dist-info")} == {"privatekube"}


def test_the_wheel_carries_the_project_that_init_writes(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    written = {f"privatekube/starter/project/{path.name}" for path in STARTER.iterdir() if path.is_file()}
    assert len(written) > 5
    assert written <= set(names)
    assert "privatekube/starter/project/count_columns/component.yaml" in names


def test_the_wheel_carries_its_licence_and_says_that_it_is_typed(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    assert "privatekube/py.typed" in names
    assert [name for name in names if name.endswith(".dist-info/licenses/LICENSE")]
