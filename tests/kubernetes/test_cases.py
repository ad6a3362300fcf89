"""The acceptance cases on a real API server, with the same simulated clock."""

from __future__ import annotations

import itertools
import json
import re
from typing import Any

import pytest

from privatekube.store.base import ResourceStore
from tests.kubernetes import stores
from tests.kubernetes.apiserver import ApiServer
from tests.scheduling import test_cases
from tests.scheduling.test_cases import Clock

pytestmark = pytest.mark.kubernetes


@pytest.mark.timeout(1200)  # six thousand writes, in one of them
@pytest.mark.parametrize("case", [each for each in test_cases.cases() if "steps" in each.values[0]])
def test_case(case: dict[str, Any], apiserver: ApiServer) -> None:
    clocks: list[Clock] = []
    nanoseconds = itertools.count()  # two that are made at one moment of the simulated clock keep their order
    opened = stores.emptied(apiserver, lambda: clocks[-1]() * 1_000_000 + next(nanoseconds))

    def opening(clock: Clock) -> ResourceStore:
        clocks.append(clock)
        return opened()

    test_cases.run_case(renamed(case), opening)


def renamed(case: dict[str, Any]) -> dict[str, Any]:
    """The case with names in lower case, as Kubernetes wants them."""
    made = [each for step in case["steps"] for key, each in step.items() if key.startswith("create_")]
    text = json.dumps(case)
    for name in {each["name"] for each in made}:
        text = re.sub(rf'(?<=["/]){re.escape(name)}(?=["/])', name.lower(), text)
    return dict(json.loads(text))
