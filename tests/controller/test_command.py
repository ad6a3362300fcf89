"""`python -m privatekube.controller` refuses, before it connects to anything, what it cannot share budget by."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from privatekube import errors
from privatekube.controller.controller import Settings

ROOT = Path(__file__).resolve().parents[2]


def settings(unlock: str) -> Settings:
    return Settings({"unlock": unlock, "order": "dpf"}, period_seconds=10, identity="replica", namespace="ns")


@pytest.mark.parametrize("unlock", ["t", "t=", "n", "n=", "all=", "n=0", "t=0s,1s", "x", ""])
def test_a_way_to_unlock_that_leaves_out_or_has_bad_numbers_is_refused(unlock: str) -> None:
    with pytest.raises(errors.InvalidInput, match=r"^unlock: '[^']*' [^\n]+; [^\n]+$"):
        settings(unlock)


@pytest.mark.parametrize("unlock", ["all", "n=100", "t=10s,30s"])
def test_a_way_to_unlock_with_its_numbers_is_accepted(unlock: str) -> None:
    assert settings(unlock).policy["unlock"] == unlock


@pytest.mark.slow
def test_the_environment_is_checked_like_an_option(tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PRIVATEKUBE_UNLOCK": "t"}
    command = [sys.executable, "-m", "privatekube.controller", "--kubeconfig", str(tmp_path / "absent")]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, cwd=ROOT, check=False, timeout=60)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "error: unlock: 't' leaves out its numbers; write all, n=100 or t=10s,30s\n"
