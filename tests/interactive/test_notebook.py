"""The notebook of the examples runs from top to bottom, and is kept without outputs."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path
from typing import Any, cast

import nbclient
import nbformat
import pytest

ROOT = Path(__file__).resolve().parents[2]
NOTEBOOK = ROOT / "examples" / "notebook.ipynb"


def read() -> nbformat.NotebookNode:
    return cast("nbformat.NotebookNode", nbformat.read(NOTEBOOK, as_version=4))  # type: ignore[no-untyped-call]  # it has no types


def texts_of(cell: Any) -> list[str]:
    """Return what a cell printed, and the HTML that it shows, or else the text."""
    data = [output["data"] for output in cell.get("outputs", []) if "data" in output]
    streams = [output["text"] for output in cell.get("outputs", []) if output["output_type"] == "stream"]
    return [*streams, *(shown.get("text/html", shown.get("text/plain", "")) for shown in data)]


@pytest.mark.slow
def test_the_notebook_runs_claims_pays_and_shows_tables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    for name in ("JUPYTER_RUNTIME_DIR", "JUPYTER_CONFIG_DIR", "IPYTHONDIR"):
        monkeypatch.setenv(name, str(tmp_path / name))
    notebook = read()
    nbclient.NotebookClient(notebook, timeout=250, resources={"metadata": {"path": str(tmp_path)}}).execute()
    shown = ["\n".join(texts_of(cell)) for cell in notebook.cells]
    text = "\n".join(shown)
    assert "<table>" in text
    assert "would be granted now, on 1 block" in text
    assert re.search(r"\d\.\d nights on average", text)
    assert "the claim is given back" in text
    assert "births: would take the run to epsilon 0.6" in text
    left = [cell for cell in shown if "<th>left</th>" in cell]
    assert "epsilon 10, " in left[0]
    assert "epsilon 9, " in left[1]


def test_the_notebook_is_kept_without_outputs() -> None:
    notebook = read()
    nbformat.validate(notebook)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert [cell.id for cell in code if cell.outputs or cell.execution_count is not None or cell.metadata] == []
    assert set(notebook.metadata) == {"kernelspec", "language_info"}
