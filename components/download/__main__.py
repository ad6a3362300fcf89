"""Fetch the granted blocks; from here on the budget can no longer be returned."""

from __future__ import annotations

import tempfile
from pathlib import Path

from privatekube import client, entry, handoff, publiclog, reviews, storage


def download(*, grant: Path, blocks: Path) -> None:
    """Fetch every block of the Grant, check its digest and format, mark the claim's data as opened, and hand it on.

    Writes one HDF5 file per block into the folder `blocks`, numbered in the Grant's order. The mark comes after the
    checks and before any other step can read a block: a block that is missing or was altered costs nothing.
    """
    granted = handoff.read(handoff.Grant, grant)
    blocks.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=blocks.parent) as scratch:
        fetched = [Path(scratch) / f"{number:05d}.h5" for number in range(len(granted.blocks))]
        for number, (each, path) in enumerate(zip(granted.blocks, fetched, strict=True)):
            storage.copy_to(each.uri, path)
            reviews.read(path, digest=each.digest)
            publiclog.say("fetched", done=number + 1, total=len(granted.blocks))
        with client.connect() as plane:
            plane.mark_opened(granted.claim)
        blocks.mkdir(exist_ok=True)
        for path in fetched:
            path.replace(blocks / path.name)


if __name__ == "__main__":
    entry.component(download, reads_data=True)
