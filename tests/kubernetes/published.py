"""What other projects publish, in the versions that are pinned here, as the Go module proxy has it."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

_FETCH_SECONDS = 120


def module(name: str, version: str, checksum: str) -> Path:
    """Return the folder of a module, or skip the test with the reason why it cannot be fetched.

    Args:
        name: of the module.
        version: such as v1.2.3.
        checksum: of its files, as in go.sum.
    """
    if shutil.which("go") is None:
        pytest.skip(f"needs Go, which fetches {name}")
    command = ["go", "mod", "download", "-json", f"{name}@{version}"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, cwd="/", check=True, timeout=_FETCH_SECONDS)
    except subprocess.TimeoutExpired:
        pytest.skip(f"{name} cannot be fetched within {_FETCH_SECONDS} s")
    except subprocess.CalledProcessError as error:
        pytest.skip(f"{name} cannot be fetched: {error.stderr}")
    answer = json.loads(done.stdout)
    assert answer["Sum"] == checksum
    return Path(answer["Dir"])
