"""Fetch the granted blocks; after that, the budget can no longer be returned."""

from __future__ import annotations

import tempfile
from pathlib import Path

from privatekube.client import connect
from privatekube.data import block_file
from privatekube.steps import arguments, documents, public_log
from privatekube.storage import uris


def download(*, grant: Path, blocks: Path) -> None:
    """Fetch every block of the Grant, check its digest and format, mark the claim's data as opened, and hand it on.

    Writes one HDF5 file per block into the folder `blocks`, numbered in the Grant's order. The mark comes after the
    checks and before any other step can read a block: a block that is missing or was altered costs nothing.
    """
    granted = documents.read(documents.Grant, grant)
    blocks.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=blocks.parent) as scratch:
        fetched = [Path(scratch) / f"{number:05d}.h5" for number in range(len(granted.blocks))]
        for number, (block, path) in enumerate(zip(granted.blocks, fetched, strict=True)):
            uris.copy_to(block.uri, path)
            block_file.read(path, digest=block.digest)
            public_log.say("fetched", done=number + 1, total=len(granted.blocks))
        with connect.connect() as client:
            client.mark_opened(granted.claim)
        blocks.mkdir(exist_ok=True)
        for path in fetched:
            path.replace(blocks / path.name)


if __name__ == "__main__":
    arguments.run_component(download, reads_data=True)
