"""Where a DP step keeps what it released: a private folder in the workspace of the run, until the run ends.

The files may leave only under a registration. A step that is run again, after a crash or because its pod was lost,
finds them here and registers or hands over the same release, instead of drawing noise a second time.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from privatekube import errors
from privatekube.steps import documents
from privatekube.steps.workspace import RELEASES
from privatekube.storage import local_files, private_files

_SPEND = "spend.json"


@dataclass(frozen=True, slots=True)
class StagedRelease:
    """The released files of one step, numbered in the order of its outputs, with the Spend that states them.

    Args:
        folder: where they are; it is complete once it has the Spend.
    """

    folder: Path

    @classmethod
    def of(cls, step: str, workspace: Path) -> StagedRelease:
        """Return the folder of a step of the plan."""
        return cls(workspace / RELEASES / step)

    def spend(self) -> documents.Spend | None:
        """Return the Spend of a complete release; None if there is none.

        Raises:
            CorruptData: a file is not what the Spend states.
        """
        path = self.folder / _SPEND
        if not path.is_file():
            return None
        spend = documents.read(documents.Spend, path)
        for number, digest in enumerate(spend.outputs):
            file = self.folder / str(number)
            if not file.is_file() or documents.digest(file.read_bytes()) != digest:
                raise errors.CorruptData(
                    f"file: {file} is not what {spend.step} released; remove {self.folder} and start a new run"
                )
        return spend

    def write(self, contents: Sequence[bytes], spend: documents.Spend) -> None:
        """Keep a release, in place of another one or of an incomplete one.

        Raises:
            InvalidInput: the disk is full, or the folder cannot be written.
        """
        self.remove()
        private_files.make_folder(self.folder)
        for number, content in enumerate(contents):
            private_files.write(self.folder / str(number), content)
        documents.write(spend, self.folder / _SPEND)

    def hand_over(self, outputs: Sequence[Path], spend: Path, *, write: Callable[[Path, Path], None]) -> None:
        """Write the released files to their outputs, then the Spend, which states that the step has finished.

        Args:
            outputs: where the files go.
            spend: where the Spend goes.
            write: writes a released file to an output.

        Raises:
            InvalidInput: an output cannot be written.
        """
        for number, output in enumerate(outputs):
            write(self.folder / str(number), output)
        local_files.write(spend, (self.folder / _SPEND).read_bytes(), overwrite=True)

    def remove(self) -> None:
        """Remove the files."""
        shutil.rmtree(self.folder, ignore_errors=True)
