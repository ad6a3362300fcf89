"""Plain text of users: without characters that control how a terminal or a page shows it."""

from __future__ import annotations

import unicodedata

NOT_STATED = "not stated"
"""How a fact is shown, and given as an argument, that nobody states."""
_CONTROLS = frozenset(("Cc", "Cf", "Cs", "Co", "Zl", "Zp"))
"""Categories of characters that control how text is shown, or whose look is not defined."""


def is_plain(text: str) -> bool:
    """Return whether a text is plain, and of one line."""
    return all(unicodedata.category(character) not in _CONTROLS for character in text)


def escaped(text: str) -> str:
    r"""Return a text in which each character that is not plain is written as its escape.

    >>> escaped("ann\x1b[2J")
    'ann\\x1b[2J'
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(character if is_plain(character) else repr(character)[1:-1] for character in text)


def stated(text: str) -> str | None:
    """Return what an argument states; None if it says that nothing is stated."""
    return None if text == NOT_STATED else text
