"""Synthetic reviews: deterministic in (seed, day), shaped like real ones, and no easier to learn.

Categories have their published shares, stars are skewed, the numbers of reviews by user are heavy-tailed, words are
Zipf-distributed over the public word list. Some of a review's words come from the words of its category and some from
those of its sentiment; the shares vary from review to review, so that some reviews stay ambiguous.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from blocks.record import Record
from privatekube.data.columns import FIRST_DAY_SECONDS, SECONDS_PER_DAY
from privatekube.data.tables import english

CATEGORIES = (
    *("automotive", "books", "cds", "clothing", "games", "groceries", "home", "movies", "pets", "sports", "tools"),
)
SHARES = np.array([0.030, 0.413, 0.013, 0.203, 0.032, 0.019, 0.120, 0.048, 0.037, 0.050, 0.036])
STARS = np.array([0.07, 0.06, 0.10, 0.18, 0.59])
REVIEWS_A_DAY = 2000
USERS, PRODUCTS = 40_000, 8_000

COMMON_WORDS = 2_000
"""How many words reviews draw from: the first ranks of the public list."""

TOPIC_WORDS, SENTIMENT_WORDS = 60, 40
_FIRST_TOPIC_RANK = 120
_TOPICAL, _SENTIMENTAL = 0.333, 0.133
"""Maximum share of a review's words that come from its category, and from its stars."""


def reviews_of_day(day: int, seed: int) -> Iterator[Record]:
    """Generate about 2,000 reviews of one day.

    Args:
        day: counted from 2013-01-01.
        seed: another seed gives another dataset.
    """
    generator = np.random.Generator(np.random.Philox(key=[seed & (2**64 - 1), day & (2**64 - 1)]))
    words, common = english.words(), _zipf(COMMON_WORDS, 1.05)
    topics, sentiments = _topic_and_sentiment_words()
    for _ in range(generator.poisson(REVIEWS_A_DAY)):
        category = int(generator.choice(len(CATEGORIES), p=SHARES / SHARES.sum()))
        stars = int(generator.choice(5, p=STARS)) + 1
        length = min(int(generator.lognormal(3.5, 0.8)) + 3, 180)
        drawn = _words(generator, length + 4, topics[category], sentiments[stars == 5], common)
        text = [words[rank] for rank in drawn]
        yield Record(
            user=f"user-{_heavy_tailed(generator, USERS)}",
            product=f"{CATEGORIES[category]}-{_heavy_tailed(generator, PRODUCTS)}",
            category=CATEGORIES[category],
            stars=stars,
            time=FIRST_DAY_SECONDS + day * SECONDS_PER_DAY + int(generator.integers(SECONDS_PER_DAY)),
            summary=" ".join(text[:4]),
            text=" ".join(text[4:]),
        )


def _words(
    generator: np.random.Generator,
    length: int,
    topic: np.ndarray,
    sentiment: np.ndarray,
    common: np.ndarray,
) -> np.ndarray:
    """Return the ranks of `length` words: common ones, and some of the review's topic and sentiment."""
    topical = generator.beta(1.2, 3.0) * _TOPICAL
    sentimental = generator.beta(1.2, 3.0) * _SENTIMENTAL
    kind = generator.random(length)
    drawn = generator.choice(COMMON_WORDS, size=length, p=common)
    topical_words = generator.choice(topic, size=length, p=_zipf(len(topic), 0.7))
    mood = generator.choice(sentiment, size=length, p=_zipf(len(sentiment), 0.7))
    drawn = np.where(kind < topical, topical_words, drawn)
    return np.where(kind > 1 - sentimental, mood, drawn)


def _topic_and_sentiment_words() -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Return the ranks of the words of each category, and of other and five-star reviews; independent of the seed."""
    generator = np.random.Generator(np.random.Philox(key=[0, 0]))
    pool = generator.permutation(np.arange(_FIRST_TOPIC_RANK, COMMON_WORDS))
    topics = [pool[i * TOPIC_WORDS : (i + 1) * TOPIC_WORDS] for i in range(len(CATEGORIES))]
    rest = pool[len(CATEGORIES) * TOPIC_WORDS :]
    return topics, [rest[:SENTIMENT_WORDS], rest[SENTIMENT_WORDS : 2 * SENTIMENT_WORDS]]


def _zipf(count: int, exponent: float) -> np.ndarray:
    weights: np.ndarray = 1 / np.arange(1, count + 1) ** exponent
    return np.asarray(weights / weights.sum())


def _heavy_tailed(generator: np.random.Generator, count: int) -> int:
    """Draw a number below `count`; small ones are much more likely."""
    return int(count * generator.random() ** 3)
