"""Names: proper names that a translation left as they were, in a text that is written in other letters.

Pure. A name is told by its capital letters, and by standing in both texts.
"""

from __future__ import annotations

import re
from itertools import pairwise

from engine.core.scripts import letter

LONGEST = 4
"""Words of a name. More capitalised words in a row are a heading, or somebody shouts."""

_WORD = re.compile(r"[^\W\d_\u2e80-\u9fff\uac00-\ud7a3]+(?:[-'’][^\W\d_\u2e80-\u9fff\uac00-\ud7a3]+)*")
_BETWEEN = re.compile(r"[\s.·]{1,2}")
"""What may part the words of a name: a blank, a point after an initial."""


def without_names(text: str, other: str, language: str) -> str:
    """`text`, in `language`, without the names in letters of another script that `other` has as well."""
    known, own = set(_WORD.findall(other)), letter(language)
    found = [place for place in _WORD.finditer(text) if place[0][0].isupper() and place[0] in known and not own.match(place[0])]
    runs: list[list[re.Match[str]]] = []
    for place in found:
        if runs and _BETWEEN.fullmatch(text, runs[-1][-1].end(), place.start()):
            runs[-1].append(place)
        else:
            runs.append([place])
    ends = [0, *(at for run in runs if len(run) <= LONGEST for at in (run[0].start(), run[-1].end())), len(text)]
    return " ".join(text[start:end] for start, end in list(pairwise(ends))[::2])
