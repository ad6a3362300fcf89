"""A component for the tests of local runs: `python3 -m tests.kubeflow.probe copy|fail|id|settle|wait ...`."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path


def main() -> int:
    """Run the action that the first argument names."""
    action, *rest = sys.argv[1:]
    if action == "copy":
        text = Path(rest[0]).read_text() if rest[0] else "start"
        Path(rest[1]).parent.mkdir(parents=True, exist_ok=True)
        Path(rest[1]).write_text(text + "+")
    elif action == "fail":
        sys.stderr.write("error: budget: not there\n")
        return 3
    elif action in {"id", "settle"}:
        with Path(rest[1]).open("a") as file:
            file.write(f"{action} {rest[0]}\n")
    elif action == "wait":
        Path(rest[1]).write_text(str(os.getpid()))
        time.sleep(120)
    return 0


if __name__ == "__main__":
    sys.exit(main())
