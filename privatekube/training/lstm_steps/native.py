"""The steps in C++ for x86-64 processors with AVX2 or AVX-512: less time than `torch.nn.LSTM` takes without privacy.

One pass over a unit forms its gradient in cache, takes its norm, and adds it to the sum (kernels.cpp). The library is a
plain C one, so it depends on no version of torch. It uses as many threads as torch does.
"""

from __future__ import annotations

import ctypes
from dataclasses import dataclass

import torch

from privatekube import errors
from privatekube.training.lstm_steps import path

_TYPES = {torch.float32: "float32", torch.float64: "float64"}


@dataclass(frozen=True, eq=False)
class Native:
    """The steps in a compiled library, for float32 and float64 on the CPU.

    Args:
        library: loaded; from `library.load`.
    """

    library: ctypes.CDLL
    name: str = "native"
    positions: int = 1 << 13

    def run(
        self, projected: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor, lengths: torch.Tensor
    ) -> tuple[torch.Tensor, path.Backpropagate]:
        """Run all steps; see `Path.run`. The gates overwrite `projected`, and their gradient overwrites the gates."""
        batch, steps, width = projected.shape
        _require_lengths(lengths, batch, steps)
        gates, rows = projected.detach().contiguous(), weight.detach().contiguous()
        hidden, cells = (gates.new_empty(batch, steps + 1, width // 4) for _ in range(2))
        sizes = (batch, steps, width // 4)
        self._call("lstm_forward", gates, rows, bias.detach().contiguous(), hidden, cells, lengths, *sizes)

        def backpropagate(d_hidden: torch.Tensor) -> torch.Tensor:
            self._call("lstm_backward", gates, rows, cells, d_hidden.contiguous(), lengths, *sizes)
            return gates

        return hidden, backpropagate

    def clip(self, gradients: path.LayerGradients, squares: torch.Tensor, *, max_grad_norm: float) -> path.Clipped:
        """Form, clip and sum in one pass; see `Path.clip`."""
        batch, steps, width = gradients.delta.shape
        size = gradients.inputs.shape[2]
        _require_lengths(gradients.lengths, batch, steps)
        clipped = path.Clipped(
            inputs=torch.zeros(width, size, dtype=torch.float64),
            hidden=torch.zeros(width, width // 4, dtype=torch.float64),
            bias=torch.zeros(width, dtype=torch.float64),
            factors=torch.empty(gradients.units, dtype=torch.float64),
        )
        self._call(
            "lstm_clip",
            gradients.delta.contiguous(),
            gradients.inputs.detach().contiguous(),
            gradients.hidden.detach().contiguous(),
            gradients.lengths,
            squares.contiguous(),
            clipped.inputs,
            clipped.hidden,
            clipped.bias,
            clipped.factors,
            gradients.units,
            batch // max(1, gradients.units),
            steps,
            size,
            width // 4,
            gradients.biases,
            gradients.gain,
            max_grad_norm,
        )
        return clipped

    def word_squares(
        self,
        delta: torch.Tensor,
        words: torch.Tensor,
        vocabulary: int,  # noqa: ARG002 - of the interface
    ) -> torch.Tensor:
        """Sort the words of each unit and add equal ones; see `Path.word_squares`."""
        squares = torch.empty(len(delta), dtype=torch.float64)
        self._call("word_squares", delta.contiguous(), words.long().contiguous(), squares, *delta.shape)
        return squares

    def add_words(self, total: torch.Tensor, delta: torch.Tensor, words: torch.Tensor, factors: torch.Tensor) -> None:
        """Add row by row; see `Path.add_words`."""
        _require_within("words", words, 0, len(total) - 1)
        self._call("add_words", delta.contiguous(), words.long().contiguous(), factors, total, *delta.shape)

    def gaussians(self, words: torch.Tensor) -> torch.Tensor:
        """Transform in registers; see `Path.gaussians`."""
        gaussians = torch.empty(2, words.shape[2], dtype=torch.float64)
        self._call("gaussians", gaussians, words.contiguous(), words.shape[2])
        return gaussians

    def _call(self, name: str, first: torch.Tensor, *arguments: torch.Tensor | float) -> None:
        """Call a function of the library for the type of the first tensor, on torch's number of threads."""
        function = self.library[f"{name}_{_TYPES[first.dtype]}"]
        if function(*[_as_c(value) for value in (first, *arguments, torch.get_num_threads())]):
            raise MemoryError("the steps of the LSTM need more memory than there is")


def _as_c(value: torch.Tensor | float) -> ctypes.c_void_p | ctypes.c_int64 | ctypes.c_double:
    if isinstance(value, torch.Tensor):
        return ctypes.c_void_p(value.data_ptr())
    return ctypes.c_int64(value) if isinstance(value, int) else ctypes.c_double(value)


def _require_lengths(lengths: torch.Tensor, batch: int, steps: int) -> None:
    """Check what the library relies on: another length would make it read and write memory of others."""
    if lengths.shape != (batch,) or lengths.dtype != torch.int64 or not lengths.is_contiguous():
        raise errors.InvalidInput("lengths: must be int64, one for each text; give them on the CPU")
    _require_within("lengths", lengths, 0, steps)


def _require_within(name: str, values: torch.Tensor, least: int, most: int) -> None:
    if values.numel() and not (least <= int(values.min()) and int(values.max()) <= most):
        raise errors.InvalidInput(f"{name}: one lies outside {least} to {most}; correct the data")
