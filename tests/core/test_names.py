"""Names: what is taken for one that a translation kept."""

from __future__ import annotations

import pytest

from engine.core.names import without_names


@pytest.mark.parametrize(
    ("text", "other", "language", "rest"),
    [
        ("问 Anna Vale 或 Paul。", "Ask Anna Vale or Paul.", "zh", "问   或  。"),
        ("Paul和Anna来了。", "Paul and Anna came.", "zh", " 和 来了。"),
        ("J. R. Vale写的。", "J. R. Vale wrote it.", "zh", " 写的。"),
        ("我在 paris。", "I am in paris.", "zh", "我在 paris。"),
        ("我在 Paris。", "I am at home.", "zh", "我在 Paris。"),
        ("Anna llegó.", "Anna came.", "es", "Anna llegó."),
        ("ALL OF IT IS LOST。", "ALL OF IT IS LOST.", "zh", "ALL OF IT IS LOST。"),
        ("", "x", "zh", ""),
    ],
)
def test_names_are_left_out(text: str, other: str, language: str, rest: str) -> None:
    """Capitalised words in foreign letters that both texts have, four in a row at the most."""
    assert without_names(text, other, language) == rest
