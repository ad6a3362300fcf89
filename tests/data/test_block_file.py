"""Block files come back as they were written; what is altered, foreign or not as declared is refused."""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest

from privatekube import errors
from privatekube.data import block_file, columns, published_format, sealed_file
from privatekube.data import metadata as data_metadata
from privatekube.privacy.unit import PrivacyUnit


def metadata(**changes: object) -> block_file.Metadata:
    fields = {
        "dataset": "d",
        "start_day": 0,
        "end_day": 1,
        "bucket": 0,
        "n_buckets": 2,
        "partition_key_id": "key",
        "vocabulary_digest": "sha256:words",
        "vocabulary_size": 100,
        "tokeniser": "words",
        "unit": PrivacyUnit.USER_DAY,
        "max_contribution": 2,
        "categories": ("a", "b"),
    }
    return block_file.Metadata(**(fields | changes))  # type: ignore[arg-type]  # the fields are those of the class


def reviews(count: int = 4) -> columns.Reviews:
    """Reviews of two users on two days, of 0, 1, 2, ... tokens."""
    rows = np.arange(count)
    return columns.Reviews(
        user=rows % 2,
        product=rows,
        time=columns.FIRST_DAY_SECONDS + (rows // 2 % 2) * columns.SECONDS_PER_DAY,
        category=(rows % 2).astype(np.int16),
        stars=(1 + rows % 5).astype(np.int8),
        summary_length=np.zeros(count, np.int32),
        tokens=np.arange(count * (count - 1) // 2, dtype=np.int32),
        offsets=np.r_[0, np.cumsum(rows)],
    )


def test_a_block_comes_back_as_it_was_with_its_unit_as_a_type(tmp_path: Path) -> None:
    digest = block_file.write(tmp_path / "deep" / "b.h5", reviews(), metadata())
    block = block_file.read(tmp_path / "deep" / "b.h5", digest=digest)
    assert block.metadata == metadata()
    assert block.metadata.unit is PrivacyUnit.USER_DAY
    assert block.digest == digest
    assert block.reviews.tokens.tolist() == reviews().tokens.tolist()
    assert block.reviews.offsets.tolist() == reviews().offsets.tolist()
    with h5py.File(tmp_path / "deep" / "b.h5") as file:
        assert file.attrs["unit"] == "user-day"
        assert file.attrs["digest"] == digest


PLAIN = "sha256:40540084ec118fbf0b62cfcef129d14c1ae7fa40aa4959cc5689b1d9c0c39d65"


def test_the_digest_of_a_content_under_a_key_is_fixed() -> None:
    assert data_metadata.content_digest(reviews(), metadata()) == PLAIN
    expected = "hmac-sha256:" + hmac.new(bytes(32), PLAIN.encode(), hashlib.sha256).hexdigest()
    assert sealed_file.commitment(bytes(32), PLAIN) == expected


def test_a_digest_confirms_no_guess_of_the_data(tmp_path: Path) -> None:
    digests = [block_file.write(tmp_path / f"{number}.h5", reviews(), metadata()) for number in range(2)]
    assert digests[0] != digests[1]
    guess = block_file.encode(reviews(), metadata())[1]
    assert guess not in digests
    assert PLAIN not in digests
    assert all(digest.startswith("hmac-sha256:") for digest in digests)


def test_a_file_and_a_digest_of_the_last_version_are_read(tmp_path: Path) -> None:
    path = tmp_path / "b.h5"
    block_file.write(path, reviews(), metadata())
    assert block_file.read(path, digest=PLAIN).digest.startswith(sealed_file.COMMITMENT)
    with h5py.File(path, "a") as file:
        del file.attrs["digest_key"]
        file.attrs["digest"] = PLAIN
    block = block_file.read(path, digest=PLAIN)
    assert block.digest == PLAIN
    assert not block.digest.startswith(sealed_file.COMMITMENT)
    with pytest.raises(errors.CorruptData, match="altered, or another block"):
        block_file.read(path, digest="sha256:" + "0" * 64)


def test_an_empty_block_is_a_block(tmp_path: Path) -> None:
    block_file.write(tmp_path / "b.h5", reviews(0), metadata())
    assert len(block_file.read(tmp_path / "b.h5").reviews) == 0


@pytest.mark.parametrize("size", [0, 10, -1])
def test_a_truncated_file_is_refused(tmp_path: Path, size: int) -> None:
    path = tmp_path / "b.h5"
    block_file.write(path, reviews(), metadata())
    path.write_bytes(path.read_bytes()[:size])
    with pytest.raises(errors.CorruptData, match=r"b\.h5 is truncated or altered"):
        block_file.read(path)


def test_an_altered_review_and_another_block_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "b.h5"
    digest = block_file.write(path, reviews(), metadata())
    with pytest.raises(errors.CorruptData, match="altered, or another block"):
        block_file.read(path, digest="sha256:other")
    with h5py.File(path, "a") as file:
        file["stars"][0] = 5
    with pytest.raises(errors.CorruptData, match=f"the digest {digest}: altered"):
        block_file.read(path)


def test_a_missing_file_and_a_unit_that_does_not_exist_are_refused(tmp_path: Path) -> None:
    with pytest.raises(errors.CorruptData, match="is missing"):
        block_file.read(tmp_path / "b.h5")
    block_file.write(tmp_path / "b.h5", reviews(), metadata())
    with h5py.File(tmp_path / "b.h5", "a") as file:
        file.attrs["unit"] = "person"
    with pytest.raises(errors.CorruptData, match="truncated or altered"):
        block_file.read(tmp_path / "b.h5")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"end_day": -1}, "end_day: -1 is before start_day 0"),
        ({"bucket": 2}, r"bucket: 2 must be in 0\.\.1"),
        ({"unit": "person"}, "unit: 'person' is not one of event, user-day, user"),
        ({"unit": PrivacyUnit.EVENT}, "max_contribution: 2 must be 1 for events"),
        ({"max_contribution": 0}, "max_contribution: 0 must be 1 for events, else at least 1"),
        ({"categories": ("a", "a")}, "categories"),
    ],
)
def test_metadata_out_of_its_range_is_refused(changes: dict[str, object], message: str) -> None:
    with pytest.raises(errors.InvalidInput, match=message):
        metadata(**changes)


@pytest.mark.parametrize("changes", [{"end_day": 0}, {"categories": ("a",)}, {"vocabulary_size": 1}])
def test_reviews_that_contradict_the_metadata_are_not_written(tmp_path: Path, changes: dict[str, object]) -> None:
    with pytest.raises(errors.InvalidInput, match="check what wrote them"):
        block_file.write(tmp_path / "b.h5", reviews(), metadata(**changes))
    assert list(tmp_path.iterdir()) == []


def test_merging_keeps_all_reviews_and_spans_days_and_buckets() -> None:
    first = block_file.Block(reviews(), metadata(), "sha256:1")
    second = replace(first, metadata=metadata(bucket=1, start_day=-3, end_day=5))
    merged = block_file.merge([first, second])
    assert len(merged.reviews) == 8
    assert merged.metadata == metadata(bucket=0, n_buckets=1, start_day=-3, end_day=5)
    assert block_file.merge([first, first]).metadata == first.metadata


@pytest.mark.parametrize("changes", [{"vocabulary_digest": "sha256:other"}, {"max_contribution": 3}])
def test_blocks_of_different_kinds_are_not_merged(changes: dict[str, object]) -> None:
    first = block_file.Block(reviews(), metadata(), "sha256:1")
    with pytest.raises(
        errors.InvalidInput, match=f"blocks: {next(iter(changes))} differs: .*; merge blocks of one kind"
    ):
        block_file.merge([first, replace(first, metadata=metadata(**changes))])
    with pytest.raises(errors.InvalidInput, match="none to merge"):
        block_file.merge([])


def test_a_block_of_another_unit_or_with_too_many_reviews_of_one_is_refused() -> None:
    block = block_file.Block(reviews(8), metadata(), "sha256:1")  # two reviews of each user on each day
    block_file.require_bound(block, unit=PrivacyUnit.USER_DAY, max_contribution=2)
    with pytest.raises(errors.CorruptData, match="a user-day has more records than 1"):
        block_file.require_bound(block, unit=PrivacyUnit.USER_DAY, max_contribution=1)
    with pytest.raises(errors.CorruptData, match="bounded per user-day, not per event"):
        block_file.require_bound(block, unit=PrivacyUnit.EVENT, max_contribution=1)


def test_the_days_of_a_user_count_together_and_blocks_of_other_days_are_not_merged() -> None:
    first = metadata(unit=PrivacyUnit.USER, max_contribution=4)
    block = block_file.Block(reviews(8), first, "sha256:1")  # four reviews of each user, on two days
    block_file.require_bound(block, unit=PrivacyUnit.USER, max_contribution=4)
    with pytest.raises(errors.CorruptData, match="a user has more records than 3"):
        block_file.require_bound(block, unit=PrivacyUnit.USER, max_contribution=3)
    block_file.require_one_kind([first, replace(first, bucket=1)])
    with pytest.raises(errors.InvalidInput, match="their days differ, so a user may be in several"):
        block_file.require_one_kind([first, replace(first, end_day=2)])


def test_published_blocks_are_read_as_they_are_and_other_files_are_not(tmp_path: Path) -> None:
    rows = np.full((2, published_format.WIDTH), columns.PAD, np.int32)
    rows[:, :7] = [columns.FIRST_DAY_SECONDS, 7, 8, 3, 5, 1, 2]
    rows[:, 7], rows[:, 23:25] = 10, [11, 12]
    with h5py.File(tmp_path / "0-5.h5", "w") as file:
        file["block"] = rows
    block = block_file.read_privatekube(tmp_path / "0-5.h5")
    assert (block.metadata.bucket, block.metadata.start_day, block.metadata.unit) == (5, 0, PrivacyUnit.EVENT)
    assert block.reviews.tokens.tolist() == [10, 11, 12] * 2
    block_file.write(tmp_path / "b.h5", reviews(), metadata())
    with pytest.raises(errors.CorruptData, match="not in PrivateKube's published format"):
        block_file.read_privatekube(tmp_path / "b.h5")
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["block"] = rows[:, :5]
    with pytest.raises(errors.CorruptData, match="is neither"):
        block_file.read(tmp_path / "other.h5")
