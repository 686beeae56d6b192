"""Scripts: letters by language, and simplified against traditional characters, with OpenCC as the judge."""

from __future__ import annotations

import pytest
from opencc import OpenCC

from engine.core.scripts import SIMPLIFIED, TRADITIONAL, letters_of, primary, scripts, share_of, traditional
from tests.triples import load

TEXTS = [triple.source for which in ("tune", "test") for triple in load("zh", which)]


@pytest.mark.parametrize(
    ("language", "text", "letters", "share"),
    [
        ("en", "Café, naïve: 3 words", 14, 1.0),
        ("zh", "用 Git 提交", 3, 0.5),
        ("en", "用 Git 提交", 3, 0.5),
        ("zh-TW", "東京タワー", 2, 0.4),
        ("ja", "東京タワー", 5, 1.0),
        ("ru", "Привет, world", 6, 6 / 11),
        ("ko", "안녕 hello", 2, 2 / 7),
        ("th", "12 + 7 = 19", 0, 0.0),
    ],
)
def test_letters_of_a_language(language: str, text: str, letters: int, share: float) -> None:
    """Letters are counted by the scripts of the language; digits and signs belong to none."""
    assert (letters_of(language, text), share_of(language, text)) == (letters, share)


def test_languages_and_their_scripts() -> None:
    """A tag's region does not matter, and an unknown language is taken to be written in Latin letters."""
    assert primary("ZH-Hant-TW") == "zh"
    assert scripts("zh-TW") == scripts("zh") == ("Han",)
    assert scripts("ja") == ("Han", "Kana")
    assert scripts("sw") == scripts("en") == ("Latin",)


def test_characters_that_only_one_way_of_writing_has() -> None:
    """The tables know the usual pairs, and leave out what both ways share."""
    assert set("国书车学时对说") <= SIMPLIFIED
    assert set("國書車學時對說") <= TRADITIONAL
    assert not set("人山中一后面着") & (SIMPLIFIED | TRADITIONAL)


def test_traditional_is_told_as_opencc_converts() -> None:
    """Texts of ours are simplified, and their conversions traditional, Hong Kong's and Taiwan's ways alike."""
    ways = [OpenCC(way) for way in ("s2t", "s2tw", "s2hk")]
    for text in TEXTS:
        simple = traditional(text)
        assert simple is not None and simple <= 0.1
        for way in ways:
            other = traditional(way.convert(text))
            assert other is not None and other >= 0.9


def test_few_characters_tell_nothing() -> None:
    """Two that only one way has are not enough, three are."""
    assert traditional("山中人説話") is None
    assert traditional("人說國書", least=3) == 1.0
    assert traditional("") is None
    assert traditional("说國書", least=3) == 2 / 3
