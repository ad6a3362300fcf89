"""tools/containers/require-disk.sh says before minutes of work that there is too little disk for images."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "tools/containers/require-disk.sh"


@pytest.mark.parametrize(("needed", "status", "said"), [("0", 0, ""), ("1000000", 2, "error: {0} has .* GiB free, .*")])
def test_too_little_disk_for_images_is_one_line(tmp_path: Path, needed: str, status: int, said: str) -> None:
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    done = subprocess.run([SCRIPT, needed], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == status
    assert re.fullmatch(said.format(re.escape(str(tmp_path))), done.stderr.removesuffix("\n"))
