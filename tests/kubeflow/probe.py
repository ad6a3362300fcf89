"""A component for the tests of local runs: `python3 -m tests.kubeflow.probe copy|fail|id|settle|wait ...`."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path


def main() -> int:
    """Do what the first argument says."""
    what, *rest = sys.argv[1:]
    if what == "copy":
        text = Path(rest[0]).read_text() if rest[0] else "start"
        Path(rest[1]).parent.mkdir(parents=True, exist_ok=True)
        Path(rest[1]).write_text(text + "+")
    elif what == "fail":
        sys.stderr.write("error: budget: not there\n")
        return 3
    elif what in {"id", "settle"}:
        with Path(rest[1]).open("a") as file:
            file.write(f"{what} {rest[0]}\n")
    elif what == "wait":
        Path(rest[1]).write_text(str(os.getpid()))
        time.sleep(120)
    return 0


if __name__ == "__main__":
    sys.exit(main())
