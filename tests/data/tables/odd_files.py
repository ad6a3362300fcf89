"""Files of reviews with what real ones have: two layouts, HTML, copies, and lines that are not reviews."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import numpy as np

from privatekube.data.columns import FIRST_DAY_SECONDS, SECONDS_PER_DAY

WORDS = [
    "good",
    "The",
    "song",
    "naïve",
    "it's",
    "<br />",
    "&quot;fine&quot;",
    "[[VIDEO:x]]",
    "K",
    "zzzz",
    "7",
    "\u2603",
]
NOT_REVIEWS = [
    b"",
    b"   ",
    b"[1]",
    b'{"reviewerID": "A", "reviewerID": "B", "asin": "P", "overall": 3, "unixReviewTime": 1357000000}',
    b'{"reviewerID": "A", "asin": "P", "overall": 3, "unixReviewTime": 1357000000}{"asin": "P"}',
    b'{"reviewerID": "A", "asin": "P", "overall": Inf, "unixReviewTime": 1357000000}',
    b'{"reviewerID": "A", "asin": "P", "overall": 3, "unixReviewTime": 1357000000, "x": -NaN}',
    b'{"reviewerID": "A", "asin": "P", "overall": 3, "unixReviewTime": 1357000000, "summary": "\xff"}',
    b'{"reviewerID": "A", "asin": "P", "overall": 9, "unixReviewTime": 1357000000}',
    b'{"reviewerID": "A", "asin": "P", "overall": 3, "unixReviewTime": 1357000000, "summary": 7}',
    b'{"reviewerID": "A", "asin": "P", "overall": 3, "unixReviewTime": 1357000000, "summary": true}',
    b'{"reviewerID": "", "asin": "P", "overall": 3, "unixReviewTime": 1357000000}',
    b'{"reviewerID": "A", "asin": "P", "overall": "3", "unixReviewTime": "1357000000"}',
    b'{"reviewerID": 17, "asin": 5.0, "overall": 3, "unixReviewTime": 1357000000.0}',
    b'{"reviewerID": "A", "asin": "P", "overall": 3, "unixReviewTime": 1357000000, "summary": "\\ud800"}',
    b'{"reviewerID": "A", "asin": "P\\u0000", "overall": 3, "unixReviewTime": 1357000000, "summary": "a\\u0000b"}',
    b'{"reviewerID": null, "asin": "P", "overall": 3, "unixReviewTime": 1357000000}',
    b'\xef\xbb\xbf{"reviewerID": "A", "asin": "P", "overall": 3, "unixReviewTime": 1357000000}',
    b'{"user_id": "A", "asin": "P", "rating": 3, "timestamp": 1357000000999, "title": null, "text": "late"}\r',
]


def write(folder: Path) -> Path:
    """Write a plain file of the layout of 2018 and a compressed one of 2023; some reviews are in both."""
    folder.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(5)
    reviews = [_review(random) for _ in range(700)]
    reviews += [reviews[int(random.integers(700))] for _ in range(60)]
    books = [json.dumps(review).encode() for review in reviews[:450]]
    music = [json.dumps(_in_2023(review)).encode() for review in reviews[400:]]
    for place, line in enumerate(NOT_REVIEWS):
        books.insert(200 + 7 * place, line)
        music.insert(11 * place, line)
    (folder / "Books.jsonl").write_bytes(b"\n".join(books))
    (folder / "Music.jsonl.gz").write_bytes(gzip.compress(b"\r\n".join(music) + b"\n"))
    return folder


def _review(random: np.random.Generator) -> dict[str, Any]:
    def text(most: int) -> str:
        return " ".join(random.choice(WORDS, int(random.integers(most))).tolist())

    return {
        "overall": float(random.integers(1, 6)),
        "reviewerID": f"U{random.integers(40)}",
        "asin": f"P{random.integers(30)}",
        "style": {"Format:": [" Kindle", {"a": 1}]},
        "unixReviewTime": FIRST_DAY_SECONDS + int(random.integers(-3, 63)) * SECONDS_PER_DAY,
        "summary": text(6),
        "reviewText": text(40),
    }


def _in_2023(review: dict[str, Any]) -> dict[str, Any]:
    return {
        "rating": int(review["overall"]),
        "title": review["summary"],
        "text": review["reviewText"],
        "user_id": review["reviewerID"],
        "asin": "V",
        "parent_asin": review["asin"],
        "timestamp": review["unixReviewTime"] * 1000 + 7,
    }
