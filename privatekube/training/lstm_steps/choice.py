"""Which implementation of the steps trains on a device."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from privatekube import errors
from privatekube.training.lstm_steps import cudnn, library, native, path, torch_path

_CPU = torch.device("cpu")
_TOLERANCES = {torch.float32: 1e-4, torch.float64: 1e-9}
"""How far results may be from torch's, in each precision."""


@dataclass(frozen=True, eq=False)
class Choice:
    """An implementation, and why it is not a faster one where that is the case; both public.

    Args:
        path: the implementation.
        reason: one line; None where it is the fastest one.
    """

    path: path.Path
    reason: str | None = None


def choose(device: torch.device) -> Choice:
    """Return the fastest implementation that is there for a device, after a check of its results.

    Args:
        device: that the model is trained on.
    """
    try:
        fastest = cudnn.CuDnn() if device.type == "cuda" else native.Native(library.load())
    except errors.InvalidInput as error:
        return Choice(torch_path.TORCH, str(error))
    if not is_right(fastest, device):
        return Choice(torch_path.TORCH, f"{fastest.name} computes wrong results on this machine; report this")
    return Choice(fastest)


def is_right(candidate: path.Path, device: torch.device = _CPU) -> bool:
    """Return whether an implementation has the results of torch's, on a small example with fixed numbers.

    A wrong norm would break the privacy of training, and so would a unit that is not finite and is not left out, as by
    a compiler that takes all numbers for finite; so nothing trains unchecked, in the precision in which it trains.
    """
    return all(
        torch.allclose(got.double().cpu(), wanted.double(), rtol=tolerance, atol=tolerance)
        for kind, tolerance in _TOLERANCES.items()
        for got, wanted in zip(_results(candidate, kind, device), _results(torch_path.TORCH, kind, _CPU), strict=True)
    )


def _results(candidate: path.Path, kind: torch.dtype, device: torch.device) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    projected, weight, bias, d_hidden, inputs = (
        torch.randn(shape, generator=generator, dtype=torch.float64).to(device, kind)
        for shape in ((6, 9, 68), (68, 17), (68,), (6, 9, 17), (6, 9, 5))
    )
    words = torch.randint(0, 7, (3, 18), generator=generator).to(device)
    lengths = torch.tensor([9, 7, 7, 8, 2, 1], device=device)
    for n, length in enumerate(lengths.tolist()):
        d_hidden[n, length:] = 0
    hidden, backpropagate = candidate.run(projected.clone(), weight, bias, lengths)
    delta = backpropagate(d_hidden)
    results = [delta]
    for number in (1.0, math.inf, math.nan):
        given = delta.clone()
        given[2, 0, 0] *= number
        gradients = path.LayerGradients(given, inputs, hidden, lengths, units=3, biases=2, gain=0.5)
        clipped = candidate.clip(gradients, torch.ones(3, dtype=torch.float64, device=device), max_grad_norm=2.0)
        total = torch.zeros(7, 68, dtype=torch.float64, device=device)
        candidate.add_words(total, given.reshape(3, 18, 68), words, clipped.factors)
        results += [clipped.inputs, clipped.hidden, clipped.bias, clipped.factors, total]
    drawn = torch.randint(-(2**63), 2**63 - 1, (2, 4, 13), generator=generator).to(device)
    return [*results, candidate.word_squares(delta.reshape(3, 18, 68), words, 7), candidate.gaussians(drawn)]
