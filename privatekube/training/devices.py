"""The device that a model runs on."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import torch

from privatekube import errors


def resolve(device: str) -> torch.device:
    """Return the device with the name that the arguments have; `auto` is a GPU if there is one.

    Raises:
        InvalidInput: the name is unknown, or it is "cuda" on a machine without a GPU.
    """
    if device not in ("auto", "cpu", "cuda"):
        raise errors.invalid("device", device, "is not one of auto, cpu, cuda", "choose one of them")
    available = torch.cuda.is_available()
    if device == "cuda" and not available:
        raise errors.invalid("device", device, "is not available on this machine", "set auto or cpu")
    return torch.device("cuda" if device != "cpu" and available else "cpu")


def use_full_precision() -> None:
    """Multiply matrices of float32 in float32: some images switch on TensorFloat-32, which has 10 bits of them."""
    torch.set_float32_matmul_precision("highest")


@contextlib.contextmanager
def enough_memory() -> Iterator[None]:
    """Explain in one line that the memory of a GPU is too small for what is computed in this block.

    Raises:
        InvalidInput: it is.
    """
    try:
        yield
    except torch.OutOfMemoryError as error:
        bound = "has too little memory for this model"
        raise errors.invalid("device", "cuda", bound, "set cpu, or lower embedding_dim or hidden_dim") from error
