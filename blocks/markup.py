"""HTML of a review as plain text."""

from __future__ import annotations

import html
import re

_MARK = re.compile(r"</?[A-Za-z][^<>]*>|\[\[[A-Z]+:[^\[\]]*\]\]")
"""A tag, or Amazon's mark for a video or a link to a product, such as [[VIDEOID:abc]]."""


def plain(text: str) -> str:
    """Return a text without tags, its entities as the characters that they stand for.

    >>> plain("good<br />&quot;song&quot; &lt;3 [[VIDEOID:abc]]")
    'good "song" <3  '
    """
    return html.unescape(_MARK.sub(" ", text))
