"""Text: Latin words as rouge_score counts them, one token for each CJK character, estimates on the high side."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rouge_score.tokenize import tokenize

from engine.core.text import collapse, estimate_tokens, has_cjk, reference_words, words

quick = settings(max_examples=60, deadline=None, derandomize=True)

alphabetic = st.text(st.characters(max_codepoint=0x10FF))
"""ASCII, Latin, Greek, Cyrillic, Arabic, Indic scripts: all that comes before the first hangul letter."""
anything = st.text(st.characters())
"""Any text at all, lone surrogates too."""


@quick
@given(alphabetic)
def test_words_of_alphabetic_text_are_those_of_rouge_score(text: str) -> None:
    """Without CJK characters the tokens equal those of rouge_score's own tokenizer."""
    assert words(text) == tokenize(text, None)


@quick
@given(st.text())
def test_reference_words_are_those_of_rouge_score(text: str) -> None:
    """The tokens of parity equal those of rouge_score's own tokenizer, whatever the script."""
    assert reference_words(text) == tokenize(text, None)


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("写一首诗。", ["写", "一", "首", "诗"]),
        ("ひらがなとカタカナー", list("ひらがなとカタカナー")),
        ("한국어, 단어", list("한국어단어")),
        ("人々は〇〇・〆", list("人々は〇〇〆")),
        ("\U00020bb7野家", ["\U00020bb7", "野", "家"]),
        ("用Python3写一个hello_world程序！", ["用", "python3", "写", "一", "个", "hello", "world", "程", "序"]),
        ("NASA's DNA：脱氧核糖核酸", ["nasa", "s", "dna", *"脱氧核糖核酸"]),
    ],
    ids=["ideographs", "kana", "hangul", "iteration marks", "beyond the basic plane", "mixed", "mixed capitals"],
)
def test_every_cjk_character_is_a_token_of_its_own(text: str, tokens: list[str]) -> None:
    """Ideographs, kana and hangul stand alone, Latin words between them stay whole, signs separate."""
    assert words(text) == tokens


@quick
@given(st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E)))
def test_full_width_forms_count_as_their_ascii_twins(text: str) -> None:
    """A text typed in full-width letters has the tokens of the same text in ASCII."""
    wide = "".join("\u3000" if letter == " " else chr(ord(letter) + 0xFEE0) for letter in text)
    assert words(wide) == words(text)


@pytest.mark.parametrize(("text", "tokens"), [("ｶﾞｷﾞ", ["ガ", "ギ"]), ("\uf900", ["\u8c48"]), ("ﬁne x²", ["ne", "x"])])
def test_only_cjk_forms_are_folded(text: str, tokens: list[str]) -> None:
    """Half-width kana and compatibility ideographs are folded; ligatures and raised digits are left to rouge_score's rule."""
    assert words(text) == tokens


@pytest.mark.parametrize(
    ("text", "any_"), [("", False), ("Name a river, “please”…", False), ("é, ж", False), ("5 元", True), ("カ", True)]
)
def test_what_has_a_cjk_character(text: str, any_: bool) -> None:
    """One is enough; quotation marks and accents are none."""
    assert has_cjk(text) is any_


@quick
@given(anything)
def test_any_text_has_words(text: str) -> None:
    """Lone surrogates and all else only separate: a token is a lower-case Latin word or a single character."""
    assert all(len(token) == 1 or re.fullmatch("[a-z0-9]+", token) for token in words(text))


@quick
@given(anything, anything)
def test_an_estimate_grows_with_its_text(text: str, more: str) -> None:
    """An estimate is above zero, and more text never lowers it."""
    assert 0 < estimate_tokens(text) <= estimate_tokens(text + more)


def test_an_estimate_is_on_the_high_side() -> None:
    """English is taken for 3.5 letters a token, CJK for a whole token a character."""
    assert estimate_tokens("a" * 3500) == 1001
    assert estimate_tokens("汉字" * 500) == 1001


@quick
@given(anything)
def test_collapsed_text_has_single_blanks(text: str) -> None:
    """Every run of white space of any kind becomes one blank, and the ends are clean."""
    assert collapse(text) == " ".join(text.split())
