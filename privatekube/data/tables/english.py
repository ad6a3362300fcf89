"""The shipped list of English words behind token ids, and how texts are cut into them; never read off private data."""

from __future__ import annotations

import functools
import hashlib
import re

import wordfreq

from privatekube.data.columns import FIRST_WORD

SIZE = 10_000
TOKENISER = "lower-case [a-z]+"
"""Name of the rule that cuts text into these words."""
_WORD = re.compile(r"[a-z]+")


@functools.cache
def words() -> tuple[str, ...]:
    """Return the most frequent English words of letters a to z, the most frequent first."""
    frequent = wordfreq.top_n_list("en", 2 * SIZE)
    return tuple(word for word in frequent if _WORD.fullmatch(word))[:SIZE]


@functools.cache
def ids() -> dict[str, int]:
    """Return the token id of each word: its rank, after the special tokens."""
    return {word: rank + FIRST_WORD for rank, word in enumerate(words())}


@functools.cache
def digest() -> str:
    """Return `sha256:<hex>` of the list, one word a line."""
    return f"sha256:{hashlib.sha256(chr(10).join(words()).encode()).hexdigest()}"
