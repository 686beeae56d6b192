"""Identification: when a text is taken to be in another language than it should be."""

from __future__ import annotations

import pytest

from engine.core.identification import Guess, foreign
from engine.identify import identify

SPANISH = "El panadero se levanta a las tres y enciende el horno."


@pytest.mark.parametrize(
    ("text", "language", "guess"),
    [
        ("any words", "en", "de"),
        ("nur Wörter", "de", None),
        ("nur Wörter", "de-CH", None),
        ("12 + 7", "en", None),
        ("`code` {name} a@b.org", "en", None),
    ],
)
def test_language_by_an_identifier(text: str, language: str, guess: str | None) -> None:
    """Regions do not matter; a text without words is in no language, and so is one of marks alone."""
    found = foreign(text, language, lambda words: Guess("de", 0.9))
    assert (found.language if found else None) == guess


def test_letters_overrule_an_identifier_in_another_script() -> None:
    """A Chinese text full of English names is Chinese as long as half of its letters are; without them it is what was guessed."""

    def english(text: str) -> Guess:
        return Guess("en", 0.9)

    assert foreign("我们用 Git 提交", "zh", english) is None
    assert foreign("用 TensorFlow 训练", "zh", english) == Guess("en", 0.9)
    assert foreign("Wir sagen nichts", "en", lambda text: Guess("de", 0.4)) == Guess("de", 0.4)


def test_nothing_is_known_without_an_identifier() -> None:
    """Where nobody can tell, nothing is wrong."""
    assert foreign(SPANISH, "en", lambda text: None) is None


def test_the_identifier_that_comes_with_the_product() -> None:
    """It tells the languages that texts are most often in, dialects by their language, and says nothing of nothing."""
    for text, language in [
        (SPANISH, "es"),
        ("The library opens at nine and closes at six.", "en"),
        ("图书馆早上九点开门，晚上八点关门。", "zh"),
        ("圖書館早上九點開門，晚上八點關門。", "zh"),
        ("図書館は朝九時に開きます。", "ja"),
        ("Die Bibliothek öffnet um neun Uhr.", "de"),
        ("La bibliothèque ouvre à neuf heures.", "fr"),
        ("Библиотека открывается в девять часов.", "ru"),
    ]:
        guess = identify(text)
        assert guess is not None and guess.language == language and 0.5 < guess.share <= 1
        assert foreign(text, language, identify) is None
    assert identify("") is None
    assert identify(" \n") is None


def test_the_start_of_a_text_tells_its_language() -> None:
    """What follows a thousand characters is not read: a long text costs no more."""
    assert identify(SPANISH * 20 + "x" * 10) == identify((SPANISH * 20)[:1000])
