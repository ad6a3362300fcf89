"""What KFP's launcher does in the pod of a step: fetch the inputs, run the command, keep the outputs if it succeeded.

The test runs its source text in the step's image. usage: PLAN COMMAND..., where PLAN is JSON: the URLs of artifacts by
their paths, and the paths of output parameters.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path

_SECONDS = 60


def main() -> None:
    """Exit with the status of the command."""
    plan = json.loads(sys.argv[1])
    for path, url in plan["inputs"].items():
        _folder_of(path)
        Path(path).write_bytes(_answer(urllib.request.Request(url)))  # noqa: S310 - the test chose it
    for path in (*plan["outputs"], *plan["parameters"]):
        _folder_of(path)
    process = subprocess.Popen(sys.argv[2:])
    signal.signal(signal.SIGTERM, lambda *_: process.terminate())
    status = process.wait()
    if status == 0:
        for path, url in plan["outputs"].items():
            headers = {"Content-Type": "application/octet-stream"}
            _answer(urllib.request.Request(url, Path(path).read_bytes(), headers, method="PUT"))  # noqa: S310 - likewise
    sys.exit(status if status >= 0 else 128 - status)


def _folder_of(path: str) -> None:
    Path(path).parent.mkdir(parents=True, exist_ok=True)


def _answer(request: urllib.request.Request) -> bytes:
    with urllib.request.urlopen(request, timeout=_SECONDS) as answer:  # noqa: S310 - likewise
        return bytes(answer.read())


if __name__ == "__main__":
    main()
