"""Reviews from files and synthetic ones; a bad line is counted, not hidden."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from blocks import readers, record, sources, synthetic, vocabulary
from privatekube import errors
from privatekube.data.columns import BOS, EOS, FIRST_DAY_SECONDS, SECONDS_PER_DAY, UNK
from privatekube.data.json_lines import Faults
from privatekube.data.partition import Slice

SAMPLE = Path(__file__).resolve().parents[3] / "shared" / "data" / "amazon-reviews-sample"


def line_2018(**changes: Any) -> dict[str, Any]:
    fields = {"reviewerID": "U1", "asin": "P1", "overall": 4.0, "reviewText": "a good song", "summary": "nice"}
    return {**fields, "unixReviewTime": FIRST_DAY_SECONDS, **changes}


def line_2023(**changes: Any) -> dict[str, Any]:
    fields = {"user_id": "U1", "parent_asin": "P1", "asin": "V1", "rating": 4.0, "text": "a good song", "title": "nice"}
    return {**fields, "timestamp": FIRST_DAY_SECONDS * 1000 + 999, **changes}


def read(path: Path) -> tuple[list[record.Record], int]:
    faults = Faults()
    return list(readers.read(str(path), "Music", faults)), faults.total


@pytest.mark.parametrize("line", [line_2018(), line_2023()])
@pytest.mark.parametrize("packed", [False, True])
def test_both_layouts_give_the_same_review_plain_or_gzip(tmp_path: Path, line: dict[str, Any], packed: bool) -> None:
    text = (json.dumps(line) + "\n").encode()
    path = tmp_path / "Music.jsonl"
    path.write_bytes(gzip.compress(text) if packed else text)
    expected = record.Record("U1", "P1", "Music", 4, FIRST_DAY_SECONDS, "nice", "a good song")
    assert read(path) == ([expected], 0)


@pytest.mark.parametrize(
    "bad",
    [
        "{",
        "no json",
        "[]",
        "3",
        "{}",
        json.dumps(line_2018(overall=9)),
        json.dumps(line_2018(overall="many")),
        json.dumps(line_2018(reviewerID=None)),
        json.dumps(line_2018(unixReviewTime="soon")),
        json.dumps(line_2018(reviewText=["a"])),
    ],
)
def test_a_bad_line_is_counted_and_the_rest_goes_on(tmp_path: Path, bad: str) -> None:
    path = tmp_path / "Music.json"
    path.write_text("\n".join([json.dumps(line_2018()), bad, "", json.dumps(line_2018())]))
    records, faults = read(path)
    assert (len(records), faults) == (2, 1)


def test_a_review_without_text_is_a_review(tmp_path: Path) -> None:
    path = tmp_path / "Music.json"
    line = line_2018()
    del line["reviewText"]
    del line["summary"]
    path.write_text(json.dumps(line))
    records, faults = read(path)
    assert (records[0].text, faults) == ("", 0)
    assert record.columns(records, ["Music"]).lengths.tolist() == [0]


def test_a_cut_gzip_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "Music.json.gz"
    path.write_bytes(gzip.compress(json.dumps(line_2018()).encode() * 50)[:-20])
    with pytest.raises(errors.CorruptData, match=r"Music\.json\.gz is not a whole gzip file"):
        read(path)


def test_a_folder_gives_a_category_for_each_file(tmp_path: Path) -> None:
    for name in ("Office.json", "Music.jsonl.gz", "notes.txt"):
        text = json.dumps(line_2018()).encode()
        (tmp_path / name).write_bytes(gzip.compress(text) if name.endswith("gz") else text)
    opened = sources.open_source(str(tmp_path), seed=0)
    assert opened.categories == ("Music", "Office")
    assert opened.days() == (0, 1)
    assert opened.reviews(Slice(0, 0)).category.tolist() == [0, 1]


def test_sources_without_reviews_are_refused(tmp_path: Path) -> None:
    with pytest.raises(errors.NotFound, match="missing does not exist"):
        sources.open_source(str(tmp_path / "missing"), seed=0)
    with pytest.raises(errors.InvalidInput, match="has no review file"):
        sources.open_source(str(tmp_path), seed=0)
    (tmp_path / "Music.json").write_text("nothing\nhere\n")
    with pytest.raises(errors.InvalidInput, match="has no reviews; 2 of its lines are not reviews"):
        sources.open_source(str(tmp_path), seed=0)


def test_text_becomes_marked_tokens_of_bounded_length() -> None:
    long = " ".join(["the"] * 300)
    made = record.columns([record.Record("u", "p", "c", 5, 0, long, "The qzxv. THE")], ["c"])
    the = vocabulary.ids()["the"]
    assert made.summary_length.tolist() == [record.SUMMARY_TOKENS]
    assert made.tokens[:2].tolist() == [BOS, the]
    assert made.tokens[16:].tolist() == [BOS, the, UNK, the, EOS]


def test_the_word_list_is_public_ranked_and_distinct() -> None:
    assert len(set(vocabulary.words())) == vocabulary.SIZE
    assert vocabulary.words()[0] == "the"
    assert vocabulary.digest().startswith("sha256:")


@pytest.fixture(scope="module")
def synthetic_reviews() -> list[record.Record]:
    return [review for day in range(3) for review in synthetic.reviews_of_day(day, seed=0)]


def test_synthetic_reviews_are_the_same_for_the_same_seed_and_day(synthetic_reviews: list[record.Record]) -> None:
    again = [review for day in range(3) for review in synthetic.reviews_of_day(day, seed=0)]
    assert again == synthetic_reviews
    assert list(synthetic.reviews_of_day(0, seed=1)) != list(synthetic.reviews_of_day(0, seed=0))


def test_synthetic_reviews_have_the_published_shape(synthetic_reviews: list[record.Record]) -> None:
    assert 5500 < len(synthetic_reviews) < 6500
    shares = {
        name: sum(review.category == name for review in synthetic_reviews) / len(synthetic_reviews)
        for name in synthetic.CATEGORIES
    }
    assert (
        max(abs(shares[name] - share) for name, share in zip(synthetic.CATEGORIES, synthetic.SHARES, strict=True))
        < 0.03
    )
    assert 0.5 < sum(review.stars == 5 for review in synthetic_reviews) / len(synthetic_reviews) < 0.68
    days = {(review.time - FIRST_DAY_SECONDS) // SECONDS_PER_DAY for review in synthetic_reviews}
    assert days == {0, 1, 2}
    counts = np.unique([review.user for review in synthetic_reviews], return_counts=True)[1]
    assert counts.max() > 5
    assert (counts == 1).mean() > 0.3


@pytest.mark.skipif(not SAMPLE.is_dir(), reason="the sample of real reviews is not here")
def test_the_real_sample_is_read_without_a_fault() -> None:
    opened = sources.open_source(str(SAMPLE), seed=0)
    assert len(opened.categories) == 9
    first, days = opened.days() or (0, 0)
    assert len(opened.reviews(Slice(first, first + days - 1))) == 19_026
    assert opened.faults.total == 0
