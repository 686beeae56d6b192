"""Identification: whether a text is in the language that it should be in, by its letters and by what an identifier says.

Pure; the identifier itself, whose model is a file, is passed in.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, TypeAlias

from engine.core.scripts import primary, scripts, share_of
from engine.core.verbatim import plain


class Guess(NamedTuple):
    """What a language identifier says of a text: a BCP-47 language, and how sure it is, from 0 to 1."""

    language: str
    share: float


Identify: TypeAlias = Callable[[str], Guess | None]
"""Which language a text is in; `None` where it cannot be told."""


def foreign(text: str, language: str, identify: Identify) -> Guess | None:
    """The language that `text` is in, where that is not `language`. Script goes first: names and terms in another one may
    be most of what an identifier sees, but not most of the letters."""
    text = plain(text)
    guess = identify(text) if any(map(str.isalpha, text)) else None
    if guess is None or primary(guess.language) == primary(language):
        return None
    if scripts(guess.language) != scripts(language) and share_of(language, text) >= 0.5:
        return None
    return guess
