"""The device that a model runs on."""

from __future__ import annotations

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
