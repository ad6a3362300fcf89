"""Reviews from files and synthetic ones; what is left out is counted for the data owner alone."""

from __future__ import annotations

import gzip
import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from blocks import record, sources, synthetic
from privatekube import errors
from privatekube.data.columns import BOS, EOS, FIRST_DAY_SECONDS, SECONDS_PER_DAY, UNK, Reviews
from privatekube.data.partition import Slice
from privatekube.data.read_report import FileCounts
from privatekube.data.tables import english, files
from tests.data.cutting import builders as cutting

SAMPLE = Path(__file__).resolve().parents[3] / "shared" / "data" / "amazon-reviews-sample"


def line_2018(**changes: Any) -> dict[str, Any]:
    fields = {"reviewerID": "U1", "asin": "P1", "overall": 4.0, "reviewText": "a good song", "summary": "nice"}
    return {**fields, "unixReviewTime": FIRST_DAY_SECONDS, **changes}


def line_2023(**changes: Any) -> dict[str, Any]:
    fields = {"user_id": "U1", "parent_asin": "P1", "asin": "V1", "rating": 4.0, "text": "a good song", "title": "nice"}
    return {**fields, "timestamp": FIRST_DAY_SECONDS * 1000 + 999, **changes}


DAYS = Slice(0, 9)


def opened(path: Path, *, days: Slice = DAYS, keep_copies: bool = False) -> cutting.Whole:
    schema = record.read_schema(days)
    locations = files.list_tables([str(path)], schema.format)
    return cutting.whole(locations, schema, sources.kind_of(locations, schema), keep_copies=keep_copies)


def read(path: Path) -> tuple[Reviews, FileCounts]:
    whole = opened(path)
    return whole.all, whole.report.of(str(path))


def write(path: Path, *lines: dict[str, Any] | str) -> Path:
    path.write_text("".join(f"{line if isinstance(line, str) else json.dumps(line)}\n" for line in lines))
    return path


def words(reviews: Reviews) -> list[str]:
    """Return the words of all reviews that are in the public list, and `UNK` for the others."""
    known = {number: word for word, number in english.ids().items()} | {UNK: "UNK"}
    return [known[token] for token in reviews.tokens.tolist() if token not in {BOS, EOS}]


@pytest.mark.parametrize("line", [line_2018(), line_2023()])
@pytest.mark.parametrize("packed", [False, True])
def test_both_layouts_give_the_same_review_plain_or_gzip(tmp_path: Path, line: dict[str, Any], packed: bool) -> None:
    text = (json.dumps(line) + "\n").encode()
    path = tmp_path / "Music.jsonl"
    path.write_bytes(gzip.compress(text) if packed else text)
    reviews, counts = read(path)
    expected = record.columns(
        [record.Record("U1", "P1", "Music", 4, FIRST_DAY_SECONDS, "nice", "a good song")], ["Music"]
    )
    assert all(
        getattr(reviews, name).tolist() == getattr(expected, name).tolist() for name in ("user", "time", "tokens")
    )
    assert counts == FileCounts(kept=1)


USER = "column reviewerID or user_id: not the id of a user"
TIME = "column unixReviewTime or timestamp: not a time in s or ms since 1970 from 1995-01-01 to 2099-12-31"
STARS = "column overall or rating: not a whole number from 1 to 5"
TEXT = "column reviewText or text: not text"
HALF_A_PAIR = r"great \ud83d song"


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        ("{", "cannot be read"),
        ("no json", "cannot be read"),
        ("[" * 100_000, "cannot be read"),
        ('{"time": ' + "9" * 5_000 + "}", "cannot be read"),
        ('{"reviewerID": "U1", "reviewerID": "U2"}', "cannot be read"),
        ("\0" * 100, "cannot be read"),
        ("[]", "cannot be read"),
        ("3", "cannot be read"),
        ("{}", USER),
        (line_2018(overall=9), STARS),
        (line_2018(overall="many"), STARS),
        (line_2023(rating=0), STARS),
        (line_2023(rating=float("nan")), STARS),
        (line_2018(reviewerID=None), USER),
        (line_2018(reviewText=["a"]), TEXT),
        (json.dumps(line_2018()).replace("a good song", HALF_A_PAIR), TEXT),
        (json.dumps(line_2018()).replace("U1", HALF_A_PAIR), USER),
        (line_2018(unixReviewTime="soon"), TIME),
        (line_2018(unixReviewTime=FIRST_DAY_SECONDS * 1000), TIME),
        (line_2023(timestamp=FIRST_DAY_SECONDS), TIME),
        (line_2023(timestamp=10**40), TIME),
        (line_2023(timestamp=float("inf")), TIME),
        (line_2023(timestamp=0), TIME),
        (line_2023(timestamp=-1000), TIME),
    ],
    ids=str,
)
def test_a_bad_line_is_counted_by_its_fault_and_the_rest_is_kept(
    tmp_path: Path, bad: dict[str, Any] | str, reason: str
) -> None:
    good = [line_2018(reviewerID=f"U{number}") for number in range(5)]
    reviews, counts = read(write(tmp_path / "Music.json", good[0], bad, "", *good[1:]))
    assert len(reviews) == 5
    assert counts == FileCounts(kept=5, not_records=Counter({reason: 1}))


def test_a_line_that_is_not_utf8_is_counted(tmp_path: Path) -> None:
    path = tmp_path / "Music.json"
    path.write_bytes(
        json.dumps(line_2018()).encode()
        + b"\n"
        + json.dumps(line_2018(asin="\xe9"), ensure_ascii=False).encode("latin-1")
    )
    assert read(path)[1] == FileCounts(kept=1, not_records=Counter({"cannot be read": 1}))


def test_a_review_without_text_is_a_review(tmp_path: Path) -> None:
    line = line_2018(summary=None)
    del line["reviewText"]
    reviews, counts = read(write(tmp_path / "Music.json", line))
    assert reviews.lengths.tolist() == [0]
    assert counts == FileCounts(kept=1)


def test_reviews_outside_the_declared_days_are_left_out_whatever_the_slice(tmp_path: Path) -> None:
    times = [FIRST_DAY_SECONDS + seconds for seconds in (-1, 0, 10 * SECONDS_PER_DAY - 1, 10 * SECONDS_PER_DAY)]
    path = write(tmp_path / "Music.json", *(line_2018(unixReviewTime=time) for time in times))
    found = opened(path)
    assert found.all.time.tolist() == times[1:3]
    assert found.report.of(str(path)) == FileCounts(kept=2, outside_days=2)


def test_exact_copies_are_left_out_in_all_files_unless_they_are_to_be_kept(tmp_path: Path) -> None:
    line = line_2023()
    others = [
        line_2023(**{name: value}) for name, value in (("text", "a"), ("rating", 5), ("timestamp", 1356998401000))
    ]
    variant = line_2023(asin="V2")  # the same product
    write(tmp_path / "Music.json", line, *others, line, variant, line)
    write(tmp_path / "Office.json", line, line_2023(user_id="U2"))
    found = opened(tmp_path)
    assert len(found.all) == 5
    assert found.report.of(str(tmp_path / "Music.json")) == FileCounts(kept=4, exact_copies=3)
    assert found.report.of(str(tmp_path / "Office.json")) == FileCounts(kept=1, exact_copies=1)
    assert len(opened(tmp_path, keep_copies=True).all) == 9


def test_html_becomes_text_before_it_becomes_words(tmp_path: Path) -> None:
    marked = (
        "&#34;Don&#39;t&#34; buy &amp; return&nbsp;it<br />great &quot;song&quot;<br />bad [[VIDEOID:abc1]] a &lt;3"
    )
    lines = line_2018(reviewText=marked, summary=""), line_2023(text=marked, title="")
    expected = ["don", "t", "buy", "return", "it", "great", "song", "bad", "a"]
    assert words(read(write(tmp_path / "Music.json", *lines))[0]) == [
        word if word in english.ids() else "UNK" for word in expected
    ]
    assert opened(tmp_path).content.metadata["tokeniser"] != record.of_plain_text().encoding.tokeniser


@pytest.mark.parametrize(
    ("line", "look"),
    [
        (str(line_2018()), "looks like Python dictionaries, not JSON lines; write each line again as json.dumps"),
        ("[" + json.dumps(line_2023()) + ",", "looks like one JSON array, not JSON lines; write one record a line"),
        ("reviewerID,asin", "has not one line that is an object with a column of the schema; write one JSON object a"),
        (json.dumps({"stars": 5}), "has not one line that is an object with a column of the schema; write one JSON"),
    ],
)
def test_a_file_without_a_single_review_is_refused_with_what_is_read(tmp_path: Path, line: str, look: str) -> None:
    path = write(tmp_path / "Music.jsonl", line, line)
    with pytest.raises(errors.CorruptData) as caught:
        opened(path)
    assert str(caught.value).startswith(f"source: {path} {look}")
    assert str(caught.value).endswith(
        "with reviewerID or user_id, unixReviewTime or timestamp, overall or rating, parent_asin or asin, "
        "summary or title, reviewText or text"
    )


def test_a_file_whose_times_are_in_another_unit_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "Music.jsonl", line_2023(timestamp=FIRST_DAY_SECONDS), line_2023(timestamp=1))
    with pytest.raises(errors.CorruptData, match=f"not one value of column .* of {path} is a time in s or ms since"):
        opened(path)


def test_what_follows_the_data_of_a_gzip_file_is_left_out_with_a_warning(tmp_path: Path) -> None:
    path = tmp_path / "trail.jsonl.gz"
    path.write_bytes(gzip.compress(json.dumps(line_2023()).encode()) + b"garbage")
    found = opened(path)
    assert len(found.all) == 1
    assert found.warnings == [f"{path}: ignored what follows the compressed data"]


def test_a_folder_gives_a_category_for_each_file_also_for_one_without_reviews(tmp_path: Path) -> None:
    for name in ("Office.json", "Music.jsonl.gz", "notes.txt"):
        text = json.dumps(line_2018(asin=name)).encode()
        (tmp_path / name).write_bytes(gzip.compress(text) if name.endswith("gz") else text)
    write(tmp_path / "Empty.json")
    found = opened(tmp_path)
    assert found.content.metadata["categories"] == ("Empty", "Music", "Office")
    assert sorted(found.all.category.tolist()) == [1, 2]


def test_sources_without_files_of_reviews_are_refused(tmp_path: Path) -> None:
    with pytest.raises(errors.NotFound, match="missing does not exist"):
        opened(tmp_path / "missing")
    with pytest.raises(errors.InvalidInput, match="has no file that ends in one of"):
        opened(tmp_path)


def test_the_report_for_the_owner_is_readable_by_the_owner_alone(tmp_path: Path) -> None:
    path = write(
        tmp_path / "Music.json", line_2018(), line_2018(), "bad", line_2018(unixReviewTime=FIRST_DAY_SECONDS - 1)
    )
    files = opened(path)
    files.report.write(tmp_path / "report.json")
    assert (tmp_path / "report.json").stat().st_mode & 0o777 == 0o600
    written = json.loads((tmp_path / "report.json").read_text())
    counts = {"kept": 1, "exact_copies": 1, "outside_days": 1, "not_records": {"cannot be read": 1}, "clamped": {}}
    assert written["files"] == {str(path): counts}
    assert "publish nothing" in written["notice"]
    assert "kept" not in f"{files.report!r} {files.report.of(str(path))!r}"


def test_text_becomes_marked_tokens_of_bounded_length() -> None:
    long = " ".join(["the"] * 300)
    made = record.columns([record.Record("u", "p", "c", 5, 0, long, "The qzxv. THE")], ["c"])
    the = english.ids()["the"]
    assert made.summary_length.tolist() == [16]
    assert made.tokens[:2].tolist() == [BOS, the]
    assert made.tokens[16:].tolist() == [BOS, the, UNK, the, EOS]


def test_the_word_list_is_public_ranked_and_distinct() -> None:
    assert len(set(english.words())) == english.SIZE
    assert english.words()[0] == "the"
    assert english.digest().startswith("sha256:")


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
    days = Slice(-6000, 6000)
    found = opened(SAMPLE, days=days)
    assert len(found.content.metadata["categories"]) == 9
    assert len(found.all) == 19_026
    assert not any(counts.not_records or counts.outside_days for counts in found.report.files.values())
