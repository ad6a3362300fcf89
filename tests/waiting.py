"""Poll until a condition holds."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

PAUSE_SECONDS = 0.2


def until(condition: Callable[[], bool], seconds: float = 30.0, explain: Callable[[], object] = str) -> None:
    """Wait until `condition` holds, at most `seconds`; `explain` returns the actual state for the message."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"not within {seconds} s: {explain()}"
        time.sleep(PAUSE_SECONDS)


def until_definitions_are_established(kubectl: Callable[..., str]) -> None:
    """Wait until an API server serves all custom resources: `kubectl wait` fails on one without any condition yet."""

    def is_established(definition: dict[str, Any]) -> bool:
        conditions = definition.get("status", {}).get("conditions") or ()
        return any(item["type"] == "Established" and item["status"] == "True" for item in conditions)

    until(lambda: all(map(is_established, json.loads(kubectl("get", "crd", "-o", "json"))["items"])), 60)
