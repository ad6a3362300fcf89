"""Cut texts of any language into tokens of a public vocabulary, which is never read off private data."""

from __future__ import annotations

import hashlib
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import tokenizers

from privatekube import errors
from privatekube.data import ragged
from privatekube.data.columns import FIRST_WORD, UNK
from privatekube.data.tables import schema
from privatekube.data.tables.layout import Words
from privatekube.data.tables.schema import Text
from privatekube.data.tables.table import INDEX, Tokens
from privatekube.storage import local_files

UNICODE_WORDS = "words of Unicode letters, marks and numbers; NFKC, case-folded"
OF_HTML = " of HTML as plain text"
"""What is said of a tokeniser whose texts are HTML."""
TOKENIZER = "tokenizers"
"""The tokeniser of a file of that library, whose digest is that of the vocabulary."""


class _WordCharacters(dict[int, str]):
    """For `str.translate`: letters, marks and numbers stay, whatever their script; all else becomes a space."""

    def __missing__(self, code: int) -> str:
        character = chr(code)
        self[code] = character if unicodedata.category(character)[0] in "LMN" else " "
        return self[code]


_CHARACTERS = _WordCharacters()


def words(text: str) -> list[str]:
    """Return the words of a text: runs of letters, marks and numbers of any script, in one form and case.

    Languages that do not put spaces between words need a tokenizer instead.

    >>> words("L'Été de 7 ans: हिन्दी STRASSE straße")
    ['l', 'été', 'de', '7', 'ans', 'हिन्दी', 'strasse', 'strasse']
    """
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold()).translate(_CHARACTERS).split()


@dataclass(frozen=True)
class Tokeniser:
    """Turns texts into token ids.

    Args:
        declared: what is public about it.
        encode: returns the token ids of each text.
    """

    declared: Words
    encode: Callable[[Sequence[str]], list[list[int]]]

    def tokens(self, texts: Sequence[str]) -> Tokens:
        """Return texts as token ids, each cut at the declared length."""
        encoded = [ids[: self.declared.tokens] for ids in self.encode(texts)]
        ids = np.array([token for row in encoded for token in row], INDEX)
        return Tokens(ids, ragged.offsets_of(np.array([len(row) for row in encoded], np.int64)))


def tokeniser(text: Text) -> Tokeniser:
    """Return the tokeniser of a column.

    Raises:
        InvalidInput: the file of the vocabulary cannot be read, or is not one.
    """
    made = _tokeniser(text)
    if text.markup is None:
        return made
    return replace(made, declared=made.declared.model_copy(update={"tokeniser": f"{made.declared.tokeniser}{OF_HTML}"}))


def _tokeniser(text: Text) -> Tokeniser:
    if text.words == schema.ENGLISH:
        return _english(text.tokens)
    if text.words is not None:
        return _of_words(Path(text.words), text.tokens)
    return _of_file(Path(text.tokenizer or ""), text.tokens)


def _english(most: int) -> Tokeniser:
    from privatekube.data.tables import english  # noqa: PLC0415 - its list of words is an extra

    declared = Words(
        tokeniser=english.TOKENISER, vocabulary_digest=english.digest(), ids=FIRST_WORD + english.SIZE, tokens=most
    )
    return Tokeniser(declared, lambda texts: [english.encode(text, most) for text in texts])


def _of_words(path: Path, most: int) -> Tokeniser:
    content = _read(path)
    try:
        lines = content.decode("utf-8-sig").splitlines()
    except UnicodeDecodeError:
        raise errors.invalid("words", str(path), "is not UTF-8 text", "write one word a line") from None
    known: dict[str, int] = {}
    for line in lines:
        for word in words(line):
            known.setdefault(word, FIRST_WORD + len(known))
    if not known:
        raise errors.invalid("words", str(path), "has no word", "write one word a line")
    declared = Words(
        tokeniser=UNICODE_WORDS, vocabulary_digest=_digest(content), ids=FIRST_WORD + len(known), tokens=most
    )
    return Tokeniser(declared, lambda texts: [[known.get(word, UNK) for word in words(text)] for text in texts])


def _of_file(path: Path, most: int) -> Tokeniser:
    content = _read(path)
    try:
        rule = tokenizers.Tokenizer.from_buffer(content)
    except Exception as error:  # tokenizers raises Exception itself
        bound = "is not a file of the library tokenizers"
        raise errors.invalid("tokenizer", str(path), bound, "save one with Tokenizer.save") from error
    rule.no_padding()
    rule.no_truncation()
    ids = max(rule.get_vocab(with_added_tokens=True).values(), default=0) + 1
    declared = Words(tokeniser=TOKENIZER, vocabulary_digest=_digest(content), ids=ids, tokens=most)

    def encode(texts: Sequence[str]) -> list[list[int]]:
        return [encoded.ids for encoded in rule.encode_batch(list(texts), add_special_tokens=False)]

    return Tokeniser(declared, encode)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise local_files.translation(error, path) from error


def _digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"
