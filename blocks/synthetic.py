"""Synthetic reviews: deterministic in (seed, day), shaped like real ones, and no easier to learn.

Categories have their published shares, stars are skewed, the numbers of reviews by user are heavy-tailed, words are
Zipf-distributed over the public word list. Some of a review's words come from the words of its category and some from
those of its sentiment; the shares vary from review to review, so that some reviews stay ambiguous.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from blocks.record import Record
from privatekube.data import published_format
from privatekube.data.columns import FIRST_DAY_SECONDS, SECONDS_PER_DAY
from privatekube.data.tables import english

CATEGORIES = published_format.CATEGORIES
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


@dataclass(frozen=True, eq=False, slots=True)
class Choice:
    """Values and how likely each is; draws are those of numpy's `Generator.choice`, which checks them at every call.

    Args:
        values: int [N].
        cumulative: float64 [N], rising to 1.
    """

    values: np.ndarray
    cumulative: np.ndarray

    @classmethod
    def of(cls, probabilities: np.ndarray) -> Choice:
        """Return a choice of the numbers below N, with N probabilities."""
        cumulative = probabilities.cumsum()
        return cls(np.arange(len(probabilities)), cumulative / cumulative[-1])

    @classmethod
    def zipf(cls, values: np.ndarray, exponent: float) -> Choice:
        """Return a choice of values, the first of which are the likeliest."""
        weights = 1 / np.arange(1, len(values) + 1) ** exponent
        return replace(cls.of(weights / weights.sum()), values=values)

    def draw(self, generator: np.random.Generator, count: int) -> np.ndarray:
        """Return that many independent draws."""
        drawn: np.ndarray = self.values[self.cumulative.searchsorted(generator.random(count), side="right")]
        return drawn


def reviews_of_day(day: int, seed: int) -> Iterator[Record]:
    """Generate about 2,000 reviews of one day.

    Args:
        day: counted from 2013-01-01.
        seed: another seed gives another dataset.
    """
    generator = np.random.Generator(np.random.Philox(key=[seed & (2**64 - 1), day & (2**64 - 1)]))
    words, common = english.words(), Choice.zipf(np.arange(COMMON_WORDS), 1.05)
    topics, sentiments = _topic_and_sentiment_words()
    categories, star_counts = Choice.of(SHARES / SHARES.sum()), Choice.of(STARS)
    for _ in range(generator.poisson(REVIEWS_A_DAY)):
        (category,), (stars,) = categories.draw(generator, 1), star_counts.draw(generator, 1) + 1
        length = min(int(generator.lognormal(3.5, 0.8)) + 3, 180)
        drawn = _words(generator, length + 4, topics[category], sentiments[int(stars == 5)], common)
        text = [words[rank] for rank in drawn.tolist()]
        yield Record(
            user=f"user-{_heavy_tailed(generator, USERS)}",
            product=f"{CATEGORIES[category]}-{_heavy_tailed(generator, PRODUCTS)}",
            category=CATEGORIES[category],
            stars=int(stars),
            time=FIRST_DAY_SECONDS + day * SECONDS_PER_DAY + int(generator.integers(SECONDS_PER_DAY)),
            summary=" ".join(text[:4]),
            text=" ".join(text[4:]),
        )


def _words(
    generator: np.random.Generator,
    length: int,
    topic: Choice,
    sentiment: Choice,
    common: Choice,
) -> np.ndarray:
    """Return the ranks of `length` words: common ones, and some of the review's topic and sentiment."""
    topical = generator.beta(1.2, 3.0) * _TOPICAL
    sentimental = generator.beta(1.2, 3.0) * _SENTIMENTAL
    kind = generator.random(length)
    drawn = common.draw(generator, length)
    topical_words = topic.draw(generator, length)
    mood = sentiment.draw(generator, length)
    drawn = np.where(kind < topical, topical_words, drawn)
    return np.where(kind > 1 - sentimental, mood, drawn)


@functools.cache
def _topic_and_sentiment_words() -> tuple[list[Choice], list[Choice]]:
    """Return the ranks of the words of each category, and of other and five-star reviews; independent of the seed."""
    generator = np.random.Generator(np.random.Philox(key=[0, 0]))
    pool = generator.permutation(np.arange(_FIRST_TOPIC_RANK, COMMON_WORDS))
    topics = [pool[i * TOPIC_WORDS : (i + 1) * TOPIC_WORDS] for i in range(len(CATEGORIES))]
    rest = pool[len(CATEGORIES) * TOPIC_WORDS :]
    sentiments = rest[:SENTIMENT_WORDS], rest[SENTIMENT_WORDS : 2 * SENTIMENT_WORDS]
    return [Choice.zipf(words, 0.7) for words in topics], [Choice.zipf(words, 0.7) for words in sentiments]


def _heavy_tailed(generator: np.random.Generator, count: int) -> int:
    """Draw a number below `count`; small ones are much more likely."""
    return int(count * generator.random() ** 3)
