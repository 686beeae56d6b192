"""Parts: a long text cut into pieces that a translator takes, and joined again with its layout in place.

Pure. Cutting loses nothing: the pieces of a text, one after the other, are the text.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from engine.core.scripts import scripts

_FENCED = re.compile(r"^[ \t]*(```+|~~~+)[^\n]*\n(?:.*\n)*?[ \t]*\1[ \t]*$", re.MULTILINE)
_CUTS = (
    re.compile(r"\n[ \t]*\n\s*"),
    re.compile(r"\n"),
    re.compile(
        r"[。！？…]+[”’」』）)\"']*\s*"
        r"|(?<!\bMr)(?<!\bMs)(?<!\bDr)(?<!\bSt)(?<!\bMrs)(?<=[^\W_][^\W_])[.!?]+[\"'”’)\]]*\s+(?![a-z])"
        r"|(?<=[)\]\"”’])[.!?]+\s+(?![a-z])"
    ),
    re.compile(r"[，、；：,;:]\s*"),
    re.compile(r"\s+"),
)
"""Where a text may be cut, best places first: paragraphs, lines (of lists, too), sentences, clauses, words."""

SENTENCES = 2
"""Which of them ends a sentence."""

_TIGHT = frozenset(("Han", "Kana", "Thai"))
"""Scripts without spaces between sentences."""


class Piece(NamedTuple):
    """A part of a text. What is not `spoken`, white space between parts and code blocks, is never translated."""

    text: str
    spoken: bool


def cut(text: str, limit: int) -> list[Piece]:
    """The pieces of `text`: none that is spoken has more than `limit` characters (1 at least), or white space at an end. Cuts lie
    at the best place there is, and as few as it takes; joined as they are, the pieces are the text."""
    pieces: list[Piece] = []
    start = 0
    for code in _FENCED.finditer(text):
        pieces += _prose(text[start : code.start()], limit)
        pieces.append(Piece(code.group(), False))
        start = code.end()
    return [*pieces, *_prose(text[start:], limit)]


def spoken(pieces: Sequence[Piece]) -> list[str]:
    """The texts that are to be translated, in order."""
    return [piece.text for piece in pieces if piece.spoken]


def joined(pieces: Sequence[Piece], texts: Sequence[str], language: str) -> str:
    """The pieces with `texts` in the place of what was spoken. `language` is that of the texts: what stood between two sentences
    of one line becomes what it puts there, a space or nothing. White space at the ends of a text is left out, layout is not."""
    if len(texts) != sum(piece.spoken for piece in pieces):
        raise ValueError(f"{len(texts)} texts for {sum(piece.spoken for piece in pieces)} pieces")
    tight = any(script in _TIGHT for script in scripts(language))
    found: list[str] = []
    rest = iter(texts)
    for n, piece in enumerate(pieces):
        if piece.spoken:
            if n and pieces[n - 1].spoken and not tight:
                found.append(" ")
            found.append(next(rest).strip())
        elif not (tight and _inside_line(pieces, n)):
            found.append(piece.text)
    return "".join(found)


def _inside_line(pieces: Sequence[Piece], n: int) -> bool:
    """Whether a piece is only the space between two sentences of one line."""
    between = 0 < n < len(pieces) - 1 and pieces[n - 1].spoken and pieces[n + 1].spoken
    return between and pieces[n].text.isspace() and "\n" not in pieces[n].text


def sentences(text: str) -> list[str]:
    """The sentences of a text, without white space at their ends; the end of a line ends one, too."""
    found = [unit.strip() for line in text.split("\n") for unit in _split(line, SENTENCES)]
    return [sentence for sentence in found if sentence]


def _prose(text: str, limit: int) -> Iterator[Piece]:
    """Pieces of a text without code blocks: units of it put together as long as they fit."""
    gap = held = ""
    for unit in _units(text, limit, 0):
        core = unit.strip()
        if not core:
            gap += unit
            continue
        lead = gap + unit[: unit.index(core[0])]
        if held and len(held) + len(lead) + len(core) <= limit:
            held += lead + core
        else:
            if held:
                yield Piece(held, True)
            if lead:
                yield Piece(lead, False)
            held = core
        gap = unit[unit.index(core[0]) + len(core) :]
    if held:
        yield Piece(held, True)
    if gap:
        yield Piece(gap, False)


def _units(text: str, limit: int, level: int) -> Iterator[str]:
    """The text in the largest units that fit `limit`, white space apart, each with what separates it from the next."""
    if len(text.strip()) <= limit:
        yield text
    elif level == len(_CUTS):
        lead = len(text) - len(text.lstrip())
        yield text[:lead]
        yield from (text[at : at + limit] for at in range(lead, len(text), limit))
    else:
        for unit in _split(text, level):
            yield from _units(unit, limit, level + 1)


def _split(text: str, level: int) -> Iterator[str]:
    start = 0
    for mark in _CUTS[level].finditer(text):
        yield text[start : mark.end()]
        start = mark.end()
    yield text[start:]
