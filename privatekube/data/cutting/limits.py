"""How much memory and how many processes cutting may use."""

from __future__ import annotations

import os
from dataclasses import dataclass, field

import pydantic

from privatekube import errors

MIB = 1 << 20
_LEAST_BYTES = 16 * MIB
"""Of a worker: two parts of a file, and their records as they are read, sorted and spilled."""
_MOST_PIECE_BYTES = 16 * MIB
_START_BYTES = 48 * MIB
"""Of files: about two seconds of work for one process. Another takes one to start, and would save little of the two."""
_BYTES = pydantic.TypeAdapter(pydantic.ByteSize)


def number_of_cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@dataclass(frozen=True)
class Limits:
    """What cutting may use, besides what the program itself needs.

    Args:
        memory_bytes: of all processes together.
        workers: processes that read and write, with the one that is there.
        start_bytes: smaller files are cut by the process that is there: to start others would take longer.

    Raises:
        InvalidInput: no worker, or too little memory for them.
    """

    memory_bytes: int = 1 << 30
    workers: int = field(default_factory=number_of_cores)
    start_bytes: int = _START_BYTES

    def __post_init__(self) -> None:
        if self.workers < 1:
            raise errors.invalid("workers", self.workers, "must be at least 1", "set how many processes may work")
        least = self.workers * _LEAST_BYTES
        if self.memory_bytes < least:
            bound = f"is below {least // MIB}MiB, which {self.workers} workers need"
            raise errors.invalid("memory", f"{self.memory_bytes // MIB}MiB", bound, "set more, or fewer workers")

    @property
    def piece_bytes(self) -> int:
        """About how much of a file a worker reads at once."""
        return max(MIB, min(_MOST_PIECE_BYTES, self.memory_bytes // (32 * self.workers)))

    @property
    def spill_bytes(self) -> int:
        """How many bytes of records a worker holds before it spills them."""
        return self.piece_bytes


def parse_memory(text: str) -> int:
    """Return how many bytes a text such as 1GiB or 512MiB states.

    Raises:
        InvalidInput: it states none.

    >>> parse_memory("64MiB")
    67108864
    """
    try:
        return int(_BYTES.validate_python(text))
    except pydantic.ValidationError:
        raise errors.invalid("memory", text, "is not a size", "write one such as 1GiB or 512MiB") from None
