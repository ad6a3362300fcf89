"""The implementations of the LSTM's steps that this machine can run."""

from __future__ import annotations

import functools

import pytest
import torch

from privatekube import errors
from privatekube.training.lstm_steps import cudnn, library, native, path, torch_path

NAMES = ["torch", "native AVX512", "native AVX2", "cudnn"]


@functools.cache
def get(name: str) -> path.Path:
    """Return an implementation; cuDNN's runs on the CPU here, on which torch's own LSTM takes its place."""
    kind, _, capability = name.partition(" ")
    if kind == "native":
        return _native(capability)
    return torch_path.TORCH if kind == "torch" else cudnn.CuDnn()


def _native(capability: str) -> path.Path:
    capabilities = list(library.INSTRUCTIONS)
    of_machine = torch.backends.cpu.get_cpu_capability()
    if of_machine not in capabilities or capabilities.index(of_machine) > capabilities.index(capability):
        pytest.skip(f"this processor has no {capability}")
    try:
        return native.Native(library.load(capability=capability))
    except errors.InvalidInput as error:
        pytest.skip(str(error))
