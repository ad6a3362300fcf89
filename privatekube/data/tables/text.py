"""Cut texts of any language into tokens of a public vocabulary, which is never read off private data."""

from __future__ import annotations

import hashlib
import unicodedata
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import tokenizers

from privatekube import errors
from privatekube.data import ragged
from privatekube.data.columns import FIRST_WORD, PAD, UNK
from privatekube.data.tables import schema, strings
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


_SPACE = ord(" ")
_EMPTY = PAD
"""What a word without letters is among the ids: no word of a text is padding."""
_CHARACTERS = _WordCharacters()
_RUN = 4_000
"""How many texts are encoded at once: what is made of more does not stay in a processor's cache."""


def words(text: str) -> list[str]:
    """Return the words of a text: runs of letters, marks and numbers of any script, in one form and case.

    Languages that do not put spaces between words need a tokenizer instead.

    >>> words("L'Été de 7 ans: हिन्दी STRASSE straße")
    ['l', 'été', 'de', '7', 'ans', 'हिन्दी', 'strasse', 'strasse']
    """
    return _normal(text).split()


def _normal(text: str) -> str:
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold()).translate(_CHARACTERS)


@dataclass(frozen=True)
class Tokeniser:
    """Turns texts into token ids.

    Args:
        declared: what is public about it.
        encode: returns the token ids of each text.
    """

    declared: Words
    encode: Callable[[pa.LargeStringArray], Tokens]

    def tokens(self, texts: pa.LargeStringArray) -> Tokens:
        """Return texts as token ids, each cut at the declared length; so many at a time that they stay in a cache."""
        runs = [texts.slice(start, _RUN) for start in range(0, len(texts), _RUN)]
        return Tokens.concatenate([self.encode(run).cut(self.declared.tokens) for run in runs])


@dataclass(frozen=True)
class _Rule:
    """How texts are cut into words.

    Args:
        normal: returns a text, not of ASCII alone, in the form that the words have.
        is_of_word: whether each byte is of words; a space is not, nor is a capital letter of ASCII.
    """

    normal: Callable[[str], str]
    is_of_word: Callable[[int], bool]

    def ids(self, known: Iterable[str]) -> Callable[[pa.LargeStringArray], Tokens]:
        """Return what makes texts ids of known words, which begin at FIRST_WORD; each pass is one of C over all.

        Arrow looks words up that follow each other without gaps, so each begins with the space before it. Of two spaces
        the first is a word without letters, which is dropped.
        """
        reserved = [b" " if number == _EMPTY else b"" for number in range(FIRST_WORD)]
        vocabulary = pa.array([*reserved, *(b" " + word.encode() for word in known)], pa.large_binary())
        spaced = bytes(code if self.is_of_word(code) else _SPACE for code in bytes(range(256)).lower())

        def encode(texts: pa.LargeStringArray) -> Tokens:
            plain = strings.changed(texts, pc.invert(pc.string_is_ascii(texts)), self.normal)
            offsets, joined = strings.layout(strings.joined(" ", plain))
            data = bytes(joined[: offsets[-1]]).translate(spaced) + b" "
            begins = np.flatnonzero(np.frombuffer(data, np.uint8) == _SPACE)
            buffers = [None, pa.py_buffer(begins), pa.py_buffer(data)]
            spaced_words = pa.Array.from_buffers(pa.large_binary(), len(begins) - 1, buffers)
            ids = pc.index_in(spaced_words, value_set=vocabulary).fill_null(UNK).to_numpy()
            first = np.searchsorted(begins, offsets)
            return Tokens(ids[ids != _EMPTY], first - np.searchsorted(np.flatnonzero(ids == _EMPTY), first))

        return encode


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
    rule = _Rule(str.lower, lambda code: chr(code).isascii() and chr(code).isalpha())
    return Tokeniser(declared, rule.ids(english.words()))


def _of_words(path: Path, most: int) -> Tokeniser:
    content = _read(path)
    try:
        lines = content.decode("utf-8-sig").splitlines()
    except UnicodeDecodeError:
        raise errors.invalid("words", str(path), "is not UTF-8 text", "write one word a line") from None
    known = dict.fromkeys(word for line in lines for word in words(line))
    if not known:
        raise errors.invalid("words", str(path), "has no word", "write one word a line")
    declared = Words(
        tokeniser=UNICODE_WORDS, vocabulary_digest=_digest(content), ids=FIRST_WORD + len(known), tokens=most
    )
    rule = _Rule(_normal, lambda code: not chr(code).isascii() or chr(code).isalnum())
    return Tokeniser(declared, rule.ids(known))


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

    def encode(texts: pa.LargeStringArray) -> Tokens:
        encoded = [text.ids for text in rule.encode_batch(texts.to_pylist(), add_special_tokens=False)]
        found = np.array([token for row in encoded for token in row], INDEX)
        return Tokens(found, ragged.offsets_of(np.array([len(row) for row in encoded], np.int64)))

    return Tokeniser(declared, encode)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise local_files.translation(error, path) from error


def _digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"
