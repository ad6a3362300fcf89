"""The wheel, and empty environments that it is installed into."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PROJECT = ("components", "pipelines", "blocks", "arguments.yaml", "tests/samples")
"""What of the checkout the commands need besides the wheel and the scripts."""


@dataclass(frozen=True)
class Environment:
    """An environment that holds the wheel with some extras, and a copy of the project without the library.

    Args:
        python: its interpreter.
        project: folder that commands run in.
    """

    python: Path
    project: Path

    def run(self, *command: str, **variables: str) -> subprocess.CompletedProcess[str]:
        """Run a command of this environment; `python` and `privatekube` are its own."""
        program, *rest = command
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "PRIVATEKUBE"))}
        return subprocess.run(
            [str(self.python.with_name(program)), *rest],
            cwd=self.project,
            env=kept | variables,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )


def uv(*arguments: str) -> str:
    """Run uv and return what it wrote."""
    program = Path(sysconfig.get_path("scripts")) / "uv"
    done = subprocess.run(
        [str(program), *arguments], cwd=ROOT, capture_output=True, text=True, timeout=600, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built wheel."""
    folder = tmp_path_factory.mktemp("dist")
    try:
        uv("build", "--quiet", "--wheel", "--out-dir", str(folder))
    except AssertionError as error:
        if os.environ.get("CI"):
            raise
        pytest.skip(f"the wheel cannot be built here: {error}")
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture
def environment(request: pytest.FixtureRequest, wheel: Path, tmp_path: Path) -> Environment:
    """An empty environment with the wheel and the extras that the test's parameter names, such as `images,gcs`."""
    folder = tmp_path / "environment"
    uv("venv", "--quiet", "--python", sys.executable, str(folder))
    python = folder / "bin" / "python"
    extras = f"[{request.param}]" if request.param else ""
    constraints = ROOT / "constraints.txt"
    uv("pip", "install", "--quiet", "--python", str(python), "--constraint", str(constraints), f"{wheel}{extras}")
    project = tmp_path / "project"
    for name in PROJECT:
        source = ROOT / name
        copy = shutil.copytree if source.is_dir() else shutil.copy
        (project / name).parent.mkdir(parents=True, exist_ok=True)
        copy(source, project / name)
    for script in ROOT.glob("*.py"):
        shutil.copy(script, project)
    return Environment(python, project)
