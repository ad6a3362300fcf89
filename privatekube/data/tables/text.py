"""Cut texts of any language into tokens of a public vocabulary, which is never read off private data."""

from __future__ import annotations

import hashlib
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
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


_BETWEEN = "\0"
"""What is put between texts that are cut into words together."""
_CHARACTERS = _WordCharacters()


def words(text: str) -> list[str]:
    """Return the words of a text: runs of letters, marks and numbers of any script, in one form and case.

    Languages that do not put spaces between words need a tokenizer instead.

    >>> words("L'Été de 7 ans: हिन्दी STRASSE straße")
    ['l', 'été', 'de', '7', 'ans', 'हिन्दी', 'strasse', 'strasse']
    """
    return _normal(text, _CHARACTERS).split()


def _normal(text: str, characters: _WordCharacters) -> str:
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold()).translate(characters)


@dataclass(frozen=True)
class Tokeniser:
    """Turns texts into token ids.

    Args:
        declared: what is public about it.
        encode: returns the token ids of each text.
    """

    declared: Words
    encode: Callable[[Sequence[str]], Tokens]

    def tokens(self, texts: Sequence[str]) -> Tokens:
        """Return texts as token ids, each cut at the declared length."""
        whole = self.encode(texts)
        places = np.arange(len(whole.ids)) - np.repeat(whole.offsets[:-1], whole.lengths)
        lengths = np.minimum(whole.lengths, self.declared.tokens)
        return Tokens(whole.ids[places < self.declared.tokens], ragged.offsets_of(lengths))


@dataclass(frozen=True)
class _Rule:
    """How texts are cut into words.

    Args:
        normal: returns a text, not of ASCII alone, in the form that the words have.
        is_of_word: whether each byte is of words; the one of `_BETWEEN` is not, nor is a capital letter of ASCII.
    """

    normal: Callable[[str], str]
    is_of_word: Callable[[int], bool]

    def ids(self, known: Mapping[str, int]) -> Callable[[Sequence[str]], Tokens]:
        """Return what makes texts ids of known words, all texts at once; each pass is one of C over all bytes."""
        vocabulary = pa.array(known, pa.large_string())
        ids_in_order = np.array([*known.values(), UNK], INDEX)
        lower = bytes(range(256)).lower()
        of_word = bytes(self.is_of_word(code) for code in lower)
        between = bytes(code for code in range(256) if not of_word[code])

        def encode(texts: Sequence[str]) -> Tokens:
            if not texts:
                return Tokens(np.empty(0, INDEX), ragged.offsets_of(np.empty(0, np.int64)))
            plain = [text if text.isascii() else self.normal(text) for text in texts]
            data = f"{_joined(plain)}{_BETWEEN}".encode(errors="replace")
            flags = np.frombuffer(data.translate(of_word), np.bool_)
            changes = np.flatnonzero(np.diff(flags, prepend=False))  # the last byte is of no word
            begins, ends = changes[::2], changes[1::2]
            buffers = [
                None,
                pa.py_buffer(ragged.offsets_of(ends - begins)),
                pa.py_buffer(data.translate(lower, between)),
            ]
            found = pa.Array.from_buffers(pa.large_string(), len(begins), buffers)
            rank = pc.index_in(found, value_set=vocabulary).fill_null(len(known))
            until = np.searchsorted(begins, np.flatnonzero(np.frombuffer(data, np.uint8) == 0))
            return Tokens(ids_in_order[rank.to_numpy(zero_copy_only=False)], np.concatenate([[0], until]))

        return encode


def _joined(texts: Sequence[str]) -> str:
    joined = _BETWEEN.join(texts)
    if joined.count(_BETWEEN) == len(texts) - 1:
        return joined
    return _BETWEEN.join([text.replace(_BETWEEN, " ") for text in texts])


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
    return Tokeniser(
        declared, _Rule(str.lower, lambda code: chr(code).isascii() and chr(code).isalpha()).ids(english.ids())
    )


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
    rule = _Rule(lambda text: _normal(text, _CHARACTERS), lambda code: not chr(code).isascii() or chr(code).isalnum())
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

    def encode(texts: Sequence[str]) -> Tokens:
        encoded = [text.ids for text in rule.encode_batch(list(texts), add_special_tokens=False)]
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
