"""What was read of a source, and what was left out of its blocks: exact numbers, for the data owner alone."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from privatekube.storage import private_files

_NOTICE = "exact numbers of private data: keep this file with the data, and publish nothing of it"


@dataclass(repr=False)
class FileCounts:
    """Numbers of the lines of one file.

    Args:
        kept: records that went into a block.
        exact_copies: records left out since all their fields are those of one that was kept.
        outside_days: records left out since their day is not in the declared range.
        not_records: lines or rows left out, by what is wrong with them.
        clamped: records with a number that was moved into its public range, by column.
    """

    kept: int = 0
    exact_copies: int = 0
    outside_days: int = 0
    not_records: Counter[str] = field(default_factory=Counter)
    clamped: Counter[str] = field(default_factory=Counter)

    def leave_out(self, fault: str, number: int) -> None:
        """Count records that are left out for a fault."""
        if number:
            self.not_records[fault] += number

    def clamp(self, column: str, number: int) -> None:
        """Count records with a number that was moved."""
        if number:
            self.clamped[column] += number

    def add(self, other: FileCounts) -> None:
        """Add the numbers of further lines."""
        self.kept += other.kept
        self.exact_copies += other.exact_copies
        self.outside_days += other.outside_days
        self.not_records.update(other.not_records)
        self.clamped.update(other.clamped)


@dataclass(repr=False)
class ReadReport:
    """Numbers by file. Nothing here is noised, so it goes into no log and no message; its `repr` shows nothing.

    Args:
        files: the numbers of each file.
    """

    files: dict[str, FileCounts] = field(default_factory=dict)

    def of(self, file: str) -> FileCounts:
        """Return the numbers of a file, to be counted up."""
        return self.files.setdefault(file, FileCounts())

    def write(self, path: Path) -> None:
        """Write the numbers as JSON into a file that its owner alone can read.

        Raises:
            InvalidInput: the file cannot be written.
        """
        document = {"notice": _NOTICE, "files": {name: vars(counts) for name, counts in self.files.items()}}
        data = json.dumps(document, indent=2).encode() + b"\n"
        private_files.write(path, data)
