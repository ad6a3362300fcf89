from __future__ import annotations

import contextlib

import pytest
import torch

from privatekube import errors
from privatekube.training.lstm_steps import library


@pytest.fixture(scope="session", autouse=True)
def _compiled_steps() -> None:
    """Build the library of the steps once, outside the time that a test may take; later sessions find it."""
    of_machine = torch.backends.cpu.get_cpu_capability()
    for capability in ("AVX2", "AVX512")[: {"AVX2": 1, "AVX512": 2}.get(of_machine, 0)]:
        with contextlib.suppress(errors.InvalidInput):
            library.load(capability=capability)
