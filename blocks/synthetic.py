"""Synthetic reviews: deterministic in (seed, day), shaped like real ones, and no easier to learn.

Categories have their published shares, stars are skewed, users heavy-tailed, words Zipf-distributed over the public
word list. A share of a review's words comes from its category's own words, a share from its sentiment's; the shares
vary from review to review, so that short or bland reviews stay ambiguous.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from blocks import vocabulary
from blocks.record import Record
from privatekube.data.block_file import FIRST_DAY_SECONDS, SECONDS_PER_DAY

CATEGORIES = (
    *("automotive", "books", "cds", "clothing", "games", "groceries", "home", "movies", "pets", "sports", "tools"),
)
SHARES = np.array([0.030, 0.413, 0.013, 0.203, 0.032, 0.019, 0.120, 0.048, 0.037, 0.050, 0.036])
STARS = np.array([0.07, 0.06, 0.10, 0.18, 0.59])
REVIEWS_A_DAY = 2000
USERS, PRODUCTS = 40_000, 8_000

COMMON_WORDS = 2_000
"""Words that reviews draw from: ranks of the public list."""

TOPIC_WORDS, SENTIMENT_WORDS = 60, 40
_FIRST_TOPIC_RANK = 120
_TOPICAL, _SENTIMENTAL = 0.333, 0.133
"""At most this share of a review's words comes from its category, and from its stars."""


def reviews_of_day(day: int, seed: int) -> Iterator[Record]:
    """About 2,000 reviews of one day.

    Args:
        day: counted from 2013-01-01.
        seed: another seed, another dataset.
    """
    chance = np.random.Generator(np.random.Philox(key=[seed & (2**64 - 1), day & (2**64 - 1)]))
    words, common = vocabulary.words(), _zipf(COMMON_WORDS, 1.05)
    topics, sentiments = _own_words()
    for _ in range(chance.poisson(REVIEWS_A_DAY)):
        category = int(chance.choice(len(CATEGORIES), p=SHARES / SHARES.sum()))
        stars = int(chance.choice(5, p=STARS)) + 1
        length = min(int(chance.lognormal(3.5, 0.8)) + 3, 180)
        drawn = _words(chance, length + 4, topics[category], sentiments[stars == 5], common)
        text = [words[rank] for rank in drawn]
        yield Record(
            user=f"user-{_heavy_tailed(chance, USERS)}",
            product=f"{CATEGORIES[category]}-{_heavy_tailed(chance, PRODUCTS)}",
            category=CATEGORIES[category],
            stars=stars,
            time=FIRST_DAY_SECONDS + day * SECONDS_PER_DAY + int(chance.integers(SECONDS_PER_DAY)),
            summary=" ".join(text[:4]),
            text=" ".join(text[4:]),
        )


def _words(
    chance: np.random.Generator,
    length: int,
    topic: np.ndarray,
    sentiment: np.ndarray,
    common: np.ndarray,
) -> np.ndarray:
    """Ranks of `length` words: common ones, and some of the review's topic and sentiment."""
    topical = chance.beta(1.2, 3.0) * _TOPICAL
    sentimental = chance.beta(1.2, 3.0) * _SENTIMENTAL
    kind = chance.random(length)
    drawn = chance.choice(COMMON_WORDS, size=length, p=common)
    own = chance.choice(topic, size=length, p=_zipf(len(topic), 0.7))
    mood = chance.choice(sentiment, size=length, p=_zipf(len(sentiment), 0.7))
    drawn = np.where(kind < topical, own, drawn)
    return np.where(kind > 1 - sentimental, mood, drawn)


def _own_words() -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Ranks of each category's words, and of the words of other and of five-star reviews; the same for every seed."""
    chance = np.random.Generator(np.random.Philox(key=[0, 0]))
    pool = chance.permutation(np.arange(_FIRST_TOPIC_RANK, COMMON_WORDS))
    topics = [pool[i * TOPIC_WORDS : (i + 1) * TOPIC_WORDS] for i in range(len(CATEGORIES))]
    rest = pool[len(CATEGORIES) * TOPIC_WORDS :]
    return topics, [rest[:SENTIMENT_WORDS], rest[SENTIMENT_WORDS : 2 * SENTIMENT_WORDS]]


def _zipf(count: int, exponent: float) -> np.ndarray:
    weights: np.ndarray = 1 / np.arange(1, count + 1) ** exponent
    return np.asarray(weights / weights.sum())


def _heavy_tailed(chance: np.random.Generator, count: int) -> int:
    """A number below `count`; small ones come much more often."""
    return int(count * chance.random() ** 3)
