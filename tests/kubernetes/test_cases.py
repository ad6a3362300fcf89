"""The acceptance cases on a real API server, with the same simulated clock."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from tests.examples import chosen
from tests.kubernetes import stores
from tests.kubernetes.apiserver import ApiServer
from tests.scheduling import test_cases

pytestmark = pytest.mark.kubernetes
MANY_WRITES = {"A04"}


@pytest.mark.timeout(1200)
@pytest.mark.parametrize("case", [case for case in test_cases.cases() if "steps" in case.values[0]])
def test_case(case: dict[str, Any], apiserver: ApiServer) -> None:
    if case["id"] in MANY_WRITES and not chosen(quick=False, nightly=True):
        pytest.skip("six thousand writes: in make nightly; in a file they are made each time")
    stores.clear(apiserver)
    test_cases.run_case(renamed(case), lambda clock: stores.open_store(apiserver, clock))


def renamed(case: dict[str, Any]) -> dict[str, Any]:
    """Return the case with names in lower case, as Kubernetes requires them."""
    created = [value for step in case["steps"] for key, value in step.items() if key.startswith("create_")]
    text = json.dumps(case)
    for name in {value["name"] for value in created}:
        text = re.sub(rf'(?<=["/]){re.escape(name)}(?=["/])', name.lower(), text)
    return dict(json.loads(text))
