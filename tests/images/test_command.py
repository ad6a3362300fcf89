"""build_components.py needs the extra `images` and nothing else: it imports no part of the control plane."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
CONTROL_PLANE = {"client", "controller", "forecast", "kubeflow", "reconcile", "resources", "scheduling", "store"}
HEAVY = {"boto3", "h5py", "kfp", "kubernetes", "numpy", "opendp", "scipy", "sqlite3", "torch"}
PROGRAM = """
import contextlib, json, runpy, sys
sys.argv = ["build_components.py", *sys.argv[1:]]
with contextlib.suppress(SystemExit), contextlib.redirect_stdout(sys.stderr):
    runpy.run_path("build_components.py", run_name="__main__" if sys.argv[1:] else "build_components")
json.dump(sorted(sys.modules), sys.stdout)
"""


@pytest.mark.parametrize("options", [(), ("--help",), ("--check",)], ids=["import", "help", "check"])
def test_the_build_command_loads_no_control_plane(options: tuple[str, ...]) -> None:
    process = subprocess.run(
        [sys.executable, "-c", PROGRAM, *options], cwd=ROOT, capture_output=True, text=True, check=True, timeout=120
    )
    modules = set(json.loads(process.stdout))
    assert "privatekube.images.building" in modules
    assert modules & {f"privatekube.{package}" for package in CONTROL_PLANE} == set()
    assert modules & HEAVY == set()
    if options == ("--help",):
        assert "--torch-index" in process.stderr
