"""What is cut into what, and by which rules: the same for all parts of the work."""

from __future__ import annotations

import functools
import hashlib
import json
import os
import secrets
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

import numpy as np

import privatekube
from privatekube.data import declare, partition
from privatekube.data.columns import FIRST_DAY_SECONDS, SECONDS_PER_DAY
from privatekube.data.cutting.limits import Limits
from privatekube.data.partition import Slice
from privatekube.data.ragged import Int64s
from privatekube.data.records import Records
from privatekube.data.sources import RecordKind
from privatekube.data.tables import text
from privatekube.data.tables.reading import Reader
from privatekube.data.tables.rows import Encoded
from privatekube.data.tables.schema import Schema
from privatekube.data.tables.text import Tokeniser
from privatekube.storage import local_files, uris

R = TypeVar("R", bound=Records)
SCRATCH_FORMAT = 2
"""Of what a run leaves in its scratch folder: raise it when that changes, as it may within a version of the package."""


class FileRecordKind(RecordKind[R], Protocol[R]):
    """A kind of records that are read from files."""

    def records(self, rows: Encoded) -> R:
        """Return records as the columns of their blocks."""


@dataclass(frozen=True, eq=False)
class Job(Generic[R]):
    """What is cut.

    Args:
        locations: paths or URIs of the files of a table.
        schema: of the table.
        kind: of the records.
        slices: of its days; they follow each other.
        declaration: what the owner states about all blocks.
        owner_key: of the data owner, to identify the data.
        limits: how much memory and how many processes to use.
    """

    locations: tuple[str, ...]
    schema: Schema
    kind: FileRecordKind[R]
    slices: tuple[Slice, ...]
    declaration: declare.Declaration
    owner_key: bytes
    limits: Limits

    @property
    def n_blocks(self) -> int:
        """How many blocks there are: block i is of slice i // buckets and bucket i % buckets."""
        return len(self.slices) * self.declaration.n_buckets

    @property
    def n_workers(self) -> int:
        """How many processes to use: 1 for small files; those of a bucket are taken as large."""
        local = [_status(location).st_size for location in self.locations if uris.is_local(location)]
        is_small = len(local) == len(self.locations) and sum(local) < self.limits.start_bytes
        return 1 if is_small else self.limits.workers

    def place_of(self, block: int) -> tuple[Slice, int]:
        """Return the slice and the bucket of a block."""
        number, bucket = divmod(block, self.declaration.n_buckets)
        return self.slices[number], bucket

    def block_of(self, user: Int64s, time: Int64s) -> np.ndarray:
        """Return the block of each record of the declared days, int32 [N]."""
        starts = FIRST_DAY_SECONDS + SECONDS_PER_DAY * np.array([days.start_day for days in self.slices[1:]], np.int64)
        number = np.searchsorted(starts, time, side="right") if self.schema.time is not None else np.int64(0)
        buckets = self.declaration.n_buckets
        return (number * buckets + partition.bucket_of(user, buckets)).astype(np.int32)

    @property
    def name(self) -> str:
        """What tells this job from others, with other files, rules or blocks: a run continues its own alone."""
        described = {
            "version": [privatekube.__version__, SCRATCH_FORMAT],
            "files": [(location, *_state(location)) for location in self.locations],
            "schema": self.schema.model_dump(mode="json"),
            "kind": repr(self.kind),
            "declaration": repr(self.declaration),
            "owner": hashlib.blake2b(b"owner of a job", key=self.owner_key, digest_size=16).hexdigest(),
            "piece_bytes": self.limits.piece_bytes,
        }
        return hashlib.sha256(json.dumps(described, sort_keys=True).encode()).hexdigest()[:32]


@dataclass(frozen=True, eq=False)
class Tools:
    """What a process needs of a job to read records, made once.

    Args:
        reader: reads them.
        tokenisers: by column of text.
    """

    reader: Reader
    tokenisers: dict[str, Tokeniser]


@functools.lru_cache(maxsize=1)
def tools_of(job: Job[Any]) -> Tools:
    """Return the tools of the job of this process."""
    return Tools(Reader(job.schema), {name: text.tokeniser(declared) for name, declared in job.schema.text.items()})


def _state(location: str) -> tuple[str, ...]:
    """Return what changes when a file does; what a bucket holds is taken as changed."""
    if not uris.is_local(location):
        return (secrets.token_hex(16),)
    status = _status(location)
    return (str(status.st_size), str(status.st_mtime_ns), str(status.st_ino))


def _status(location: str) -> os.stat_result:
    """Return what the system says of a file of this machine.

    Raises:
        NotFound, InvalidInput: it is gone, or cannot be read any more.
    """
    path = uris.absolute(location)
    try:
        return os.stat(path)
    except OSError as error:
        raise local_files.translation(error, path) from error
