"""The documents are true: links lead somewhere, pictures are fresh, every policy and command is explained."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from privatekube.scheduling import ordering

ROOT = Path(__file__).resolve().parent.parent
DOCUMENTS = sorted((ROOT / "docs").rglob("*.md"))


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.stem)
def test_links_lead_somewhere(document: Path) -> None:
    for target in re.findall(r"\]\(([^)#:]+)\)", document.read_text()):
        assert (document.parent / target).exists(), target


def test_every_policy_is_explained() -> None:
    text = (ROOT / "docs" / "scheduling.md").read_text()
    for name in (*ordering.ORDERINGS, "all", "n=100", "t=10s,30d"):
        assert f"| `{name}` |" in text


@pytest.mark.slow
def test_the_picture_of_the_policies_is_what_its_script_draws(tmp_path: Path) -> None:
    drawn = tmp_path / "drawn.svg"
    subprocess.run([sys.executable, ROOT / "benchmarks" / "scheduling_picture.py", drawn], check=True, cwd=tmp_path)
    assert drawn.read_text() == (ROOT / "docs" / "scheduling.svg").read_text()
