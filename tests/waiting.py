"""Poll until a condition holds."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

PATIENCE_SECONDS = 150.0
"""How long to wait for what will happen: it only ends a test that would hang, however slow the machine is."""
PAUSE_SECONDS = 0.05
_EXPLAINED_CHARACTERS = 4000


def until(
    condition: Callable[[], bool], explain: Callable[[], object] = str, *, seconds: float = PATIENCE_SECONDS
) -> None:
    """Wait until `condition` holds; `explain` returns the actual state for the message, of which the end is shown."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"not within {seconds:g} s: {str(explain())[-_EXPLAINED_CHARACTERS:]}"
        time.sleep(PAUSE_SECONDS)


def until_ended(process: int) -> None:
    """Wait until a process has ended, whether or not its parent has taken notice of that."""
    until(lambda: not _runs(process))


def _runs(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


def until_definitions_are_established(kubectl: Callable[..., str]) -> None:
    """Wait until an API server serves all custom resources: `kubectl wait` fails on one without any condition yet."""

    def is_established(definition: dict[str, Any]) -> bool:
        conditions = definition.get("status", {}).get("conditions") or ()
        return any(item["type"] == "Established" and item["status"] == "True" for item in conditions)

    until(lambda: all(map(is_established, json.loads(kubectl("get", "crd", "-o", "json"))["items"])))
