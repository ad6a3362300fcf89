"""Fetch the granted blocks; from here on the budget can no longer be returned."""

from __future__ import annotations

from pathlib import Path

from privatekube import client, entry, handoff, publiclog, reviews, storage


def download(*, grant: Path, blocks: Path) -> None:
    """Mark the claim's data as opened, fetch every block of the Grant and check its digest and format.

    Writes one HDF5 file per block into the folder `blocks`, numbered in the Grant's order.
    """
    granted = handoff.read(handoff.Grant, grant)
    with client.connect() as plane:
        plane.mark_opened(granted.claim)
    blocks.mkdir(parents=True, exist_ok=True)
    for number, each in enumerate(granted.blocks):
        path = blocks / f"{number:05d}.h5"
        storage.copy_to(each.uri, path)
        reviews.read(path, digest=each.digest)
        publiclog.say("fetched", done=number + 1, total=len(granted.blocks))


if __name__ == "__main__":
    entry.component(download, reads_data=True)
