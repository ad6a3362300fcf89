"""Write blocks of random reviews, one a day, and register them: as many, and as large, as a measurement needs.

python benchmarks/random_blocks.py FOLDER BLOCKS REVIEWS
"""

from __future__ import annotations

import os
import sys
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np

from privatekube.client import connect
from privatekube.data import block_file, columns, metadata, word_vectors
from privatekube.privacy.budget import EpsilonDelta
from privatekube.privacy.unit import PrivacyUnit
from privatekube.resources.block import BlockSpec, Dimension, PrivateDataBlock
from privatekube.resources.meta import CONTENT_DIGEST, ObjectMeta

CATEGORIES = ("books", "clothing", "games", "home", "movies", "music", "office", "pets", "sports", "tools", "toys")
LENGTHS = (20, 100)
"""Tokens of a review: uniform, 60 in the mean."""
WORDS = 10_000


def register(folder: Path, *, blocks: int, reviews: int) -> None:
    """Write that many blocks of that many reviews each to a folder, on all processors, and register them."""
    folder.mkdir(parents=True, exist_ok=True)
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        digests = list(pool.map(partial(_write, folder, reviews), range(blocks), chunksize=16))
    with connect.connect() as client:
        client.create_blocks([_block(_path(folder, number), number, digest) for number, digest in enumerate(digests)])


def _path(folder: Path, number: int) -> Path:
    return folder / f"{number}.h5"


def _write(folder: Path, count: int, number: int) -> str:
    return block_file.write(_path(folder, number), _reviews(count, day=number), _metadata(number))


def _block(path: Path, day: int, digest: str) -> PrivateDataBlock:
    numbers = {"startTime": day, "endTime": day, "maxContribution": 1, metadata.VOCABULARY: WORDS}
    dimensions = [Dimension(name, numeric_value=str(value)) for name, value in numbers.items()]
    dimensions.append(Dimension("unit", string_value=PrivacyUnit.EVENT))
    spec = BlockSpec(EpsilonDelta(10, 1e-7), "amazon", path.absolute().as_uri(), tuple(dimensions))
    return PrivateDataBlock(ObjectMeta(f"b{day}", "privacy-example", annotations={CONTENT_DIGEST: digest}), spec)


def _reviews(count: int, *, day: int) -> columns.Reviews:
    chance = np.random.default_rng(day)
    offsets = np.concatenate([[0], np.cumsum(chance.integers(*LENGTHS, count, endpoint=True))])
    frequent_first = WORDS * chance.random(int(offsets[-1])) ** 3
    return columns.Reviews(
        user=chance.integers(0, 2**62, count),
        product=chance.integers(0, 2**62, count),
        time=columns.FIRST_DAY_SECONDS + day * columns.SECONDS_PER_DAY + chance.integers(0, 86_400, count),
        category=chance.integers(0, len(CATEGORIES), count).astype(np.int16),
        stars=chance.integers(1, 6, count).astype(np.int8),
        summary_length=np.zeros(count, np.int32),
        tokens=(columns.FIRST_WORD + frequent_first).astype(np.int32),
        offsets=offsets,
    )


def _metadata(day: int) -> metadata.Metadata:
    return metadata.Metadata(
        dataset="amazon",
        start_day=day,
        end_day=day,
        bucket=0,
        n_buckets=1,
        partition_key_id="random",
        vocabulary_digest=word_vectors.WORDS_DIGEST,
        vocabulary_size=WORDS,
        tokeniser="random",
        unit=PrivacyUnit.EVENT,
        max_contribution=1,
        categories=CATEGORIES,
    )


if __name__ == "__main__":
    register(Path(sys.argv[1]), blocks=int(sys.argv[2]), reviews=int(sys.argv[3]))
