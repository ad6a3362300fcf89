"""Train in several processes on one machine: each samples its own part of the units, and their clipped sums are added.

The first process is the one that calls `started`. It adds the noise once, to the sum of all, takes the step, and sends
the new parameters to the others. A unit is in one part and in each sample with the same probability, independently of
all others: the sums, the noise and the privacy of a step are those of one process. Each process has a generator of its
own, keyed by the operating system, and only the first draws noise.

torch.distributed connects them: NCCL where each has a GPU, gloo through the loopback interface elsewhere.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import tempfile
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from multiprocessing import connection
from multiprocessing.context import SpawnProcess
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from privatekube import entrypoint, errors
from privatekube.training import clipping, devices, examples, models, randomness
from privatekube.training.lstm_steps import choice

_POLL_SECONDS, _SECONDS_TO_END = 0.001, 5
_LONGEST_EXCHANGE = timedelta(minutes=10)


@dataclass(frozen=True, eq=False)
class Part:
    """What a process trains on, and how.

    Args:
        data: its units.
        model: architecture and sizes.
        seed: of the initial weights.
        vectors: float32 [V, E], of the words, where the model reads public ones.
        sampling_rate: probability with which each unit is in a step's sample.
        steps: how many steps to take.
        max_grad_norm: the norm that each unit's gradient is clipped to.
        device: "cpu" or "cuda".
        sums: returns the clipped sums of the chosen units, as `loop.clipped_sums`.
    """

    data: examples.Examples
    model: models.ModelConfig
    seed: int
    vectors: npt.NDArray[np.float32] | None
    sampling_rate: float
    steps: int
    max_grad_norm: float
    device: str
    sums: Callable[..., clipping.Sums]


@dataclass(frozen=True, eq=False)
class Group:
    """The processes, as the first one sees them.

    Args:
        others: the other processes.
        ready: for each, what is closed when it has imported torch.
    """

    others: list[SpawnProcess] = field(default_factory=list)
    ready: list[connection.Connection] = field(default_factory=list)

    def start(self, part: Part, number: int, meeting: Meeting) -> None:
        """Start a process for a part."""
        context = multiprocessing.get_context("spawn")
        ready, here = context.Pipe(duplex=False)
        process = context.Process(target=_work, args=(part, number, meeting, here), daemon=True)
        process.start()
        here.close()
        self.others.append(process)
        self.ready.append(ready)

    def wait_until_ready(self) -> None:
        """Wait until all processes have imported torch.

        Raises:
            WorkerLost: one has ended.
        """
        for process, ready in zip(self.others, self.ready, strict=True):
            connection.wait([ready, process.sentinel])
            ready.close()
        self.require_all()

    def total(self, sums: clipping.Sums) -> clipping.Sums:
        """Return the sums of all processes added up.

        Raises:
            WorkerLost: another process has ended.
        """
        if not self.others:
            return sums
        together = _exchanged(sums.values())
        self._finish(torch.distributed.reduce(together, dst=0, async_op=True))
        _copy(together, sums.values())
        return sums

    def distribute(self, module: models.Classifier) -> None:
        """Send the parameters to the other processes.

        Raises:
            WorkerLost: another process has ended.
        """
        if self.others:
            self._finish(torch.distributed.broadcast(_exchanged(module.parameters()), src=0, async_op=True))

    def require_all(self) -> None:
        """Check that no process has ended before it had done its part.

        Raises:
            WorkerLost: one has.
        """
        for number, process in enumerate(self.others, start=2):
            if not connection.wait([process.sentinel], timeout=0):
                continue
            process.join(_SECONDS_TO_END)  # its exit status is there a moment after its sentinel
            if process.exitcode != 0:
                raise errors.WorkerLost(
                    f"workers: process {number} of {len(self.others) + 1} ended before the training did, with exit "
                    f"status {process.exitcode}; see that there is memory for all of them, or lower workers"
                )

    def end(self) -> None:
        """End the other processes, and what is exchanged with them: NCCL would wait for them for ever."""
        for process in self.others:
            process.kill()
            process.join()
        group = torch.distributed.group.WORLD
        if group is not None:
            group.abort()
            torch.distributed.destroy_process_group()

    def _finish(self, work: torch.distributed.Work) -> None:
        """Wait for an exchange, or for the end of a process that takes part in it."""
        sentinels = [process.sentinel for process in self.others]
        while not work.is_completed():
            if connection.wait(sentinels, timeout=_POLL_SECONDS):
                self.require_all()
        try:
            work.wait()
        except RuntimeError:  # what it says is about sockets
            connection.wait(sentinels, timeout=_SECONDS_TO_END)
            self.require_all()
            raise


@contextlib.contextmanager
def started(part: Part, count: int) -> Iterator[tuple[examples.Examples, Group]]:
    """Start the other processes, and yield the units of this one with the group; they end with the block.

    Args:
        part: the whole training.
        count: of processes, this one included.

    Raises:
        WorkerLost: a process cannot be started.
    """
    if count == 1:
        yield part.data, Group()
        return
    threads = torch.get_num_threads()
    with tempfile.TemporaryDirectory(prefix="privatekube-") as folder:
        meeting = Meeting(Path(folder) / "meeting", count, max(1, threads // count))
        group = Group()
        try:
            for number in range(1, count):
                group.start(replace(part, data=part.data.part(number, count)), number, meeting)
            group.wait_until_ready()
            meeting.join(0, part.device)
            yield part.data.part(0, count), group
        finally:
            group.end()
            torch.set_num_threads(threads)


@dataclass(frozen=True, slots=True)
class Meeting:
    """How the processes find each other.

    Args:
        file: through which they exchange addresses.
        count: how many there are.
        threads: of each.
    """

    file: Path
    count: int
    threads: int

    def join(self, number: int, device: str) -> None:
        """Wait for the other processes, which have all imported torch by now."""
        for library in ("GLOO", "NCCL"):  # they are all on this machine, and what they exchange is private
            os.environ.setdefault(f"{library}_SOCKET_IFNAME", "lo")
        torch.set_num_threads(self.threads)
        gpus = torch.cuda.device_count() if device == "cuda" else 0
        if gpus:
            torch.cuda.set_device(number % gpus)
        torch.distributed.init_process_group(
            "nccl" if gpus >= self.count else "gloo",
            init_method=self.file.as_uri(),
            rank=number,
            world_size=self.count,
            timeout=_LONGEST_EXCHANGE,
        )


def _work(part: Part, number: int, meeting: Meeting, ready: connection.Connection) -> None:
    """Sample, clip and add in one of the other processes; nothing of an error's message is shown."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    entrypoint.run(lambda: _sum_samples(part, number, meeting, ready), scrubbed=True)


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        connection.wait([parent.sentinel])
    os._exit(1)


def _sum_samples(part: Part, number: int, meeting: Meeting, ready: connection.Connection) -> None:
    ready.close()
    devices.use_full_precision()
    meeting.join(number, part.device)
    vectors = None if part.vectors is None else torch.from_numpy(part.vectors)
    module = models.build(part.model, part.seed, vectors).to(part.device)
    module.use(choice.choose(torch.device(part.device)).path)
    generator = randomness.SecureGenerator()
    for _ in range(part.steps):
        chosen = np.flatnonzero(generator.mask(part.data.units, part.sampling_rate))
        sums = part.sums(module, part.data, chosen, max_grad_norm=part.max_grad_norm)
        torch.distributed.reduce(_exchanged(sums.values()), dst=0)
        weights = _exchanged(module.parameters())
        torch.distributed.broadcast(weights, src=0)
        _copy(weights, module.parameters())
    torch.distributed.destroy_process_group()


def _exchanged(tensors: Iterable[torch.Tensor]) -> torch.Tensor:
    """Return tensors in one, where the processes exchange them."""
    together = torch.cat([tensor.detach().flatten() for tensor in tensors])
    return together if torch.distributed.get_backend() == "nccl" else together.cpu()


@torch.no_grad()
def _copy(together: torch.Tensor, tensors: Iterable[torch.Tensor]) -> None:
    """Copy what was exchanged into the tensors that it is of."""
    targets = list(tensors)
    parts: Sequence[torch.Tensor] = torch.split(together, [target.numel() for target in targets])
    for target, values in zip(targets, parts, strict=True):
        target.copy_(values.view_as(target))
