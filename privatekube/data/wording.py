"""How the owner of data wrote what is declared, so that messages name the place: options of a command, or a schema."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Wording:
    """How declared values are written.

    Args:
        mark: what comes before a name where it is set.
        separator: of the words of a name.
    """

    mark: str
    separator: str

    def name(self, key: str) -> str:
        """Return the name of a value as the subject of a message.

        >>> OPTIONS.name("max_contribution"), KEYS.name("max_contribution")
        ('max-contribution', 'max_contribution')
        """
        return key.replace("_", self.separator)

    def set(self, key: str, value: object) -> str:
        """Return how a value is set.

        >>> OPTIONS.set("slice", "all"), KEYS.set("slice", "all")
        ('--slice all', 'slice all')
        """
        return f"{self.mark}{self.name(key)} {value}"


OPTIONS = Wording("--", "-")
"""Options of `demo_blocks.py create`."""
KEYS = Wording("", "_")
"""Keys of a schema."""
