"""What a step loads before it starts: packages that take seconds are loaded only where they are used."""

from __future__ import annotations

import subprocess
import sys

import pytest

PROGRAM = """
import sys
import components.dp_preprocess.__main__
print(*({"torch", "opacus", "sklearn"} & set(sys.modules)))
import components.dp_train.__main__
import components.dp_evaluate.__main__
import torch
from privatekube.training import optimizers
stepping = optimizers.build("adam", [torch.nn.Parameter(torch.ones(1))], learning_rate=0.1, noise_deviation=1.0)
stepping.step()
print(*({"opacus", "sklearn", "sympy", "torch._dynamo"} & set(sys.modules)))
"""


@pytest.mark.slow
def test_a_step_that_does_not_train_loads_no_package_of_training() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True, timeout=250)
    assert done.stdout.split() == []
