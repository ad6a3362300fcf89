"""The records of deleted data as they were a short while ago: enough to refuse a block, never to admit one.

While some block is refused, every pass looks at the records of all deleted data. To list them each time costs an API
server more than all else in a pass. A record that is missing here can make a block seem admissible only, and what is
admissible is decided again on records that are read then; see `reconcile.read_world`.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from privatekube.resources.data_identity import DataIdentity
from privatekube.resources.retired_data import RetiredData
from privatekube.store.base import RecordSource

KEPT_SECONDS = 30.0
"""How long what was read is kept."""


@dataclass
class RecentRecords:
    """What a source said within the last 30 seconds, and what it says now of the rest.

    Args:
        source: has the records.
        monotonic: tells the time in seconds.
    """

    source: RecordSource
    monotonic: Callable[[], float] = time.monotonic
    _retired: list[RetiredData] = field(default_factory=list)
    _retired_until: float = float("-inf")
    _missing_until: dict[str, float] = field(default_factory=dict)

    def list_retired(self) -> list[RetiredData]:
        """Return all records of deleted data, by dataset and digest."""
        if self.monotonic() >= self._retired_until:
            self.keep(self.source.list_retired())
        return self._retired

    def keep(self, records: list[RetiredData]) -> None:
        """Keep records that were just read."""
        self._retired, self._retired_until = records, self.monotonic() + KEPT_SECONDS

    def identity(self, identity_id: str) -> DataIdentity | None:
        """Return the identity of that id, or None.

        Raises:
            CorruptData: it cannot be read.
        """
        if self.monotonic() < self._missing_until.get(identity_id, float("-inf")):
            return None
        self._missing_until.pop(identity_id, None)
        identity = self.source.identity(identity_id)
        if identity is None:
            self._missing_until[identity_id] = self.monotonic() + KEPT_SECONDS
        return identity
