"""The bound on the processor time of a unit test."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
TESTS = """
import time

import pytest

from tests import processor_time

processor_time.UNIT_TEST_SECONDS = 0.05


def work(seconds):
    began = time.process_time()
    while time.process_time() - began < seconds:
        pass


def test_cheap():
    pass


def test_above_the_bound():
    work(0.06)


def test_far_above_the_bound():
    work(0.6)


@pytest.mark.slow
def test_slow():
    work(0.6)
"""


@pytest.mark.slow
def test_a_unit_test_above_the_bound_is_listed_and_one_far_above_it_fails(tmp_path: Path) -> None:
    (tmp_path / "test_example.py").write_text(TESTS)
    (tmp_path / "pytest.ini").write_text("[pytest]\nmarkers = slow\n")
    options = ["-p", "tests.processor_time", "-p", "no:cacheprovider"]
    command = [sys.executable, "-m", "pytest", *options, str(tmp_path)]
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    environment = {**kept, "PYTHONPATH": str(ROOT), "HYPOTHESIS_PROFILE": "quick"}
    finished = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    listed = finished.stdout.partition("unit tests above")[2].partition("short test summary")[0]
    assert "test_above_the_bound" in listed
    assert "test_slow" not in listed
    assert "test_far_above_the_bound: used" in finished.stdout
    assert "1 failed, 3 passed" in finished.stdout
