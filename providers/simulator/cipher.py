"""A translation that is none: letters become ideographs one by one, ideographs become made-up words.

Pure. Numbers and marks stay, and the way back undoes it (save where a letter touches an ideograph), so that a round trip can be
compared with where it began.
"""

from __future__ import annotations

import re

_LATIN = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
_FIRST = 0x9F00
"""Ideographs from here on are so rare that no real text has them; 52 of them stand for the letters."""
_TO_HAN = str.maketrans(_LATIN, "".join(chr(_FIRST + n) for n in range(52)))
_FROM_HAN = str.maketrans("".join(chr(_FIRST + n) for n in range(52)), _LATIN)
_VOWELS = str.maketrans("aeiouyAEIOUY", "eaoiyuEAOIYU")
_SYLLABLES = [consonant + vowel for consonant in "bdfghjklmpqvwz" for vowel in "ou"]
_NUMBERS = {syllable: n for n, syllable in enumerate(_SYLLABLES)}
_RUN = re.compile("[\u4e00-\u9eff]+")
_WORD = "(?:[bdfghjklmpqvwz][ou]){3}(?![A-Za-z])"
_WORDS = re.compile(f"(?<![A-Za-z]){_WORD}(?: {_WORD})*")


def translated(text: str, target: str) -> str:
    """`text` in the language with the code `target`: Chinese for codes that begin with z, and Baidu's `cht`, else something in
    Latin letters."""
    if target.lower().startswith(("z", "cht")):
        return _WORDS.sub(lambda words: "".join(map(_ideograph, words.group().split(" "))), text).translate(_TO_HAN)
    latin = _RUN.sub(lambda run: " ".join(map(_word, run.group())), text.translate(_FROM_HAN))
    return latin if latin != text else text.translate(_VOWELS)


def _word(ideograph: str) -> str:
    rest, last = divmod(ord(ideograph) - 0x4E00, 28)
    first, middle = divmod(rest, 28)
    return _SYLLABLES[first] + _SYLLABLES[middle] + _SYLLABLES[last]


def _ideograph(word: str) -> str:
    """Undoes `_word`; a word that stands for nothing stays."""
    number = (_NUMBERS[word[:2]] * 28 + _NUMBERS[word[2:4]]) * 28 + _NUMBERS[word[4:]]
    return chr(0x4E00 + number) if number < _FIRST - 0x4E00 else word
