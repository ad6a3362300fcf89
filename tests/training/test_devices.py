from __future__ import annotations

import pytest
import torch

from privatekube import errors
from privatekube.training import devices


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a CUDA device")
def test_cuda_where_there_is_none_is_refused_and_auto_takes_the_cpu() -> None:
    with pytest.raises(errors.InvalidInput, match=r"^device: 'cuda' is not available on this machine"):
        devices.resolve("cuda")
    assert devices.resolve("auto") == torch.device("cpu")


def test_a_gpu_with_too_little_memory_is_one_line() -> None:
    with (
        pytest.raises(errors.InvalidInput, match=r"^device: 'cuda' has too little memory for this model; set cpu, or"),
        devices.enough_memory(),
    ):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.\nSee the documentation")
