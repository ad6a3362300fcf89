"""A store in memory that remembers records for a while, as a controller's does, and counts how often they are read."""

from __future__ import annotations

from dataclasses import dataclass, field

from privatekube.resources.data_identity import DataIdentity
from privatekube.resources.retired_data import RetiredData
from privatekube.store.memory import MemoryStore
from privatekube.store.recent_records import RecentRecords


@dataclass
class RememberingStore(MemoryStore):
    """A store whose recent records are those of up to 30 seconds ago.

    Args:
        n_lists: how often all records were read.
        asked: the ids of the identities that were read.
    """

    n_lists: int = 0
    asked: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.seconds = 0.0
        self._recent = RecentRecords(self, monotonic=lambda: self.seconds)

    def list_retired(self) -> list[RetiredData]:
        """Count it; what is read is remembered."""
        self.n_lists += 1
        records = super().list_retired()
        self._recent.keep(records)
        return records

    def identity(self, identity_id: str) -> DataIdentity | None:
        """Record it."""
        self.asked.append(identity_id)
        return super().identity(identity_id)

    def recent_records(self) -> RecentRecords:
        """Return what is remembered."""
        return self._recent
