"""Who is told what a controller's store does and sees."""

from __future__ import annotations

from typing import Protocol

from privatekube.store.base import Resource


class Observer(Protocol):
    """Who is told what the store does."""

    def changed(self) -> None:
        """Something was changed by somebody else."""

    def wrote(self, before: Resource | None, after: Resource) -> None:
        """A status was written."""

    def met_conflict(self) -> None:
        """A write was refused because somebody else wrote first."""

    def relisted(self, kind: str) -> None:
        """All of a kind was listed anew."""

    def malformed(self, kind: str, resource_id: str, fault: str) -> None:
        """An object cannot be read, and is left out."""
