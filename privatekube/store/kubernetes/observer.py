"""The protocol of an observer of a controller's store."""

from __future__ import annotations

from typing import Any, Protocol

from privatekube.resources import meta
from privatekube.store.base import Resource
from privatekube.store.kinds import Kind


class Observer(Protocol):
    """Receives what a store writes, and what it sees other processes write."""

    def on_change(self) -> None:
        """Handle a change by another process."""

    def on_write(self, before: Resource | None, after: Resource) -> None:
        """Handle a write of a status by the store itself."""

    def on_conflict(self) -> None:
        """Handle a write that was refused because another process wrote first."""

    def on_relist(self, kind: Kind[Any]) -> None:
        """Handle that all objects of a kind were listed again."""

    def on_malformed(self, kind: Kind[Any], subject: meta.ObjectMeta, fault: str) -> None:
        """Handle an object that cannot be read and is quarantined."""
