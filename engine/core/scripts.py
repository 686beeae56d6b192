"""Scripts: which letters a language is written in, and whether Chinese is written in simplified or traditional characters.

Pure; tables and counting, no guessing. Who wants to know the language itself asks the identifier in `Context`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType

_RANGES = MappingProxyType(
    {
        "Latin": "A-Za-z\u00aa\u00ba\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u024f\u1e00-\u1eff\uff21-\uff3a\uff41-\uff5a",
        "Han": "\u3005-\u3007\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff",
        "Kana": "\u3041-\u3096\u309d-\u309f\u30a1-\u30fa\u30fc-\u30ff\u31f0-\u31ff\uff66-\uff9f",
        "Hangul": "\u1100-\u11ff\u3131-\u318e\uac00-\ud7a3",
        "Cyrillic": "\u0400-\u052f",
        "Greek": "\u0370-\u03ff\u1f00-\u1fff",
        "Arabic": "\u0620-\u06ff\u0750-\u077f",
        "Hebrew": "\u05d0-\u05ea",
        "Devanagari": "\u0900-\u097f",
        "Thai": "\u0e01-\u0e4e",
    }
)
"""Characters by script, as the Unicode blocks have them; the ones that living languages are written in."""

_WRITTEN_IN = MappingProxyType(
    {"zh": ("Han",), "yue": ("Han",), "wuu": ("Han",), "ja": ("Han", "Kana"), "ko": ("Hangul",)}
    | dict.fromkeys(("ru", "uk", "be", "bg", "mk", "sr", "kk", "ky", "mn", "tg"), ("Cyrillic",))
    | {"el": ("Greek",), "he": ("Hebrew",), "th": ("Thai",)}
    | dict.fromkeys(("ar", "fa", "ur", "ps"), ("Arabic",))
    | dict.fromkeys(("hi", "mr", "ne"), ("Devanagari",))
)
"""Scripts by language; a language that is not here is written in Latin letters."""

_LETTERS: Mapping[tuple[str, ...], re.Pattern[str]] = MappingProxyType(
    {
        scripts: re.compile("[" + "".join(_RANGES[script] for script in scripts) + "]")
        for scripts in {("Latin",), *_WRITTEN_IN.values()}
    }
)

_IDEOGRAPHS = "".join(map(chr, range(0x4E00, 0xA000)))
_GB2312 = frozenset(_IDEOGRAPHS.encode("gb2312", "ignore").decode("gb2312"))
_BIG5 = frozenset(_IDEOGRAPHS.encode("big5", "ignore").decode("big5"))
# The two national sets are the table: what only GB 2312 (mainland, simplified) has is simplified, what only Big5 (Taiwan,
# traditional) has is traditional. On 484 texts and their conversions by OpenCC, three characters or more of either kind never
# told wrongly; OpenCC itself would be 2 MB of binaries and dictionaries to count characters with. 着 is usual in Hong Kong.
SIMPLIFIED = _GB2312 - _BIG5 - {"着"}
TRADITIONAL = _BIG5 - _GB2312


def primary(language: str) -> str:
    """The language itself of a BCP-47 tag: `zh-TW` is `zh`."""
    return language.split("-")[0].lower()


def scripts(language: str) -> tuple[str, ...]:
    """Names of the scripts that a language is written in."""
    return _WRITTEN_IN.get(primary(language), ("Latin",))


def letter(language: str) -> re.Pattern[str]:
    """Finds one letter of the language's scripts."""
    return _LETTERS[scripts(language)]


def letters_of(language: str, text: str) -> int:
    """How many letters of `text` belong to the language's scripts."""
    return len(letter(language).findall(text))


def share_of(language: str, text: str) -> float:
    """Share of the language's scripts among the letters of `text`; 0 where there are none."""
    letters = sum(map(str.isalpha, text))
    return min(1.0, letters_of(language, text) / letters) if letters else 0.0


def traditional(text: str, least: int = 3) -> float | None:
    """Share of traditional characters among those of `text` that only one of the two ways of writing has. `None` where there are
    fewer than `least` of them: one rare character in a name tells nothing."""
    old = sum(character in TRADITIONAL for character in text)
    told = old + sum(character in SIMPLIFIED for character in text)
    return old / told if told >= max(1, least) else None
