"""Parts: cutting loses nothing, no piece is too long, and layout and code stay in place when the pieces are joined again."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.core.parts import Piece, cut, joined, sentences, spoken

quick = settings(max_examples=200, deadline=None, derandomize=True)

words = st.text(alphabet="abAB12。，.!?:;`~-*·中文 \t", min_size=1, max_size=12)
texts = st.lists(words | st.sampled_from(["\n", "\n\n", "```\ncode here.\n```", "- ", "1. ", "\u3000", "Dr. "]), max_size=14).map(
    "".join
)


@quick
@given(texts | st.text(), st.integers(1, 30))
def test_pieces_are_the_text(text: str, limit: int) -> None:
    """Joined as they are, the pieces of any text are the text; what is spoken fits the limit, without white space at its ends."""
    pieces = cut(text, limit)
    assert "".join(piece.text for piece in pieces) == text
    for piece in pieces:
        assert piece.text
        if piece.spoken:
            assert len(piece.text) <= limit and piece.text == piece.text.strip()


@quick
@given(texts, st.integers(1, 30), st.sampled_from(["en", "zh"]))
def test_joining_keeps_everything_but_blanks(text: str, limit: int, language: str) -> None:
    """The same texts put back give the text, but for blanks between the sentences of one line; every line break is in place."""
    pieces = cut(text, limit)
    again = joined(pieces, spoken(pieces), language)
    assert "".join(again.split()) == "".join(text.split())
    assert again.count("\n") == text.count("\n")


@quick
@given(texts, st.integers(1, 30))
def test_joining_takes_each_text_in_its_place(text: str, limit: int) -> None:
    """Each translation lands where its piece stood, and what is not spoken is left alone."""
    pieces = cut(text, limit)
    marked = joined(pieces, [f"<{n}>" for n in range(len(spoken(pieces)))], "en")
    assert [int(part.split(">")[0]) for part in marked.split("<")[1:]] == list(range(len(spoken(pieces))))
    for piece in pieces:
        assert piece.spoken or piece.text in marked


def test_a_short_text_is_one_piece() -> None:
    """Lines and paragraphs that fit go together: a call for each would cost the most and know the least."""
    text = "One. Two.\n\n- three\n- four"
    assert cut(text, 100) == [Piece(text, True)]


@pytest.mark.parametrize(
    ("text", "limit", "expected"),
    [
        ("First one. Second one.\n\nThird one.", 25, ["First one. Second one.", "Third one."]),
        ("- first item\n- second item", 15, ["- first item", "- second item"]),
        ("One is here. Two is here. Three.", 26, ["One is here. Two is here.", "Three."]),
        ("他来了。她走了！我们呢？", 8, ["他来了。她走了！", "我们呢？"]),
        ("He said “No.” She left.", 16, ["He said “No.”", "She left."]),
        ("It cost 3.5 dollars. Cheap.", 21, ["It cost 3.5 dollars.", "Cheap."]),
        ("Ask Dr. Vale today. She knows.", 22, ["Ask Dr. Vale today.", "She knows."]),
        ("一二三四，五六七八", 6, ["一二三四，", "五六七八"]),
        ("so many words in this", 9, ["so many", "words in", "this"]),
        ("abcdefgh", 3, ["abc", "def", "gh"]),
    ],
)
def test_cuts_lie_at_the_best_place_there_is(text: str, limit: int, expected: list[str]) -> None:
    """Paragraphs, then lines, sentences, clauses, words; a word that is too long is cut anywhere. Pieces are long."""
    assert spoken(cut(text, limit)) == expected


def test_code_blocks_are_not_spoken() -> None:
    """A fenced block stays as it is, wherever it stands; a fence that is never closed is prose."""
    text = "Run this:\n\n```sh\nls -l. Then\n```\n\nDone."
    pieces = cut(text, 100)
    assert spoken(pieces) == ["Run this:", "Done."]
    assert joined(pieces, ["运行：", "完成。"], "zh") == "运行：\n\n```sh\nls -l. Then\n```\n\n完成。"
    assert spoken(cut("```\nopen", 100)) == ["```\nopen"]


def test_a_language_decides_what_stands_between_sentences() -> None:
    """Chinese sentences of one line touch, English ones have a blank between them; line breaks are the same in both."""
    chinese, english = cut("他来了。她走了！\n\n我们呢？", 5), cut("He came. She left.\n\nAnd we?", 10)
    assert joined(chinese, ["He came.", "She left!", "And we?"], "en") == "He came. She left!\n\nAnd we?"
    assert joined(english, ["他来了。", "她走了。", "我们呢？"], "zh") == "他来了。她走了。\n\n我们呢？"
    assert joined(english, ["Él vino. ", " Ella se fue.", "¿Y nosotros?"], "es") == "Él vino. Ella se fue.\n\n¿Y nosotros?"


def test_the_wrong_number_of_texts_is_refused() -> None:
    """A batch that lost an item must not shift the others."""
    pieces = cut("One. Two.", 5)
    for texts in (["a"], ["a", "b", "c"]):
        with pytest.raises(ValueError, match="texts for 2 pieces"):
            joined(pieces, texts, "en")


def test_sentences() -> None:
    """A sentence ends with its mark and the quotation marks after it, or with its line."""
    assert sentences("One is. Two is!\n- three\n\n“四。”五？") == ["One is.", "Two is!", "- three", "“四。”", "五？"]
