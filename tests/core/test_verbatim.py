"""Verbatim: what a translator must leave alone is found, and all else is prose."""

from __future__ import annotations

import pytest

from engine.core.verbatim import MARKS, marks, plain


@pytest.mark.parametrize(
    ("text", "kind", "found"),
    [
        ("See https://a.example.org/b?c=1&d=2#e.", "links", ["https://a.example.org/b?c=1&d=2#e"]),
        ("(see http://a.org/x), or www.b.org!", "links", ["http://a.org/x", "www.b.org"]),
        ("见https://a.org/路径，谢谢", "links", ["https://a.org/"]),
        ("https://a.org/x_(y)", "links", ["https://a.org/x_(y)"]),
        ("write to a.b+c@mail.example.org.", "addresses", ["a.b+c@mail.example.org"]),
        ("@home and a@b", "addresses", []),
        ("run `git  stash`, then ``", "code", ["git stash"]),
        ("```py\nx = 1\n```", "code", ["py x = 1"]),
        ("Dear {name}, {{ due }} ${sum} %s %(user)s <b>hi</b> [CITY] __X__", "placeholders", None),
        ("{not one of them}, 50 % so, a < b > c, [1]", "placeholders", []),
    ],
)
def test_marks_are_found(text: str, kind: str, found: list[str] | None) -> None:
    """Each kind as it is usually written, without the punctuation around it; code without its fences and layout."""
    everything = ["{name}", "{{ due }}", "${sum}", "%s", "%(user)s", "<b>", "</b>", "[CITY]", "__X__"]
    got = sorted(marks(text)[0][kind].elements())
    if kind == "code":
        got = [code.strip("` ") for code in got]
    assert got == sorted(everything if found is None else found)


def test_each_mark_is_of_one_kind() -> None:
    """A link in code is code, a placeholder in a link is the link's; what is said twice is there twice."""
    found, rest = marks("`curl https://a.org` https://a.org/{id} https://a.org/{id} {id} x@a.org")
    assert found == {
        "code": {"`curl https://a.org`": 1},
        "links": {"https://a.org/{id}": 2},
        "placeholders": {"{id}": 1},
        "addresses": {"x@a.org": 1},
    }
    assert rest.split() == []
    assert list(found) == list(MARKS)


def test_plain_is_the_prose() -> None:
    """What belongs to a language is left as it was."""
    assert plain("Ask {name} or a@b.org: run `ls` now.").split() == ["Ask", "or", ":", "run", "now."]
