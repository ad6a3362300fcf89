"""Data and results in a bucket, and data in the format of PrivateKube's published blocks."""

from __future__ import annotations

import json
from pathlib import Path

import h5py
import numpy as np
import pytest

from privatekube.storage import uris
from tests.e2e.conftest import Laptop, committed
from tests.storage.test_uris import bucket, s3

__all__ = ["bucket", "s3"]


@pytest.mark.slow
def test_blocks_and_results_may_be_in_a_bucket_of_s3(laptop: Laptop, s3: str) -> None:
    options = ("--days", "1", "--data-dir", f"{s3}/blocks")
    laptop.run("demo_blocks.py", "create", *options)
    (block,) = laptop.blocks().values()
    assert block["spec"]["dataSource"].startswith(f"{s3}/blocks/privacy-example/amazon/")
    shown = laptop.pipeline(f"prefix={s3}/out")
    run_id = next(iter(laptop.claims())).removeprefix("privacy-example/run-")
    assert f"{s3}/out/{run_id}" in shown
    files = uris.list_files(f"{s3}/out/{run_id}")
    assert {file.rsplit("/", 1)[-1] for file in files} == {
        *("statistics.json", "model.pt", "metrics.json", "receipt.json", "privacy-card.md", "privacy-card.json"),
    }
    assert json.loads(uris.read_bytes(f"{s3}/out/{run_id}/receipt.json"))["run_id"] == run_id


@pytest.mark.slow
def test_a_source_may_be_in_a_bucket(laptop: Laptop, bucket: str) -> None:
    line = {"reviewerID": "u", "asin": "p", "overall": 5, "reviewText": "good", "unixReviewTime": 1356998400}
    for name in ("Music", "Office"):
        uris.write_bytes(f"{bucket}/reviews/{name}.json", json.dumps(line).encode())
    options = ("--source", f"{bucket}/reviews", "--start-day", "0", "--days", "1")
    assert "created 1 block of" in laptop.run("demo_blocks.py", "create", *options)


PUBLISHED = (
    "--source",
    "published",
    "--dataset",
    "old",
    "--start-day",
    "0",
    "--end-day",
    "0",
    "--accounting",
    "epsdel",
)


def write_published_block(path: Path, seed: int) -> None:
    """Write a file in the layout of PrivateKube's published blocks."""
    generator = np.random.default_rng(seed)
    rows = np.full((600, 150), 1, np.int32)
    rows[:, 0] = 1356998400 + generator.integers(0, 86400, 600)
    rows[:, 1], rows[:, 2] = generator.integers(-(2**31), 2**31, (2, 600))
    rows[:, 3], rows[:, 4] = generator.integers(0, 11, 600), generator.integers(1, 6, 600)
    rows[:, 5], rows[:, 6] = 6, 20
    rows[:, 7:13], rows[:, 23:43] = generator.integers(4, 900, (600, 6)), generator.integers(4, 900, (600, 20))
    with h5py.File(path, "w") as file:
        file.create_dataset("block", data=rows, compression="gzip")


@pytest.mark.slow
def test_privatekubes_published_blocks_are_trained_on_as_they_are(laptop: Laptop) -> None:
    folder = laptop.folder / "published"
    folder.mkdir()
    for bucket_number in (3, 7):
        write_published_block(folder / f"0-{bucket_number}.h5", bucket_number)
    laptop.run("demo_blocks.py", "create", *PUBLISHED, "--accounting", "epsdel")
    laptop.pipeline("dataset=old", "embeddings=none")  # their list of words is another
    assert [committed(block) for block in laptop.blocks().values()] == pytest.approx([1.0, 1.0])
    statistics = json.loads((laptop.folder / "out" / "latest" / "statistics.json").read_text())
    assert len(statistics["counts"]) == 11
