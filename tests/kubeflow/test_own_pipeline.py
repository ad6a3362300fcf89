"""A pipeline of one's own runs here: its arguments are checked, and a step that fails ends it with its status."""

import io
from pathlib import Path

import pytest
from kfp import dsl
from rich.console import Console

from privatekube import errors
from privatekube.kubeflow import own_pipeline

PROGRAM = """
import os, sys
print(f"error: asked for {sys.argv[1]} of {os.environ['PYTHONPATH'].split(':')[0]}")
sys.exit(int(sys.argv[1]))
"""


@dsl.container_component  # type: ignore[untyped-decorator]  # kfp has no types
def leave(status: int) -> dsl.ContainerSpec:
    return dsl.ContainerSpec(image="leave", command=["python3", "-m", "leave"], args=[status])


@dsl.pipeline  # type: ignore[untyped-decorator]  # kfp has no types
def pipeline(status: int, factor: float, note: str = "none") -> None:
    leave(status=status)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "leave").mkdir()
    (tmp_path / "leave" / "__main__.py").write_text(PROGRAM)
    return tmp_path


@pytest.mark.slow
@pytest.mark.parametrize("status", [0, 3])
def test_the_exit_status_is_that_of_the_step(project: Path, status: int) -> None:
    console = Console(file=io.StringIO())
    arguments = {"status": status, "factor": 1}
    assert own_pipeline.run(pipeline, arguments, project=project, steps=["leave"], console=console) == status
    printed = console.file.getvalue()  # type: ignore[attr-defined]  # it is a StringIO
    last = printed.splitlines()[-1]
    assert last.startswith("error: leave: asked for 3 of ") == (status == 3)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"status": 0}, "factor: missing; give it a value"),
        ({"status": 0, "factor": 1, "facto": 2}, "facto: unknown; remove it or correct its name"),
        ({"status": "0.5", "factor": 1}, "status: '0.5' must be a valid integer"),
        ({"status": 0, "factor": [1]}, r"factor: \[1\] must be a valid number"),
        ({"status": 0, "factor": 1, "note": 3}, "note: 3 must be a valid string"),
    ],
)
def test_an_argument_that_does_not_fit_is_a_line(project: Path, arguments: dict[str, object], message: str) -> None:
    with pytest.raises(errors.InvalidInput, match=message):
        own_pipeline.run(pipeline, arguments, project=project, steps=["leave"])
