"""docs/first-run.md, as a reader follows it: from `privatekube init` to a paid, published result on an own table."""

from __future__ import annotations

import json
import os
import random
import re
import subprocess
import sysconfig
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "first-run.md").read_text()
SCRIPTS = re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL)
FILES = dict(re.findall(r"```yaml\n# (\S+)\n(.*?)```", PAGE, re.DOTALL))
INSTALL = re.compile(r"^pip install .*\n", re.MULTILINE)


def bash(script: str, folder: Path) -> str:
    """Run commands as the page has them, with `python` and `privatekube` of the environment of the tests."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PRIVATEKUBE")}
    path = f"{sysconfig.get_path('scripts')}:{os.environ['PATH']}"
    environment = {**kept, "PATH": path, "PYTHONPATH": str(ROOT), "PYTHON": "python"}
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        check=False,
        capture_output=True,
        text=True,
        cwd=folder,
        env=environment,
        timeout=240,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def write_calls(path: Path) -> None:
    """Write the table of the page with more rows."""
    chance = random.Random(1)
    rows = [
        f"{chance.randrange(300)},2024-0{chance.randrange(5, 7)}-{chance.randrange(1, 31):02d},"
        f"{chance.choice(['billing', 'repair', 'other'])},{chance.choice(['yes', 'no'])}"
        for _ in range(900)
    ]
    path.write_text("\n".join(["caller,date,topic,answered", *rows, ""]))


@pytest.mark.slow
def test_a_reader_gets_from_the_wheel_to_a_published_result_in_under_ten_commands(tmp_path: Path) -> None:
    first, second = SCRIPTS
    assert len((first + second).splitlines()) < 10
    assert INSTALL.match(first)
    bash(INSTALL.sub("", first), tmp_path)
    project = tmp_path / "calls"
    (made_up,) = (project / "out").iterdir()
    assert set(json.loads((made_up / "counts.json").read_text())) == {"ward", "outcome"}
    write_calls(tmp_path / "calls.csv")
    for name, text in FILES.items():
        (project / name).write_text(text)
    printed = bash(second, project)
    assert "are unchanged and add up" in printed
    (own,) = set((project / "out").iterdir()) - {made_up}
    counts = json.loads((own / "counts.json").read_text())
    assert {column: list(found) for column, found in counts.items()} == {
        "topic": ["billing", "repair", "other"],
        "answered": ["yes", "no"],
    }
    assert abs(sum(counts["answered"].values()) - 900) < 300
    receipt = json.loads((own / "receipt.json").read_text())
    assert len(receipt["committed"]) == 2
    assert receipt["epsilon"] == pytest.approx(0.5)
