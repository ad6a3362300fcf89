"""Tell, once for each object, why a block is not admitted and why nothing is signed for a claim."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from privatekube import errors
from privatekube.controller import status_events
from privatekube.controller.event_recorder import EventRecorder
from privatekube.controller.status_events import StatusEvent
from privatekube.engine import admission
from privatekube.engine.catalogue import Catalogue
from privatekube.engine.changes import Unsigned
from privatekube.reconcile import read_world
from privatekube.reconcile.reconcile import Pass
from privatekube.resources.block import PrivateDataBlock
from privatekube.store import kinds
from privatekube.store.base import Resource
from privatekube.store.kinds import Kind
from privatekube.store.kubernetes.controller_store import ControllerStore

_log = logging.getLogger(__name__)


@dataclass
class ProblemReports:
    """Records what stays undecided after a pass as Events.

    Args:
        store: of the controller.
        recorder: records the Events.
    """

    store: ControllerStore
    recorder: EventRecorder
    _reported: set[tuple[str, str]] = field(default_factory=set)
    """Uids of objects, each with what was told: a block may be withheld first and refused later."""

    def report(self, done: Pass) -> None:
        """Tell what is new after a pass."""
        self._report_unsigned(done.unsigned)
        usable = self.store.list_blocks()
        self._report_withheld(usable)
        try:
            self._report_refused(usable)
        except errors.PrivateKubeError as error:  # the records cannot be read now: told after a later pass
            _log.warning("cannot tell why blocks are not admitted: %s", error)

    def _report_unsigned(self, notes: Sequence[Unsigned]) -> None:
        claims = {claim.id: claim for claim in self.store.known_claims()} if notes else {}
        for note in notes:
            claim = claims.get(note.claim_id)
            if claim is not None and self._is_untold(claim, status_events.UNSIGNED):
                self._tell(claim, status_events.UNSIGNED, f"no statement is signed: {note.error}")

    def _report_withheld(self, usable: Sequence[PrivateDataBlock]) -> None:
        """Tell which new blocks passes have to leave out."""
        usable_ids = {block.id for block in usable}
        for block in self.store.known_blocks():
            if block.status is None and block.id not in usable_ids and self._is_untold(block, "withheld"):
                message = "waits for an object that cannot be read or decided now: it may have the same data"
                self._tell(block, status_events.NOT_ADMITTED, message)

    def _report_refused(self, blocks: Sequence[PrivateDataBlock]) -> None:
        """Tell why passes did not admit new blocks."""
        new_blocks = [block for block in blocks if block.status is None]
        untold = [block for block in new_blocks if (block.meta.uid, status_events.NOT_ADMITTED) not in self._reported]
        if not untold:
            return
        catalogue = Catalogue.of_admitted(blocks, read_world.earlier_records(self.store.recent_records(), blocks))
        for block in untold:  # one that came after the pass may be admissible by what is known so far
            try:
                admission.require_admissible(block, catalogue)
            except errors.PrivateKubeError as error:
                self._is_untold(block, status_events.NOT_ADMITTED)
                self._tell(block, status_events.NOT_ADMITTED, str(error))

    def _is_untold(self, resource: Resource, what: str) -> bool:
        """Return whether something is told of an object for the first time, and remember it."""
        is_untold = (resource.meta.uid, what) not in self._reported
        self._reported.add((resource.meta.uid, what))
        return is_untold

    def _tell(self, resource: Resource, reason: str, message: str) -> None:
        kind: Kind[Any] = kinds.kind_of(resource)
        _log.warning(message, extra={"reason": reason, kind.name: resource.id})
        self.recorder.record(kind, resource.meta, StatusEvent(reason, message, is_warning=True))
