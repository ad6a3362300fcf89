"""How much words count in a bag of words: rare ones more, by their rank in the public word list; no data is read."""

from __future__ import annotations

import torch

from privatekube.data.columns import FIRST_WORD

_MOST_FREQUENT = 0.1
"""Share of the most frequent word in English text; that of rank r is about this over r (Zipf 1949)."""

_TEXT_LENGTH = 100
"""Words of a text, of which the frequency of a word in texts is computed."""


def alike(vocab_size: int) -> torch.Tensor:
    """Return 1 for each word, and 0 for special tokens and unknown words: float32 [V], where V is `vocab_size`."""
    return (torch.arange(vocab_size) >= FIRST_WORD).float()


def inverse_frequencies(vocab_size: int) -> torch.Tensor:
    """Return the inverse document frequency of each token, float32 [V]: minus the log of the share of texts with it.

    Special tokens and unknown words, which are of any frequency, have 0.

    Args:
        vocab_size: V.

    Source: Sparck Jones, "A statistical interpretation of term specificity" (1972).

    >>> [round(weight, 2) for weight in inverse_frequencies(7).tolist()]
    [0.0, 0.0, 0.0, 0.0, 0.0, 0.01, 0.03]
    """
    ranks = torch.arange(1, max(1, vocab_size - FIRST_WORD + 1), dtype=torch.float64)
    in_a_text = -torch.expm1(_TEXT_LENGTH * torch.log1p(-_MOST_FREQUENT / ranks))
    weights = torch.zeros(vocab_size, dtype=torch.float64)
    weights[FIRST_WORD:] = -in_a_text.log()
    return weights.float()
