"""Text of any language becomes tokens of a public vocabulary."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import tokenizers
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import models, pre_tokenizers

from privatekube import errors
from privatekube.data.tables import english, strings, text
from privatekube.data.tables.schema import Text


@pytest.mark.parametrize(
    ("written", "words"),
    [
        ("L'ÉTÉ à Köln", ["l", "été", "à", "köln"]),
        ("e\u0301te\u0301", ["été"]),
        ("पानी, हिन्दी!", ["पानी", "हिन्दी"]),
        ("Привет-мир 2024", ["привет", "мир", "2024"]),
        ("مرحبا بالعالم", ["مرحبا", "بالعالم"]),
        ("STRASSE straße ﬁn", ["strasse", "strasse", "fin"]),
        ("\N{MATHEMATICAL BOLD CAPITAL A}bc \N{FULLWIDTH LATIN CAPITAL LETTER A}B", ["abc", "ab"]),
        ("", []),
    ],
)
def test_words_are_runs_of_letters_marks_and_numbers_of_any_script(written: str, words: list[str]) -> None:
    assert text.words(written) == words


def test_a_word_list_gives_ids_in_its_order_whatever_its_case_and_form(tmp_path: Path) -> None:
    (tmp_path / "words.txt").write_text("हिन्दी\nE\u0301TE\u0301\n\nété\nköln\n", encoding="utf-8-sig")
    tokeniser = text.tokeniser(Text(words=str(tmp_path / "words.txt"), tokens=3))
    assert tokeniser.declared.ids == 7
    tokens = tokeniser.tokens(strings.of(["été KÖLN other हिन्दी", "", "हिन्दी"]))
    assert tokens.ids.tolist() == [5, 6, 0, 4]
    assert tokens.offsets.tolist() == [0, 3, 3, 4]


@given(texts=st.lists(st.text(st.sampled_from("tT hE.,\n\0Éé"), max_size=8), max_size=6))
def test_english_words_are_runs_of_letters_whatever_is_between_and_around_them(texts: list[str]) -> None:
    tokens = text.tokeniser(Text(words="english", tokens=3)).tokens(strings.of(texts))
    expected = [[english.ids().get(word, 0) for word in re.findall("[a-z]+", one.lower())][:3] for one in texts]
    assert [ids.tolist() for ids in np.split(tokens.ids, tokens.offsets[1:-1])][: len(texts)] == expected


def test_a_file_of_the_library_tokenizers_gives_its_ids_without_padding_or_truncation(tmp_path: Path) -> None:
    rule = tokenizers.Tokenizer(models.WordLevel({"[UNK]": 0, "東京": 1, "へ": 2}, unk_token="[UNK]"))  # noqa: S106 - not a password
    rule.pre_tokenizer = pre_tokenizers.Whitespace()
    rule.enable_padding(length=9)
    rule.enable_truncation(1)
    rule.save(str(tmp_path / "tokenizer.json"))
    tokeniser = text.tokeniser(Text(tokenizer=str(tmp_path / "tokenizer.json"), tokens=2))
    tokens = tokeniser.tokens(strings.of(["東京 へ 行く", "行く"]))
    assert (tokens.ids.tolist(), tokens.offsets.tolist()) == ([1, 2, 0], [0, 2, 3])
    assert (tokeniser.declared.tokeniser, tokeniser.declared.ids) == ("tokenizers", 3)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"\xff\xfe", "words: .* is not UTF-8 text; write one word a line"),
        (b"...\n", "words: .* has no word"),
        (None, "does not exist"),
    ],
)
def test_a_word_list_that_is_none_is_refused(tmp_path: Path, content: bytes | None, expected: str) -> None:
    if content is not None:
        (tmp_path / "words.txt").write_bytes(content)
    with pytest.raises((errors.InvalidInput, errors.NotFound), match=expected):
        text.tokeniser(Text(words=str(tmp_path / "words.txt")))
    (tmp_path / "t.json").write_text("{}")
    with pytest.raises(errors.InvalidInput, match="is not a file of the library tokenizers"):
        text.tokeniser(Text(tokenizer=str(tmp_path / "t.json")))
