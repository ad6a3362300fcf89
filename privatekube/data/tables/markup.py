"""HTML as plain text."""

from __future__ import annotations

import html
import re

_TAG = re.compile(r"</?[A-Za-z][^<>]*>")


def plain(text: str) -> str:
    """Return a text without tags, its entities as the characters that they stand for.

    >>> plain("good<br />&quot;song&quot; &lt;3")
    'good "song" <3'
    """
    return html.unescape(_TAG.sub(" ", text)) if "<" in text or "&" in text else text
