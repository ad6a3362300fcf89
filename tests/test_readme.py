"""The commands of the README work as written, and it names the published files and the exit statuses."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from tests.e2e.conftest import ROOT, Laptop

README = (ROOT / "README.md").read_text()
TRAINS = "run_pipeline.py                 "
ELSEWHERE = (
    *("--source ", TRAINS, "--set epsilon=3", "out/latest", "NAME", "CLAIM", " RUN", "make ", "HOST/PREFIX", " serve "),
)
"""Commands that need a user's files, names or results, or train for a minute: the end-to-end tests run similar ones."""


def commands() -> list[str]:
    """Return the commands of the README that can be run as they are."""
    lines = [line for block in re.findall(r"```\n(.*?)```", README, re.DOTALL) for line in block.splitlines()]
    started = [line for line in lines if line.startswith(("python ", "privatekube "))]
    return [line.partition("#")[0].strip() for line in started if not any(text in line for text in ELSEWHERE)]


@pytest.mark.slow
def test_the_commands_run_in_the_order_they_stand(tmp_path: Path) -> None:
    laptop = Laptop(tmp_path)
    (tmp_path / "pipelines").mkdir()
    for name in ("arguments.yaml", "pipelines/plan.yaml"):
        (tmp_path / name).write_text((ROOT / name).read_text())
    (tmp_path / "tests").symlink_to(ROOT / "tests")
    assert len(commands()) >= 5
    for command in commands():
        words = shlex.split(command)
        laptop.run(*(words[1:] if words[0] == "python" else words))


def test_it_is_short_and_its_links_lead_somewhere() -> None:
    assert len(README.splitlines()) < 200
    for target in re.findall(r"\]\(([^)]+)\)", README):
        assert (ROOT / target).exists(), target


def test_it_names_the_published_files_and_the_exit_statuses() -> None:
    for name in ("statistics.json", "model.pt", "metrics.json", "receipt.json", "privacy-card.md", "privacy-card.json"):
        assert name in README
    assert "3 the budget is not available" in README
